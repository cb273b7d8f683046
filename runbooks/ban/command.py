"""``runbook ban``, ``runbook unban`` and ``runbook banned``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from runbooks.errors import BadInputError
from runbooks.terminal import options

if TYPE_CHECKING:
    from runbooks.ban.entries import Entry
    from runbooks.ban.run import Look, Plan, Report, Result
    from runbooks.mailman.target import Target
    from runbooks.terminal.console import Screen

#: Names that are shown of many.
SHOWN = 5

_choice = options.together(options.lists, options.sites)
_change = options.together(
    options.host,
    options.timeout,
    options.jobs,
    options.dry_run,
    options.yes,
    options.explain,
    options.json,
)


@click.command(
    epilog="""\b
Examples:
  runbook ban target@example.com
  runbook ban target@example.com --host ssh://root@lists.example.org --dry-run
  runbook ban target@example.com --list openstack-foo --list openstack-bar
  runbook ban '^target(\\+.*)?@example\\.com$'          an address and all its suffixes
"""
)
@click.argument("address")
@_choice
@_change
@click.option(
    "--force",
    is_flag=True,
    help="Ban it although it matches who runs a list, or nobody that is known.",
)
def ban(
    address: str,
    lists: tuple[str, ...],
    sites: tuple[str, ...],
    host_spec: str,
    timeout: float,
    jobs: int | None,
    dry_run: bool,
    yes: bool,
    explain: bool,
    as_json: bool,
    force: bool,
) -> int:
    """Ban ADDRESS from every list of every site on the host.

    ADDRESS is an address, or a pattern that starts with ^ (a regular expression, searched
    without regard to case). A ban refuses new subscriptions; it does not unsubscribe
    anybody, and lists that are created later do not have it.
    """
    from runbooks.ban import entries as addresses

    entry = addresses.entry(address, force=force)
    host = options.reach(host_spec)
    from runbooks.ban import run as procedure
    from runbooks.terminal.console import Screen

    screen = Screen(as_json)
    target = options.target(options.installation(host, screen), sites, lists, timeout, jobs)
    if explain:
        return _explain(screen, target, entry, "ban")
    for warning in entry.warnings:
        screen.warn(f"{entry.text}: {warning}")
    if entry.probably:
        screen.warn(f"probably meant: {shlex.quote(entry.probably)}")
    with screen.busy("looking at the lists"):
        plan = procedure.look(target, entry)
    if plan.people and not force:
        who = [
            f"{one} (of {', '.join(sorted(set(of))[:3])})"
            for one, of in sorted(plan.people.items())
        ]
        raise BadInputError(
            f"{entry.text} would ban who runs a list: {'; '.join(who[:3])};"
            " nothing was changed (--force to ban it all the same)"
        )
    _show_plan(screen, target, plan, _BAN)
    _show_members(screen, entry, plan)
    return _go(screen, target, entry, plan, _BAN, dry_run, yes, ("--force",) if force else ())


@click.command(
    epilog="""\b
Examples:
  runbook unban target@example.com
  runbook unban '^target.*@example.com' --site openstack
"""
)
@click.argument("address")
@_choice
@_change
def unban(
    address: str,
    lists: tuple[str, ...],
    sites: tuple[str, ...],
    host_spec: str,
    timeout: float,
    jobs: int | None,
    dry_run: bool,
    yes: bool,
    explain: bool,
    as_json: bool,
) -> int:
    """Take the entry ADDRESS out of the ban list of every list that has it.

    ADDRESS is the entry: an address (compared without regard to case) or a pattern
    (compared to the letter). A list that still refuses the address, by another entry, is
    named with that entry.
    """
    entry = _any_entry(address)
    host = options.reach(host_spec)
    from runbooks.ban import run as procedure
    from runbooks.terminal.console import Screen

    screen = Screen(as_json)
    target = options.target(options.installation(host, screen), sites, lists, timeout, jobs)
    if explain:
        return _explain(screen, target, entry, "unban")
    with screen.busy("looking at the lists"):
        plan = procedure.look(target, entry, people=False)
    _show_plan(screen, target, plan, _UNBAN)
    return _go(screen, target, entry, plan, _UNBAN, dry_run, yes)


@click.command(
    epilog="""\b
Examples:
  runbook banned target@example.com
  runbook banned target@example.com --json --host ssh://root@lists.example.org
"""
)
@click.argument("address")
@_choice
@options.together(options.host, options.jobs, options.json)
def banned(
    address: str,
    lists: tuple[str, ...],
    sites: tuple[str, ...],
    host_spec: str,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Show which lists refuse ADDRESS, and by which entry.

    The matching is Mailman's own, on the host. Exit status 1 only when a list could not
    be asked.
    """
    entry = _any_entry(address)
    host = options.reach(host_spec)
    from runbooks.ban import run as procedure
    from runbooks.terminal.console import Screen, many

    screen = Screen(as_json)
    target = options.target(options.installation(host, screen), sites, lists, 0, jobs)
    with screen.busy("asking the lists"):
        plan = procedure.look(target, entry, people=False)
    failed = [look for look in plan.looks if look.trouble]
    refusing = [look for look in plan.looks if look.refused_by is not None]
    accepting = len(plan.looks) - len(refusing) - len(failed)
    screen.say(target.installation.title, style="bold")
    screen.table([(look.list, look.site, f"by {look.refused_by}") for look in refusing])
    refuse = "refuses" if len(refusing) == 1 else "refuse"
    accept = "accepts" if accepting == 1 else "accept"
    screen.say(f"{many(len(refusing), 'list')} {refuse} {entry.text}, {accepting:,} {accept} it")
    if failed or plan.sites_failed:
        screen.say(f"{len(failed) + len(plan.sites_failed):,} could not be asked:", style="red")
        screen.table(
            [(look.list, look.site, look.detail) for look in failed]
            + [("all lists", name, why) for name, why in plan.sites_failed.items()]
        )
    for look in plan.looks:
        outcome = "accepts" if look.refused_by is None else "refuses"
        _object(
            screen,
            target,
            look.site,
            look.list,
            look.trouble.value if look.trouble else outcome,
            look.detail or look.refused_by or "",
        )
    counts = Counter({"refuses": len(refusing), "accepts": accepting})
    counts.update(look.trouble.value for look in failed if look.trouble)
    _finish(screen, target, plan.sites_failed, counts)
    return 1 if failed or plan.sites_failed else 0


def _any_entry(text: str) -> Entry:
    """What may stand in a ban list already, however wrong it is."""
    from runbooks.ban.entries import Entry
    from runbooks.mailman.installation import short

    if not text.strip() or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise BadInputError(f"{short(text)} is no entry of a ban list: try target@example.com")
    if len(text) > 10_000:
        raise BadInputError(f"{short(text)} is too long for an entry of a ban list")
    return Entry(text)


@dataclass(frozen=True)
class _Action:
    """What differs between ban and unban in what a person reads."""

    name: str
    #: as in "126 to ban"
    infinitive: str
    past: str
    #: of lists that are as was asked: one, several, and several before this run
    done: tuple[str, str, str]
    #: whether there is nothing to do for a list that was looked at
    is_done: Callable[[Look], bool]

    def to_do(self, plan: Plan) -> list[Look]:
        return [look for look in plan.looks if not look.trouble and not self.is_done(look)]


_BAN = _Action(
    name="ban",
    infinitive="to ban",
    past="banned",
    done=("refuses it already", "refuse it already", "refused it already"),
    is_done=lambda look: look.refused_by is not None,
)
_UNBAN = _Action(
    name="unban",
    infinitive="to unban",
    past="unbanned",
    done=("does not have it", "do not have it", "did not have it"),
    is_done=lambda look: not look.entries,
)


def _explain(screen: Screen, target: Target, entry: Entry, action: str) -> int:
    """The steps by hand, for these arguments."""
    from runbooks.ban import page
    from runbooks.ban import run as procedure

    lists: dict[str, list[str]] | None = None
    if target.names:
        plan = procedure.look(target, entry, people=False)
        lists = {site.name: [look.list for look in plan.of(site)] for site in target.sites}
    steps = page.steps(
        target.installation,
        page.BanArguments(
            entry.text,
            action,
            single=target.sites[0].first_list,
            sites=target.sites,
            lists=lists,
            timeout=target.timeout,
        ),
    )
    screen.say(f"# {target.installation.title}")
    options.show_steps(screen, steps)
    return 0


def _show_plan(screen: Screen, target: Target, plan: Plan, action: _Action) -> None:
    from runbooks.terminal.console import many

    screen.say(target.installation.title, style="bold")
    rows = []
    for site in target.sites:
        looks = plan.of(site)
        if site.name in plan.sites_failed:
            rows.append((site.name, "? lists", f"not readable: {plan.sites_failed[site.name]}"))
            continue
        well = [look for look in looks if not look.trouble]
        finished = sum(action.is_done(look) for look in well)
        parts = [f"{len(well) - finished:,} {action.infinitive}"]
        if finished:
            parts.append(f"{finished:,} {action.done[finished > 1]}")
        if len(looks) > len(well):
            parts.append(f"{len(looks) - len(well):,} cannot be read")
        rows.append((site.name, many(len(looks), "list"), ", ".join(parts)))
    screen.table(rows)
    locked = [look for look in action.to_do(plan) if look.locked]
    if locked:
        screen.say(f"  {many(len(locked), 'list')} locked now:")
        screen.table(
            [
                (_name(target, look.site, look.list), plan.evidence.describe(look.site, look.list))
                for look in locked[:SHOWN]
            ],
            indent=4,
        )
        if len(locked) > SHOWN:
            screen.say(f"    and {many(len(locked) - SHOWN, 'list')} more")
    for look in plan.looks:
        if look.trouble or look.detail:
            screen.warn(f"{_name(target, look.site, look.list)}: {look.detail}")


def _show_members(screen: Screen, entry: Entry, plan: Plan) -> None:
    """Whom the new entry would match among those who are subscribed now."""
    from runbooks.terminal.console import many

    having = [look for look in plan.looks if look.members]
    if not having:
        return
    on = many(len(having), "list")
    if not entry.is_pattern:
        screen.say(f"  It is subscribed to {on} and stays so: a ban does not unsubscribe.")
        return
    matched = sum(look.members for look in having)
    total = sum(look.of_members for look in plan.looks)
    who = sorted({address for look in having for address in look.some_members})
    some = ", ".join(who[:SHOWN]) + (", …" if len(who) > SHOWN or matched > len(who) else "")
    screen.say(f"  It matches {matched:,} of {many(total, 'subscription')} on {on}: {some}")


def _go(
    screen: Screen,
    target: Target,
    entry: Entry,
    plan: Plan,
    action: _Action,
    dry_run: bool,
    yes: bool,
    needed: tuple[str, ...] = (),
) -> int:
    """Ask, change, report: what ban and unban have in common.

    `needed`: options without which the command could not be repeated.
    """
    from runbooks.ban import run as procedure
    from runbooks.terminal.console import many

    to_do = action.to_do(plan)
    if dry_run:
        return _would(screen, target, plan, action)
    if not to_do:
        report = procedure.nothing_to_do(target, plan, action.name)
        _show_report(screen, target, report, action)
        return 0 if report.is_done else 1
    options.permission(
        screen, f"{action.name.capitalize()} {entry.text} from {many(len(to_do), 'list')}?", yes
    )
    with screen.progress(len(plan.looks)) as bar, options.changing():

        def waiting(lists: int, seconds: float) -> None:
            bar.note(f"waiting for {many(lists, 'locked list')}, {seconds:g} s at most")

        report = procedure.change(
            target,
            action.name,
            entry,
            plan,
            on_result=lambda result: bar.advance(),
            on_waiting=waiting,
            arguments=options.typed(),
            options=needed,
        )
    with options.changing():
        _show_report(screen, target, report, action, len(plan.looks))
    return 0 if report.is_done else 1


def _would(screen: Screen, target: Target, plan: Plan, action: _Action) -> int:
    """The end of a dry run."""
    from runbooks.ban import run as procedure

    to_do = {(look.site, look.list) for look in action.to_do(plan)}
    rest = procedure.nothing_to_do(target, plan, action.name)
    as_it_is = {(result.site, result.list): result for result in rest.results}
    counts: Counter[str] = Counter()
    undone = []
    for look in plan.looks:
        result = as_it_is[look.site, look.list]
        outcome = result.outcome.value
        if (look.site, look.list) in to_do:
            outcome = "planned"
        elif not result.outcome.is_done:
            undone.append(result)
        counts[outcome] += 1
        _object(screen, target, look.site, look.list, outcome, look.detail or result.detail)
    screen.table(_rows(target, undone))
    screen.say("dry run: nothing was changed")
    _finish(screen, target, plan.sites_failed, counts)
    return 1 if undone or plan.sites_failed else 0


def _rows(target: Target, results: list[Result]) -> list[tuple[str, ...]]:
    """Lists that were not done, each with the reason and the command that helps."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        text = result.detail
        if result.help:
            text += f"\n→ {target.installation.host.command(result.help)}"
        rows.append((_name(target, result.site, result.list), text))
    return rows


def _show_report(
    screen: Screen, target: Target, report: Report, action: _Action, planned: int = 0
) -> None:
    """What was done, what was not, and the command that helps. `planned`: lists of the plan."""
    from runbooks.book.procedure import Outcome
    from runbooks.terminal.console import many

    counts = report.counts
    changed = counts[Outcome(action.past)]
    already = counts[Outcome.ALREADY] + counts[Outcome.ABSENT]
    parts = []
    if changed or not already:
        parts.append(f"{many(changed, 'list')} {action.past} and read back")
    if already:
        noun = "" if changed else " list" if already == 1 else " lists"
        parts.append(f"{already:,}{noun} {action.done[2]}")
    missing = len(report.not_done) + len(report.sites_failed)
    if missing:
        parts.append(f"{missing:,} not done")
    if report.ended_early and planned > len(report.results):
        parts.append(f"{planned - len(report.results):,} not begun")
    screen.say(
        ", ".join(parts) + (":" if missing else ""), style="green" if report.is_done else "yellow"
    )
    rows = _rows(target, report.not_done)
    rows += [(f"all of {name}", why) for name, why in report.sites_failed.items()]
    screen.table(rows)
    if report.ended_early:
        screen.say(report.ended_early, style="red")
    options.recorded(screen, target.installation, report.recorded)
    for result in report.results:
        _object(screen, target, result.site, result.list, result.outcome.value, result.detail)
    summary = Counter({outcome.value: count for outcome, count in counts.items()})
    _finish(screen, target, report.sites_failed, summary, report.ended_early)


def _name(target: Target, site: str, name: str) -> str:
    return f"{name} ({site})" if len(target.installation.sites) > 1 else name


def _object(
    screen: Screen, target: Target, site: str, name: str | None, outcome: str, detail: str
) -> None:
    """With --json, one list; or, without a name, a site whose lists could not be named."""
    host = target.installation.host.spec
    screen.object(host=host, site=site, list=name, outcome=outcome, detail=detail)


def _finish(
    screen: Screen,
    target: Target,
    sites_failed: dict[str, str],
    counts: Counter[str],
    ended_early: str = "",
) -> None:
    """With --json, what comes last."""
    for site, why in sites_failed.items():
        counts["error"] += 1
        _object(screen, target, site, None, "error", why)
    ending = {"ended_early": ended_early} if ended_early else {}
    screen.object(summary=dict(counts), **ending)
