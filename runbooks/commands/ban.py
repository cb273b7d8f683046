"""``runbook ban``, ``runbook unban`` and ``runbook banned``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runbooks.commands import options
from runbooks.errors import BadInputError

if TYPE_CHECKING:
    from runbooks.addresses import Entry
    from runbooks.ban import Look, Plan, Report, Target
    from runbooks.console import Screen

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
    from runbooks import addresses
    from runbooks import ban as procedure
    from runbooks.console import Screen

    entry = addresses.entry(address, force=force)
    screen = Screen(as_json)
    target = options.target(options.installation(host_spec, screen), sites, lists, timeout, jobs)
    if explain:
        return _explain(screen, target, entry)
    for warning in entry.warnings:
        screen.warn(f"{entry.text}: {warning}")
    if entry.probably:
        screen.warn(f"probably meant: '{entry.probably}'")
    with screen.busy("looking at the lists"):
        plan = procedure.look(target, entry)
    if plan.people and not force:
        who = "; ".join(
            f"{a} (of {', '.join(sorted(l)[:3])})" for a, l in sorted(plan.people.items())[:3]
        )
        raise BadInputError(
            f"{entry.text} would ban who runs a list: {who}; nothing was changed (--force to ban it all the same)"
        )
    to_do = [look for look in plan.looks if not look.trouble and look.refused_by is None]
    _show_plan(
        screen,
        target,
        plan,
        lambda look: look.refused_by is not None,
        "to ban",
        ("refuses it already", "refuse it already"),
    )
    _show_members(screen, entry, plan)
    return _go(screen, target, entry, plan, "ban", to_do, dry_run, yes)


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
    from runbooks import ban as procedure
    from runbooks.console import Screen

    entry = _any_entry(address)
    screen = Screen(as_json)
    target = options.target(options.installation(host_spec, screen), sites, lists, timeout, jobs)
    if explain:
        return _explain(screen, target, entry, "unban")
    with screen.busy("looking at the lists"):
        plan = procedure.look(target, entry, people=False)
    to_do = [look for look in plan.looks if not look.trouble and look.entries]
    _show_plan(
        screen,
        target,
        plan,
        lambda look: not look.entries,
        "to unban",
        ("does not have it", "do not have it"),
    )
    return _go(screen, target, entry, plan, "unban", to_do, dry_run, yes)


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
    from runbooks import ban as procedure
    from runbooks.console import Screen, many

    entry = _any_entry(address)
    screen = Screen(as_json)
    target = options.target(options.installation(host_spec, screen), sites, lists, 0, jobs)
    with screen.busy("asking the lists"):
        plan = procedure.look(target, entry, people=False)
    refusing = [look for look in plan.looks if look.refused_by is not None]
    failed = [look for look in plan.looks if look.trouble]
    screen.say(target.installation.title, style="bold")
    screen.table([(look.list, look.site, f"by {look.refused_by}") for look in refusing])
    accepting = len(plan.looks) - len(refusing) - len(failed)
    screen.say(
        f"{many(len(refusing), 'list')} refuse{'s' if len(refusing) == 1 else ''} {entry.text}, {accepting:,} accept{'s' if accepting == 1 else ''} it"
    )
    if failed or plan.sites_failed:
        screen.say(f"{len(failed) + len(plan.sites_failed):,} could not be asked:", style="red")
        screen.table(
            [(look.list, look.site, look.detail) for look in failed]
            + [("all lists", name, why) for name, why in plan.sites_failed.items()]
        )
    for look in plan.looks:
        outcome = (
            look.trouble.value
            if look.trouble
            else "refuses"
            if look.refused_by is not None
            else "accepts"
        )
        screen.object(
            host=host_spec,
            site=look.site,
            list=look.list,
            outcome=outcome,
            detail=look.detail or look.refused_by or "",
        )
    screen.object(summary={"refuses": len(refusing), "accepts": accepting, "error": len(failed)})
    return 1 if failed or plan.sites_failed else 0


def _any_entry(text: str) -> Entry:
    """What may stand in a ban list already, however wrong it is."""
    from runbooks.addresses import Entry
    from runbooks.mailman import short

    if not text.strip() or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise BadInputError(f"{short(text)} is no entry of a ban list: try target@example.com")
    if len(text) > 10_000:
        raise BadInputError(f"{short(text)} is too long for an entry of a ban list")
    return Entry(text)


def _explain(screen: Screen, target: Target, entry: Entry, action: str = "ban") -> int:
    from runbooks import ban as procedure
    from runbooks.procedure import paste

    steps = procedure.steps(
        target.installation,
        {
            "address": entry.text,
            "list": target.names[0] if target.names else "LIST",
            "sites": target.sites,
            "action": action,
        },
    )
    screen.say(f"# {target.installation.title}")
    for number, step in enumerate(steps, 1):
        screen.say(f"\n# {number}. {step.title}")
        screen.say(paste(step))
    return 0


def _show_plan(
    screen: Screen, target: Target, plan: Plan, is_done: object, verb: str, done: tuple[str, str]
) -> None:
    from runbooks.console import many

    assert callable(is_done)
    screen.say(target.installation.title, style="bold")
    rows = []
    for site in target.sites:
        looks = plan.of(site)
        if site.name in plan.sites_failed:
            rows.append((site.name, "? lists", f"not readable: {plan.sites_failed[site.name]}"))
            continue
        well = [look for look in looks if not look.trouble]
        finished = sum(bool(is_done(look)) for look in well)
        parts = [f"{len(well) - finished:,} {verb}"]
        if finished:
            parts.append(f"{finished:,} {done[finished > 1]}")
        if len(looks) > len(well):
            parts.append(f"{len(looks) - len(well):,} cannot be read")
        locked = sum(look.locked for look in well if not is_done(look))
        if locked:
            parts.append(f"{locked:,} of them locked now")
        rows.append((site.name, many(len(looks), "list"), ", ".join(parts)))
    screen.table(rows)
    for look in plan.looks:
        if look.trouble or look.detail:
            screen.warn(f"{look.list} ({look.site}): {look.detail}")


def _show_members(screen: Screen, entry: Entry, plan: Plan) -> None:
    """Whom the new entry would match among those who are subscribed now."""
    from runbooks.console import many

    having = [look for look in plan.looks if look.members]
    if not having:
        return
    if entry.is_pattern:
        matched, total = sum(l.members for l in having), sum(l.of_members for l in plan.looks)
        who = sorted({address for look in having for address in look.some_members})
        some = ", ".join(who[:5]) + (", …" if len(who) > 5 or matched > len(who) else "")
        screen.say(
            f"  It matches {matched:,} of {many(total, 'subscription')} on {many(len(having), 'list')}: {some}"
        )
    else:
        screen.say(
            f"  It is subscribed to {many(len(having), 'list')} and stays so: a ban does not unsubscribe."
        )


def _go(
    screen: Screen,
    target: Target,
    entry: Entry,
    plan: Plan,
    action: str,
    to_do: list[Look],
    dry_run: bool,
    yes: bool,
) -> int:
    """Ask, change, report: what ban and unban have in common."""
    from runbooks import ban as procedure
    from runbooks.console import many

    past = {"ban": "banned", "unban": "unbanned"}[action]
    if dry_run:
        for look in plan.looks:
            planned = (
                "planned"
                if look in to_do
                else look.trouble.value
                if look.trouble
                else {"ban": "already", "unban": "absent"}[action]
            )
            screen.object(
                host=target.installation.host.spec,
                site=look.site,
                list=look.list,
                outcome=planned,
                detail=look.detail,
            )
        screen.say("dry run: nothing was changed")
        return 1 if plan.sites_failed or any(look.trouble for look in plan.looks) else 0
    if not to_do:
        report = procedure.nothing_to_do(plan, action)
        _show_report(screen, target, report, past)
        return 0 if report.is_done else 1
    options.permission(
        screen, f"{action.capitalize()} {entry.text} from {many(len(to_do), 'list')}?", yes
    )
    with screen.progress(len(plan.looks)) as bar:

        def waiting(lists: int, seconds: float) -> None:
            bar.update(
                bar.task_ids[0],
                description=f"waiting for {many(lists, 'locked list')}, {seconds:g} s at most",
            )

        report = procedure.change(
            target,
            action,
            entry,
            plan,
            on_result=lambda result: bar.advance(bar.task_ids[0]),
            on_waiting=waiting,
            arguments=options.typed(),
        )
    _show_report(screen, target, report, past)
    return 0 if report.is_done else 1


def _show_report(screen: Screen, target: Target, report: Report, past: str) -> None:
    from runbooks.procedure import Outcome

    host = target.installation.host
    counts = report.counts
    already = {
        "banned": (Outcome.ALREADY, "refused it already"),
        "unbanned": (Outcome.ABSENT, "did not have it"),
    }[past]
    number = counts[Outcome(past)]
    parts = [f"{number:,} list{'' if number == 1 else 's'} {past} and read back"]
    if counts[already[0]]:
        parts.append(f"{counts[already[0]]:,} {already[1]}")
    troubled = report.not_done
    missing = len(troubled) + len(report.sites_failed)
    if missing:
        parts.append(f"{missing:,} not done")
    screen.say(", ".join(parts) + (":" if missing else ""), style="yellow" if missing else "green")
    rows = []
    for result in troubled:
        several = len(target.installation.sites) > 1
        name = f"{result.list} ({result.site})" if several else result.list
        text = result.detail
        if result.help:
            import shlex

            text += f"\n→ runbook {shlex.join(result.help)}{host.option}"
        rows.append((name, text))
    rows += [(f"all of {name}", why) for name, why in report.sites_failed.items()]
    screen.table(rows)
    if report.ended_early:
        screen.say(
            f"{report.ended_early}: lists not named here were not begun; the same command completes it",
            style="red",
        )
    options.recorded(screen, target.installation, report.recorded)
    for result in report.results:
        screen.object(
            host=host.spec,
            site=result.site,
            list=result.list,
            outcome=result.outcome.value,
            detail=result.detail,
        )
    screen.object(summary={outcome.value: count for outcome, count in counts.items()})
