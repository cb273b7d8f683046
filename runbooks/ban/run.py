"""Banning addresses from all lists, by command: look, change, read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from runbooks.ban.entries import Entry
from runbooks.errors import BadInputError
from runbooks.mailman import edit, numbering
from runbooks.mailman.events import Event, Outcome, Refused
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Answer, Watch, Work, over_lists, recorded

#: So many addresses are named in a sentence.
NAMED = 3

#: Most lists say the same.
_numbers = cache(numbering.heard)


@dataclass(frozen=True)
class Action:
    """``ban`` or ``unban``."""

    name: str
    #: what becomes of a list
    past: Outcome
    #: what is said of a list that was so before
    already: Outcome


BAN = Action("ban", Outcome.BANNED, Outcome.ALREADY)
UNBAN = Action("unban", Outcome.UNBANNED, Outcome.ABSENT)
ACTIONS = {action.name: action for action in (BAN, UNBAN)}


@dataclass
class Standing:
    """How the lists stand to one of the entries: numbers of lists."""

    entry: Entry
    #: by what refuses it: an entry, or "" for the very address
    refused: Counter[str] = field(default_factory=Counter)
    #: … by an entry of GLOBAL_BAN_LIST alone
    for_all: int = 0
    #: that have it in their ban lists
    has: int = 0
    #: of which it is a member, or has members that it matches
    subscribed: int = 0


@dataclass(frozen=True)
class Plan(edit.Plan):
    """Entries, what is to become of them, and how each list stands to them."""

    entries: tuple[Entry, ...]
    action: Action
    #: how they were named: what was typed, and options
    typed: tuple[str, ...]
    naming: tuple[str, ...] = ()
    #: without which the command could not be repeated
    options: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """``target@example.com``, or ``20 addresses``"""
        return many_addresses(self.entries)

    def is_done(self, look: Answer) -> bool:
        if self.action is BAN:
            return sum(len(_numbers(of)) for of in look.said.refused.values()) == len(self.entries)
        return not look.said.has

    def again(self, options: tuple[str, ...]) -> tuple[str, ...]:
        return invocation(
            self.action.name, *self.typed, options=(*self.naming, *self.options, *options)
        )

    def by(self, look: Answer) -> str:
        """The entry by which a list refuses the only address, or ""."""
        return next((entry or self.entries[0].text for entry in look.said.refused), "")

    def already(self, look: Answer) -> Answer:
        if self.action is UNBAN and look.said.refused:
            return self.explain(look)
        return replace(look, outcome=self.action.already)

    @cached_property
    def people(self) -> dict[str, dict[str, list[str]]]:
        """Who runs a list and would be matched: by entry, address to the lists."""
        found: dict[str, dict[str, list[str]]] = {}
        for look in self.looks.those(lambda look: look.said.people):
            for number, addresses in look.said.people.items():
                for address in addresses:
                    lists = found.setdefault(self.entries[number].text, {})
                    lists.setdefault(address, []).append(str(look.list))
        return found

    @cached_property
    def standings(self) -> list[Standing]:
        """How the lists that could be looked at stand to each entry."""
        found = [Standing(entry) for entry in self.entries]
        for look, lists in self.looks.kinds:
            said = look.said
            for by, numbers in said.refused.items():
                for number in _numbers(numbers):
                    found[number].refused[by] += lists
            for number in _numbers(said.has):
                found[number].has += lists
            for number in _numbers(said.for_all):
                found[number].for_all += lists
            for number in (*_numbers(said.subscribed), *said.matched):
                found[number].subscribed += lists
        return found

    @property
    def members(self) -> list[str]:
        """Those of the addresses that are subscribed to a list now; no patterns."""
        return [
            one.entry.text for one in self.standings if one.subscribed and not one.entry.is_pattern
        ]

    def explain(self, answer: Answer) -> Answer:
        """What became of a list, with the command that helps where that is not what was asked."""
        said = answer.said
        if said.refused:
            return self._still_refused(answer)
        if said.accepted:
            who = _some(self.entries[number].text for number in _numbers(said.accepted))
            detail = f"saved, but read back the list still accepts {who}"
            return replace(answer, detail=detail, help=self.hints.repeat(answer))
        if said.left_lock:
            help = invocation("clear-lock", str(answer.list), options=self.hints.only(answer))
            return replace(answer, help=help)
        if answer.outcome is Outcome.ERROR and not (said.unknown or said.unseen):
            # Where Mailman knows no such list, the command would not either.
            return replace(answer, help=self.hints.repeat(answer))
        return answer

    def _still_refused(self, answer: Answer) -> Answer:
        """Of a list whose ban was lifted: what it still refuses, and by what."""
        for_all = set(_numbers(answer.said.for_all))
        by = {number: entry for entry, of in answer.said.refused.items() for number in _numbers(of)}
        one = len(self.entries) == 1
        details, entries = [], []
        for number, entry in sorted(by.items())[: NAMED + 1]:
            text = self.entries[number].text
            name = entry or text
            if number in for_all:
                # No unban helps: it is in no ban list.
                why = f"the entry {name} of GLOBAL_BAN_LIST in Mailman's mm_cfg.py"
            else:
                why = f"its entry {name}"
                entries.append(name)
            details.append(f"{'the address' if one else text}, by {why}")
        if len(by) > NAMED:
            details[NAMED:] = [f"{len(by) - NAMED:,} more"]
        help: tuple[str, ...] = ()
        if entries:
            # Wherever that entry is, unless the command was about some lists alone.
            some = ("--list", str(answer.list), *self.hints.only(answer))
            options = some if self.target.is_narrowed else ()
            help = invocation("unban", *dict.fromkeys(entries), options=options)
        detail = f"it still refuses {'; '.join(details)}"
        return replace(answer, outcome=Outcome.ERROR, detail=detail, help=help)

    def change(self, watch: Watch | None = None, arguments: Sequence[str] = ()) -> Work:
        action = self.action
        lists: dict[str, list[str]] | None = None
        if self.target.lists is not None:
            lists = {site.name: [] for site in self.target.sites}
            for answer in self.seen.answers:
                lists[answer.site].append(str(answer.list))
        target = replace(self.target, lists=lists)
        addresses = [entry.text for entry in self.entries]
        typed = arguments or (action.name, *self.typed)
        parameters = {
            "action": action.name,
            "addresses": addresses,
            "samples": {entry.text: entry.sample for entry in self.entries if entry.sample},
            "journal": recorded(target, action.name, typed, addresses=addresses),
        }
        return over_lists(
            target,
            "banning",
            parameters,
            (action.past, Outcome.ALREADY, Outcome.ABSENT, Outcome.GONE),
            watch=watch,
            hints=self.hints,
            explain=self.explain,
            seen=self.seen,
        )

    def results(self, work: Work) -> list[tuple[Entry, int, int]]:
        """Of each entry: on how many lists it was banned, or unbanned, and on how many not."""
        did, left = Counter[int](), Counter[int]()
        for answer, lists in work.answers.kinds:
            for number in _numbers(answer.said.did):
                did[number] += lists
        not_done = work.answers.those(lambda answer: answer.outcome not in work.done)
        places = {(answer.site, answer.list) for answer in not_done}
        looks = self.looks if places else ()
        seen = {
            (look.site, look.list): look.said for look in looks if (look.site, look.list) in places
        }
        for answer in not_done:
            before = seen.get((answer.site, answer.list))
            if self.action is BAN:
                refused = before.refused.values() if before else ()
                settled = {number for of in refused for number in _numbers(of)}
                settled.update(_numbers(answer.said.did))
                settled.difference_update(_numbers(answer.said.accepted))
                left.update(set(range(len(self.entries))) - settled)
            elif answer.said.refused:
                left.update(
                    number for of in answer.said.refused.values() for number in _numbers(of)
                )
            else:
                left.update(_numbers(before.has) if before else range(len(self.entries)))
        return [(entry, did[number], left[number]) for number, entry in enumerate(self.entries)]


def many_addresses(entries: Sequence[Entry]) -> str:
    if len(entries) == 1:
        return entries[0].text
    noun = "entries" if any(entry.is_pattern for entry in entries) else "addresses"
    return f"{len(entries):,} {noun}"


def _some(texts: Iterable[str]) -> str:
    named = list(texts)
    more = f" and {len(named) - NAMED:,} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more


def look(
    target: Target,
    entries: Sequence[Entry],
    action: Action = BAN,
    *,
    people: bool = True,
    typed: Sequence[str] = (),
    naming: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> Plan:
    """See which lists refuse the addresses already. One command; changes nothing on the host.

    `people`: look also for members, owners and moderators whom the entries would match. `typed`
    and `naming`: how they were named, where that was not one by one; `options`: those without
    which the command could not be repeated. Raises BadInputError for a pattern that the host's
    Python does not compile.
    """

    def hear(event: Event) -> None:
        if isinstance(event, Refused):
            raise BadInputError(event.why)

    texts = [entry.text for entry in entries]
    parameters = {"action": "look" if people else "ask", "addresses": texts}
    done = (Outcome.LOOKED,)
    seen = over_lists(target, "banning", parameters, done, on_event=hear, lasts=True)
    # It was removed while the others were looked at.
    seen.answers = seen.answers.those(lambda answer: not answer.said.unknown)
    if not naming:
        typed = typed or texts
    return Plan(target, seen, tuple(entries), action, tuple(typed), naming, options)
