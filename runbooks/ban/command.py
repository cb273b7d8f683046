"""``runbook ban``, ``runbook unban`` and ``runbook banned``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from runbooks.ban import entries, run
from runbooks.ban.entries import Entry
from runbooks.ban.run import Plan, Standing
from runbooks.book.whose import whose
from runbooks.clear_lock.first import StaleLocks
from runbooks.errors import BadInputError, short
from runbooks.mailman.events import Outcome
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Work
from runbooks.terminal import explained, given, options
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Screen, many
from runbooks.terminal.given import Chosen
from runbooks.terminal.report import NAMED, Change, Report, Words, carry_out
from runbooks.unsubscribe import run as unsubscribing
from runbooks.unsubscribe import shown as shown_unsubscribing


def __getattr__(name: str) -> Any:
    # To import it takes the other commands a tenth of their start.
    if name == "bans":
        from runbooks.ban.bans_command import bans

        return bans
    raise AttributeError(name)


#: What is said of an entry that no ban list has.
_FOR_ALL = ", in GLOBAL_BAN_LIST of Mailman's mm_cfg.py"

#: So many addresses have a row each.
_MOST_ROWS = 30

_suffixes = click.option(
    "--suffixes",
    is_flag=True,
    help="Also cover each ADDRESS with any +suffix, like user+anything@example.com.",
)


@click.command(
    epilog=f"""\b
Examples:
  runbook ban target@example.com
  runbook ban target@example.com --host {whose().server.spec} --dry-run
  runbook ban target@example.com --list {whose().examples.list} --list {whose().first.lists[0]}
  runbook ban target@example.com --steps               by hand, one step at a time
  runbook ban --from victims.txt                       one address a line
  runbook ban --suffixes user@example.com              user+anything@example.com as well
  runbook ban '^target(\\+.*)?@example\\.com$'          the same as a pattern
"""
)
@given.arguments
@_suffixes
@options.change_lists
@click.option(
    "--force",
    is_flag=True,
    help="Ban even what matches the owner or moderator of a list, or no known address.",
)
@options.clear_stale
@click.option(
    "--unsubscribe",
    is_flag=True,
    help="Also unsubscribe each address, and discard its pending subscriptions (see unsubscribe).",
)
def ban(
    addresses: tuple[str, ...],
    from_file: str | None,
    skip_bad: bool,
    suffixes: bool,
    dry_run: bool,
    yes: bool,
    by_hand: ByHand | None,
    force: bool,
    clear_stale: bool,
    unsubscribe: bool,
    **chosen: Any,
) -> int:
    """Ban each ADDRESS from every list of every site on the host.

    ADDRESS is an address, or a pattern: a regular expression that starts with ^ and ignores
    case. A ban refuses new subscriptions. It does not unsubscribe anybody, and lists that are
    created later do not have it.
    """

    def make(text: str) -> Entry:
        if suffixes:
            return replace(entries.entry(entries.with_suffixes(text), force=force), address=text)
        return entries.entry(text, force=force)

    found = given.chosen(addresses, from_file, skip_bad, make)
    members = [entry.address for entry in found.good if entry.address]
    if unsubscribe and not members:
        raise BadInputError("--unsubscribe is for addresses, and these are patterns")

    def tell(screen: Screen) -> None:
        if not by_hand or by_hand.steps:
            _tell(screen, found, suffixes)

    def on_lists(screen: Screen, target: Target) -> int:
        if by_hand and not by_hand.steps:
            return _by_hand(screen, target, found.good, "ban", by_hand, yes)
        with screen.busy("looking at the lists"):
            plan = run.look(
                target,
                found.good,
                typed=addresses,
                naming=given.naming(from_file, skip_bad, suffixes),
                options=("--force",) * force,
            )
        if plan.people and not force:
            raise BadInputError(_would_ban_people(plan))
        if by_hand:
            return _by_hand(screen, target, found.good, "ban", by_hand, yes)
        changes = [_change(plan, puts_out=unsubscribe)]
        if unsubscribe:
            with screen.busy("looking at their subscriptions"):
                changes.append(shown_unsubscribing.change(unsubscribing.look(target, members)))
        first = StaleLocks(screen, target.installation, clear_stale, yes or dry_run)
        return carry_out(screen, *changes, dry_run=dry_run, yes=yes, first=first)

    return options.on_lists(on_lists, tell, **chosen)


def _tell(screen: Screen, found: Chosen[Entry], suffixes: bool) -> None:
    """What there is to say of the entries, wherever they are to be banned."""
    found.tell(screen)
    for entry in found.good:
        if suffixes:
            screen.say(f"pattern: {entry.text}")
        for warning in entry.warnings:
            screen.warn(f"{entry.text}: {warning}")
        if entry.probably:
            screen.warn(f"did you mean {shlex.quote(entry.probably)}?")


@click.command(
    epilog=f"""\b
Examples:
  runbook unban target@example.com
  runbook unban --from victims.txt
  runbook unban '^target.*@example.com' --site {whose().first.name}
"""
)
@given.arguments
@_suffixes
@options.change_lists
@options.clear_stale
def unban(
    addresses: tuple[str, ...],
    from_file: str | None,
    skip_bad: bool,
    suffixes: bool,
    dry_run: bool,
    yes: bool,
    by_hand: ByHand | None,
    clear_stale: bool,
    **chosen: Any,
) -> int:
    """Remove the entry ADDRESS from every ban list that has it.

    ADDRESS is the entry itself: an address, in any case, or a pattern, to the letter. If a
    list still refuses the address because of another entry, the list and that entry are named.
    """

    def make(text: str) -> Entry:
        return _any_entry(entries.with_suffixes(text) if suffixes else text)

    found = given.chosen(addresses, from_file, skip_bad, make)

    def tell(screen: Screen) -> None:
        if not by_hand:
            found.tell(screen)

    def on_lists(screen: Screen, target: Target) -> int:
        if by_hand:
            return _by_hand(screen, target, found.good, "unban", by_hand, yes)
        with screen.busy("looking at the lists"):
            plan = run.look(
                target,
                found.good,
                run.UNBAN,
                people=False,
                typed=addresses,
                naming=given.naming(from_file, skip_bad, suffixes),
            )
        first = StaleLocks(screen, target.installation, clear_stale, yes or dry_run)
        return carry_out(screen, _change(plan), dry_run=dry_run, yes=yes, first=first)

    return options.on_lists(on_lists, tell, **chosen)


@click.command(
    epilog=f"""\b
Examples:
  runbook banned target@example.com
  runbook banned target@example.com --json --host {whose().server.spec}
  runbook banned --from victims.txt
"""
)
@given.arguments
@options.together(options.lists, options.sites, options.host, options.jobs, options.json)
def banned(addresses: tuple[str, ...], from_file: str | None, skip_bad: bool, **chosen: Any) -> int:
    """Show which lists refuse each ADDRESS, and by which entry.

    Mailman itself does the matching, on the host. The exit status is 1 only if a list could
    not be asked.
    """
    found = given.chosen(addresses, from_file, skip_bad, _any_entry)

    def on_lists(screen: Screen, target: Target) -> int:
        with screen.busy("asking the lists"):
            plan = run.look(target, found.good, people=False)
        for standing in plan.standings:
            if not standing.refused and not standing.has:
                _check_it_can_be_somebody(standing.entry)
        if len(found.good) == 1:
            return _show_refusing(screen, plan)
        return _show_standings(screen, plan)

    return options.on_lists(on_lists, found.tell, **chosen)


def _would_ban_people(plan: Plan) -> str:
    (entry, hit), *others = plan.people.items()
    who = [f"{one} (of {', '.join(sorted(set(of))[:3])})" for one, of in sorted(hit.items())]
    more = f"; so would {many(len(others), 'more entry', 'more entries')}" if others else ""
    return (
        f"{entry} would ban somebody who runs a list: {'; '.join(who[:3])}{more};"
        " nothing was changed (--force bans it anyway)"
    )


def _any_entry(text: str) -> Entry:
    """What may stand in a ban list already, however wrong it is."""
    if not text.strip() or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise BadInputError(
            f"{short(text)} cannot be an entry of a ban list: try target@example.com"
        )
    if len(text) > 10_000:
        raise BadInputError(f"{short(text)} is too long for an entry of a ban list")
    return Entry(text)


def _check_it_can_be_somebody(entry: Entry) -> None:
    """Raise BadInputError for what no list has in its ban list, and what is nobody's address."""
    if entry.is_pattern:
        raise BadInputError(f"no list bans by the pattern {entry.text}: 'runbook bans' shows them")
    entries.entry(entry.text, force=True)


def _by_hand(
    screen: Screen,
    target: Target,
    chosen: Sequence[Entry],
    action: str,
    wanted: ByHand,
    yes: bool,
) -> int:
    """The steps by hand, for these arguments."""
    from runbooks.ban import page

    steps = page.steps(
        target.installation,
        page.BanArguments(
            tuple(entry.text for entry in chosen),
            action,
            single=target.sites[0].first_list,
            sites=target.sites,
            lists=target.lists,
            timeout=target.timeout,
        ),
    )
    found = {one.name: one for one in page.PROCEDURES}[action]
    one = chosen[0].text if len(chosen) == 1 and action == "ban" else ""
    everywhere = target.lists is None and target.sites == target.installation.sites
    if everywhere and (suffixed := page.of_suffixes(one)):
        found, steps = page.PATTERN, page.pattern_steps(target.installation, suffixed)
    printed = PrintedSteps.of(found, steps)
    return explained.show(screen, target.installation, wanted, printed, yes)


# -- runbook banned -----------------------------------------------------------------------


def _show_refusing(screen: Screen, plan: Plan) -> int:
    """Each list that refuses the one address, and by what."""
    (entry,) = plan.entries
    refusing = plan.looks.those(plan.is_done)
    accepting = len(plan.looks) - len(refusing)
    report = Report(screen, plan.target.installation)
    rows = [
        (str(one.list), one.site, f"by {plan.by(one)}" + _FOR_ALL * bool(one.said.for_all))
        for one in (refusing if screen.is_read else ())
    ]
    report.plan(rows)
    refuse = "refuses" if len(refusing) == 1 else "refuse"
    accept = "accepts" if accepting == 1 else "accept"
    screen.say(f"{many(len(refusing), 'list')} {refuse} {entry.text}, {accepting:,} {accept} it")
    _show_not_asked(report, plan)
    for look in plan.seen.answers:
        if look.outcome is not Outcome.LOOKED:
            report.object(look)
        elif plan.is_done(look):
            detail = look.detail or plan.by(look)
            report.object(look, Outcome.REFUSES, detail, for_all=bool(look.said.for_all))
        else:
            report.object(look, Outcome.ACCEPTS)
    counts = Counter({"refuses": len(refusing), "accepts": accepting})
    counts.update(
        {outcome: n for outcome, n in plan.seen.counts.items() if outcome is not Outcome.LOOKED}
    )
    report.summary(counts, plan.seen)
    return 1 if plan.seen.left else 0


def _show_standings(screen: Screen, plan: Plan) -> int:
    """For each of several addresses, how many lists refuse it, and by what."""
    report = Report(screen, plan.target.installation)
    total = len(plan.looks)
    report.plan([])
    rows = [
        (one.entry.text, f"{sum(one.refused.values()):,} of {many(total, 'list')}", _by(one))
        for one in plan.standings
    ]
    _table(report, ("ADDRESS", "REFUSED BY", "ENTRY"), rows)
    _show_not_asked(report, plan)
    counts = Counter[str]()
    for one in plan.standings:
        refusing = sum(one.refused.values())
        by = {entry or one.entry.text: lists for entry, lists in one.refused.items()}
        screen.object(address=one.entry.text, refuses=refusing, accepts=total - refusing, by=by)
        counts.update(refuses=refusing, accepts=total - refusing)
    for look in plan.seen.left:
        if look.list is not None:
            report.object(look)
            counts[look.outcome] += 1
    report.summary(counts, plan.seen)
    return 1 if plan.seen.left else 0


def _by(one: Standing) -> str:
    others = [entry for entry in one.refused if entry]
    text = ", ".join(["itself"] * ("" in one.refused) + others)
    return text + _FOR_ALL * (0 < one.for_all == sum(one.refused.values()))


def _show_not_asked(report: Report, plan: Plan) -> None:
    if left := plan.seen.left:
        report.screen.say(f"{len(left):,} could not be asked:", style="red")
        report.left(left)


# -- runbook ban, runbook unban -----------------------------------------------------------


def _table(
    report: Report, titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], more: str = ""
) -> None:
    """A row for each address; of very many, the first."""
    report.screen.table([titles, *rows[:_MOST_ROWS]])
    if len(rows) > _MOST_ROWS:
        report.screen.say(f"  and {len(rows) - _MOST_ROWS:,} more{more}")


def _show_addresses(report: Report, plan: Plan, puts_out: bool) -> None:
    """How each entry stands: where it is banned already, and whom it would hit."""
    if len(plan.entries) == 1:
        if plan.action is run.BAN:
            _show_members(report.screen, plan, puts_out)
        return
    rows = []
    for one in sorted(plan.standings, key=lambda one: not (one.subscribed or one.refused)):
        counts = (
            (sum(one.refused.values()), one.subscribed) if plan.action is run.BAN else (one.has,)
        )
        rows.append((one.entry.text, *map(_lists, counts)))
    titles = ("REFUSED BY", "SUBSCRIBED TO") if plan.action is run.BAN else ("BANNED BY",)
    _table(report, ("ADDRESS", *titles), rows)


def _lists(number: int) -> str:
    return many(number, "list") if number else "no list"


def _show_members(screen: Screen, plan: Plan, puts_out: bool) -> None:
    """Whom the new entry would match among those who are subscribed now."""
    (one,) = plan.standings
    if not one.subscribed:
        return
    on = many(one.subscribed, "list")
    if not one.entry.is_pattern:
        if not puts_out:
            screen.say(f"  It stays subscribed to {on}: a ban does not unsubscribe.")
        return
    hit = [(look.said.matched[0], lists) for look, lists in plan.looks.kinds if look.said.matched]
    matched = sum(number * lists for (number, _), lists in hit)
    total = sum(look.said.of_members * lists for look, lists in plan.looks.kinds)
    who = sorted({address for (_, some), _ in hit for address in some})
    some = ", ".join(who[:NAMED]) + (", …" if len(who) > NAMED or matched > len(who) else "")
    screen.say(f"  It matches {matched:,} of {many(total, 'subscription')} on {on}: {some}")


def _show_results(report: Report, plan: Plan, work: Work) -> None:
    """What became of each of several entries."""
    if len(plan.entries) == 1:
        return
    results = plan.results(work)
    # What was not done comes first, and what was done before last.
    rows = []
    for entry, did, left in sorted(results, key=lambda result: (not result[2], not result[1])):
        # Without either, it was so on every list.
        done = _lists(did) if did or left else _WORDS[plan.action.name][1][2].replace(" it", "")
        cells = (entry.text, done, _lists(left) if left else "")
        rows.append(cells if any(left for _, _, left in results) else cells[:2])
    past = f"{plan.action.past.upper()} {'FROM' if plan.action is run.BAN else 'ON'}"
    titles = ("ADDRESS", past, "NOT DONE ON")
    if work.recorded:
        _table(report, titles[: len(rows[0])], rows)
    for entry, did, left in results:
        report.screen.object(address=entry.text, **{str(plan.action.past): did}, not_done=left)


_WORDS = {
    "ban": ("to ban", ("already refuses it", "already refuse it", "already refused it")),
    "unban": ("to unban", ("does not have it", "do not have it", "did not have it")),
}


def _change(plan: Plan, *, puts_out: bool = False) -> Change:
    """What is to be done, and what is told of it. `puts_out`: members are unsubscribed as well."""
    to_do, done = _WORDS[plan.action.name]
    if len(plan.entries) > 1:
        one, several, before = (word.replace(" it", " them") for word in done)
        done = (one, several, before)
    words = Words(
        question=f"{plan.action.name.capitalize()} {plan.subject} from",
        to_do=to_do,
        past=plan.action.past,
        done=done,
    )
    return Change(
        plan,
        words,
        details=lambda report: _show_addresses(report, plan, puts_out),
        results=lambda report, work: _show_results(report, plan, work),
        after=lambda report, work: None if puts_out else _tell_next(report, plan),
    )


def _tell_next(report: Report, plan: Plan) -> None:
    """A ban keeps an address out; it does not put it out."""
    if plan.action is run.BAN and (members := plan.members):
        command = invocation("unsubscribe", *members)
        if len(members) > NAMED and not any(entry.is_pattern for entry in plan.entries):
            command = invocation("unsubscribe", *plan.typed, options=plan.naming)
        report.next("to unsubscribe", command)
