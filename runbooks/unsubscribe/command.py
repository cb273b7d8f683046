"""``runbook unsubscribe``."""

from __future__ import annotations

from typing import Any

import click

from runbooks.ban import given
from runbooks.terminal import options
from runbooks.terminal.console import Screen, many
from runbooks.terminal.report import Report, Words, carry_out
from runbooks.unsubscribe import run
from runbooks.unsubscribe.run import Plan, Presence

#: So many addresses have a row each in the plan.
_SHOWN = 20


@click.command(
    epilog="""\b
Examples:
  runbook unsubscribe target@example.com
  runbook unsubscribe --from victims.txt --host ssh://root@lists.example.org --dry-run
  runbook unsubscribe target@example.com --list openstack-foo --tell
"""
)
@given.arguments
@options.change_lists
@click.option(
    "--tell",
    is_flag=True,
    help="Say goodbye to the member, and tell who runs the list, as far as the list does so.",
)
def unsubscribe(
    addresses: tuple[str, ...],
    from_file: str | None,
    skip_bad: bool,
    dry_run: bool,
    yes: bool,
    explain: bool,
    tell: bool,
    **chosen: Any,
) -> int:
    """Unsubscribe each ADDRESS from every list of every site on the host.

    In any case of letters, from regular delivery and from digests. Its subscriptions that wait
    for a confirmation or for a moderator are discarded, on every list. Nobody is told. 'runbook
    undo' puts all of it back, with the settings that it had. To keep an address out, ban it
    ('runbook ban').
    """
    found = given.chosen(addresses, from_file, skip_bad, run.address)
    screen, target = options.begin(**chosen)
    if explain:
        from runbooks.unsubscribe import page

        asked = page.UnsubscribeArguments(found.good, tell, target.sites, target.lists)
        return options.show_steps(
            screen, target.installation, page.steps(target.installation, asked)
        )
    for line in found.bad:
        screen.warn(f"left out: {line}")
    typed = (*addresses, "--from", from_file) if from_file else ()
    with screen.busy("looking at the lists"):
        plan = run.look(target, found.good, tell=tell, typed=typed)
    words = Words(
        question=f"Unsubscribe {_named(plan.addresses)} from",
        to_do="to unsubscribe from",
        past="unsubscribed",
        done=("has nothing of it", "have nothing of it", "had nothing of it"),
        result="unsubscribed from {}",
    )
    return carry_out(
        screen,
        plan,
        words,
        dry_run=dry_run,
        yes=yes,
        details=lambda report: _show_presence(report, plan),
    )


def _named(addresses: tuple[str, ...]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses):,} addresses"


def _show_presence(report: Report, plan: Plan) -> None:
    """What the lists have of each address, for a person and for programs."""
    screen: Screen = report.screen
    rows = [(one, _of(presence)) for one, presence in plan.presence.items()]
    screen.table(rows[:_SHOWN])
    if more := rows[_SHOWN:]:
        nowhere = sum(not plan.presence[one].is_any for one, _ in more)
        screen.say(f"  … and {len(more):,} more, {nowhere:,} of them on no list")
    for one, presence in plan.presence.items():
        screen.object(
            address=one,
            lists=presence.lists,
            confirmations=presence.confirmations,
            requests=presence.requests,
        )


def _of(presence: Presence) -> str:
    if not presence.is_any:
        return "on no list"
    parts = [f"member of {many(presence.lists, 'list')}"] if presence.lists else []
    waiting = [
        many(number, noun)
        for number, noun in (
            (presence.confirmations, "confirmation"),
            (presence.requests, "held request"),
        )
        if number
    ]
    if waiting:
        parts.append(f"{' and '.join(waiting)} waiting")
    return ", ".join(parts)
