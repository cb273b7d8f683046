"""Banning an address from all lists, by command: look, change, read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runbooks.ban.entries import Entry
from runbooks.errors import BadInputError
from runbooks.mailman import edit
from runbooks.mailman.events import Event, Outcome, Refused
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Answer, Watch, Work, over_lists, recorded


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


@dataclass(frozen=True)
class Plan(edit.Plan):
    """An entry, what is to become of it, and how each list stands to it."""

    entry: Entry
    action: Action
    #: options without which the command could not be repeated
    options: tuple[str, ...] = ()

    def is_done(self, look: Answer) -> bool:
        if self.action is BAN:
            return look.said.refused_by is not None
        return not look.said.entries

    def again(self, options: tuple[str, ...]) -> tuple[str, ...]:
        return invocation(self.action.name, self.entry.text, options=(*self.options, *options))

    def already(self, look: Answer) -> Answer:
        if self.action is UNBAN and look.said.refused_by is not None:
            return self.explain(look)
        return replace(look, outcome=self.action.already)

    @property
    def people(self) -> dict[str, list[str]]:
        """Who runs a list and would be matched: address to the lists."""
        found: dict[str, list[str]] = {}
        for look in self.looks:
            for address in look.said.people:
                found.setdefault(address, []).append(str(look.list))
        return found

    def explain(self, answer: Answer) -> Answer:
        """What became of a list, with the command that helps where that is not what was asked."""
        said = answer.said
        if said.refused_by is not None:
            return self._still_refused(answer, said.refused_by)
        if said.left_lock:
            help = invocation("clear-lock", str(answer.list), options=self.hints.only(answer))
            return replace(answer, help=help)
        if answer.outcome is Outcome.ERROR and not (said.unknown or said.unseen):
            # Where Mailman knows no such list, the command would not either.
            return replace(answer, help=self.hints.repeat(answer))
        return answer

    def _still_refused(self, answer: Answer, entry: str) -> Answer:
        still = "it still refuses the address, by"
        if answer.said.for_all:
            # No unban helps: it is in no ban list.
            detail = f"{still} the entry {entry} of GLOBAL_BAN_LIST in Mailman's mm_cfg.py"
            return replace(answer, outcome=Outcome.ERROR, detail=detail)
        # Wherever that entry is, unless the command was about some lists alone.
        some = ("--list", str(answer.list), *self.hints.only(answer))
        help = invocation("unban", entry, options=some if self.target.is_narrowed else ())
        return replace(
            answer, outcome=Outcome.ERROR, detail=f"{still} its entry {entry}", help=help
        )

    def change(self, watch: Watch | None = None, arguments: Sequence[str] = ()) -> Work:
        action, entry = self.action, self.entry
        lists: dict[str, list[str]] | None = None
        if self.target.lists is not None:
            lists = {site.name: [] for site in self.target.sites}
            for answer in self.seen.answers:
                lists[answer.site].append(str(answer.list))
        target = replace(self.target, lists=lists)
        typed = arguments or (action.name, entry.text)
        parameters = {
            "action": action.name,
            "address": entry.text,
            "sample": entry.sample,
            "journal": recorded(target, action.name, typed, address=entry.text),
        }
        done = (action.past, Outcome.ALREADY, Outcome.ABSENT, Outcome.GONE)
        return over_lists(
            target, "banning", parameters, done, watch=watch, hints=self.hints, explain=self.explain
        )


def look(
    target: Target,
    entry: Entry,
    action: Action = BAN,
    *,
    people: bool = True,
    options: tuple[str, ...] = (),
) -> Plan:
    """See which lists refuse the address already. One command; changes nothing on the host.

    `people`: look also for members, owners and moderators whom the entry would match. `options`:
    those without which the command could not be repeated. Raises BadInputError for a pattern
    that the host's Python does not compile.
    """

    def hear(event: Event) -> None:
        if isinstance(event, Refused):
            raise BadInputError(f"{entry.text!r} would ban nobody: {event.why}")

    parameters = {"action": "look" if people else "ask", "address": entry.text}
    seen = over_lists(target, "banning", parameters, (Outcome.LOOKED,), on_event=hear)
    # It was removed while the others were looked at.
    seen.answers = [answer for answer in seen.answers if not answer.said.unknown]
    return Plan(target, seen, entry, action, options)
