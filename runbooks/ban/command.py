"""``runbook ban``, ``runbook unban`` and ``runbook banned``."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any

import click

from runbooks.ban import entries, run
from runbooks.ban.entries import Entry
from runbooks.ban.run import Plan
from runbooks.errors import BadInputError
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import short
from runbooks.mailman.target import Target
from runbooks.terminal import options
from runbooks.terminal.console import Screen, many
from runbooks.terminal.report import NAMED, Report, Words, carry_out


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
@options.change_lists
@click.option(
    "--force",
    is_flag=True,
    help="Ban it although it matches who runs a list, or nobody that is known.",
)
def ban(address: str, dry_run: bool, yes: bool, explain: bool, force: bool, **chosen: Any) -> int:
    """Ban ADDRESS from every list of every site on the host.

    ADDRESS is an address, or a pattern that starts with ^ (a regular expression, searched
    without regard to case). A ban refuses new subscriptions; it does not unsubscribe
    anybody, and lists that are created later do not have it.
    """
    entry = entries.entry(address, force=force)
    screen, target = options.begin(**chosen)
    if explain:
        return _explain(screen, target, entry, "ban")
    for warning in entry.warnings:
        screen.warn(f"{entry.text}: {warning}")
    if entry.probably:
        screen.warn(f"probably meant: {shlex.quote(entry.probably)}")
    with screen.busy("looking at the lists"):
        plan = run.look(target, entry, options=("--force",) if force else ())
    if plan.people and not force:
        who = [
            f"{one} (of {', '.join(sorted(set(of))[:3])})"
            for one, of in sorted(plan.people.items())
        ]
        raise BadInputError(
            f"{entry.text} would ban who runs a list: {'; '.join(who[:3])};"
            " nothing was changed (--force to ban it all the same)"
        )
    return _go(screen, plan, dry_run, yes)


@click.command(
    epilog="""\b
Examples:
  runbook unban target@example.com
  runbook unban '^target.*@example.com' --site openstack
"""
)
@click.argument("address")
@options.change_lists
def unban(address: str, dry_run: bool, yes: bool, explain: bool, **chosen: Any) -> int:
    """Take the entry ADDRESS out of the ban list of every list that has it.

    ADDRESS is the entry: an address (compared without regard to case) or a pattern
    (compared to the letter). A list that still refuses the address, by another entry, is
    named with that entry.
    """
    entry = _any_entry(address)
    screen, target = options.begin(**chosen)
    if explain:
        return _explain(screen, target, entry, "unban")
    with screen.busy("looking at the lists"):
        plan = run.look(target, entry, run.UNBAN, people=False)
    return _go(screen, plan, dry_run, yes)


@click.command(
    epilog="""\b
Examples:
  runbook banned target@example.com
  runbook banned target@example.com --json --host ssh://root@lists.example.org
"""
)
@click.argument("address")
@options.together(options.lists, options.sites, options.host, options.jobs, options.json)
def banned(address: str, **chosen: Any) -> int:
    """Show which lists refuse ADDRESS, and by which entry.

    The matching is Mailman's own, on the host. Exit status 1 only when a list could not
    be asked.
    """
    entry = _any_entry(address)
    screen, target = options.begin(**chosen)
    with screen.busy("asking the lists"):
        plan = run.look(target, entry, people=False)
    refusing = [look for look in plan.looks if plan.is_done(look)]
    accepting = len(plan.looks) - len(refusing)
    left = plan.seen.left
    report = Report(screen, target.installation)
    report.plan([(str(one.list), one.site, f"by {one.said.refused_by}") for one in refusing])
    refuse = "refuses" if len(refusing) == 1 else "refuse"
    accept = "accepts" if accepting == 1 else "accept"
    screen.say(f"{many(len(refusing), 'list')} {refuse} {entry.text}, {accepting:,} {accept} it")
    if left:
        screen.say(f"{len(left):,} could not be asked:", style="red")
        report.left(left)
    for look in plan.seen.answers:
        if look.outcome is not Outcome.LOOKED:
            report.object(look)
        elif plan.is_done(look):
            report.object(look, Outcome.REFUSES, detail=look.detail or str(look.said.refused_by))
        else:
            report.object(look, Outcome.ACCEPTS)
    counts = Counter({"refuses": len(refusing), "accepts": accepting})
    counts.update(look.outcome for look in plan.seen.answers if look.outcome is not Outcome.LOOKED)
    report.summary(counts, plan.seen)
    return 1 if left else 0


def _any_entry(text: str) -> Entry:
    """What may stand in a ban list already, however wrong it is."""
    if not text.strip() or any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise BadInputError(f"{short(text)} is no entry of a ban list: try target@example.com")
    if len(text) > 10_000:
        raise BadInputError(f"{short(text)} is too long for an entry of a ban list")
    return Entry(text)


def _explain(screen: Screen, target: Target, entry: Entry, action: str) -> int:
    """The steps by hand, for these arguments."""
    from runbooks.ban import page

    steps = page.steps(
        target.installation,
        page.BanArguments(
            (entry.text,),
            action,
            single=target.sites[0].first_list,
            sites=target.sites,
            lists=target.lists,
            timeout=target.timeout,
        ),
    )
    return options.show_steps(screen, target.installation, steps)


def _show_members(screen: Screen, plan: Plan) -> None:
    """Whom the new entry would match among those who are subscribed now."""
    having = [look for look in plan.looks if look.said.members]
    if not having:
        return
    on = many(len(having), "list")
    if not plan.entry.is_pattern:
        screen.say(f"  It is subscribed to {on} and stays so: a ban does not unsubscribe.")
        return
    matched = sum(look.said.members for look in having)
    total = sum(look.said.of_members for look in plan.looks)
    who = sorted({address for look in having for address in look.said.some_members})
    some = ", ".join(who[:NAMED]) + (", …" if len(who) > NAMED or matched > len(who) else "")
    screen.say(f"  It matches {matched:,} of {many(total, 'subscription')} on {on}: {some}")


_WORDS = {
    "ban": ("to ban", ("refuses it already", "refuse it already", "refused it already")),
    "unban": ("to unban", ("does not have it", "do not have it", "did not have it")),
}


def _go(screen: Screen, plan: Plan, dry_run: bool, yes: bool) -> int:
    to_do, done = _WORDS[plan.action.name]
    words = Words(
        question=f"{plan.action.name.capitalize()} {plan.entry.text} from",
        to_do=to_do,
        past=plan.action.past,
        done=done,
    )
    return carry_out(
        screen,
        plan,
        words,
        dry_run=dry_run,
        yes=yes,
        details=lambda report: _show_members(screen, plan),
    )
