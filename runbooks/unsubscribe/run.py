"""Unsubscribing addresses from all lists, by command: look, take out, read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from runbooks.errors import BadInputError, short
from runbooks.mailman import edit, numbering
from runbooks.mailman.events import Outcome
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Answer, Watch, Work, over_lists, recorded
from runbooks.refusals import is_address


def address(text: str) -> str:
    """An address whose members are to be removed. Raises BadInputError for what is none."""
    if text.startswith("^"):
        raise BadInputError(
            f"{short(text)} is a pattern, and members are unsubscribed by address: Mailman's"
            " find_member names those whom it matches"
        )
    if not is_address(text):
        raise BadInputError(f"{short(text)} is not an address: try target@example.com")
    return text


@dataclass
class Presence:
    """What the lists have of one address."""

    #: the lists that it is a member of
    lists: int = 0
    #: subscriptions that wait for a confirmation, and those that a moderator has to decide
    confirmations: int = 0
    requests: int = 0

    @property
    def is_any(self) -> bool:
        return bool(self.lists or self.confirmations or self.requests)


@dataclass(frozen=True)
class Plan(edit.Plan):
    """Addresses, and what each list has of them."""

    addresses: tuple[str, ...]
    #: tell the members, and those who run the lists
    tell: bool = False
    #: how they were named: what was typed, and options
    typed: tuple[str, ...] = ()
    naming: tuple[str, ...] = ()

    def is_done(self, look: Answer) -> bool:
        said = look.said
        return not (said.subscribed or said.confirming or said.requesting)

    def already(self, look: Answer) -> Answer:
        return replace(look, outcome=Outcome.ABSENT)

    def again(self, options: tuple[str, ...]) -> tuple[str, ...]:
        tell = ("--tell",) * self.tell
        return invocation("unsubscribe", *self.typed, options=(*self.naming, *tell, *options))

    @cached_property
    def presence(self) -> dict[str, Presence]:
        """By address: those that some list has come first."""
        found = [Presence() for _ in self.addresses]
        for look, lists in self.looks.kinds:
            for number in numbering.heard(look.said.subscribed):
                found[number].lists += lists
            for number, confirmations in look.said.confirming.items():
                found[number].confirmations += confirmations * lists
            for number, requests in look.said.requesting.items():
                found[number].requests += requests * lists
        by_address = zip(self.addresses, found, strict=True)
        return dict(sorted(by_address, key=lambda item: not item[1].is_any))

    def change(self, watch: Watch | None = None, arguments: Sequence[str] = ()) -> Work:
        addresses = list(self.addresses)
        record = recorded(
            self.target, "unsubscribe", arguments or self.again(()), addresses=addresses
        )
        parameters = {
            "action": "change",
            "addresses": addresses,
            "tell": self.tell,
            "journal": record,
        }
        # Every list, not only those that had some of them when they were looked at: whoever
        # abuses the form goes on meanwhile.
        done = (Outcome.UNSUBSCRIBED, Outcome.ABSENT, Outcome.GONE)
        return over_lists(
            self.target,
            "unsubscribing",
            parameters,
            done,
            watch=watch,
            hints=self.hints,
            seen=self.seen,
        )


def look(
    target: Target,
    addresses: Sequence[str],
    *,
    tell: bool = False,
    typed: Sequence[str] = (),
    naming: tuple[str, ...] = (),
) -> Plan:
    """See what each list has of the addresses. One command; changes nothing on the host.

    `typed` and `naming`: how they were named, where that was not one by one.
    """
    parameters = {"action": "look", "addresses": list(addresses)}
    seen = over_lists(target, "unsubscribing", parameters, (Outcome.LOOKED, Outcome.GONE))
    if not naming:
        typed = typed or addresses
    return Plan(target, seen, tuple(addresses), tell, tuple(typed), naming)
