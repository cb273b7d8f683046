"""What a person sees of unsubscribing: the plan by address, and the words."""

from __future__ import annotations

from runbooks.mailman.events import Outcome
from runbooks.terminal.console import many
from runbooks.terminal.report import Change, Report, Words
from runbooks.unsubscribe.run import Plan, Presence

#: So many addresses have a row each in the plan.
_SHOWN = 30


def change(plan: Plan) -> Change:
    """What is told of unsubscribing."""
    it = "it" if len(plan.addresses) == 1 else "them"
    words = Words(
        question=f"Unsubscribe {_named(plan.addresses)} from",
        to_do="to unsubscribe from",
        past=Outcome.UNSUBSCRIBED,
        done=(f"does not have {it}", f"do not have {it}", f"did not have {it}"),
        result="unsubscribed from {}",
    )
    return Change(plan, words, details=lambda report: _show_presence(report, plan))


def _named(addresses: tuple[str, ...]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses):,} addresses"


def _show_presence(report: Report, plan: Plan) -> None:
    """What the lists have of each address, for a person and for programs."""
    screen = report.screen
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
