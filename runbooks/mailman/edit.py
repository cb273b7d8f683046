"""One change to every list that is not so already, by a program built on `onhost/editing.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runbooks.mailman.events import Outcome
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Hints, Watch, Work, over_lists, recorded


@dataclass(frozen=True)
class Edit:
    """A change, and how each list stands to it."""

    target: Target
    #: the on-host program
    program: str
    #: what it is given
    parameters: Mapping[str, object]
    #: what to write after ``runbook`` for this change
    command: tuple[str, ...]
    seen: Work

    @classmethod
    def look(
        cls,
        target: Target,
        program: str,
        parameters: Mapping[str, object],
        command: tuple[str, ...],
    ) -> Edit:
        """See how each list stands to it. One command; changes nothing on the host."""
        asked = {**parameters, "action": "look"}
        seen = over_lists(target, program, asked, (Outcome.LOOKED,))
        return cls(target, program, parameters, command, seen)

    @property
    def to_do(self) -> list[Answer]:
        looks = [answer for answer in self.seen.answers if answer.outcome is Outcome.LOOKED]
        return [look for look in looks if not look.said.is_done]

    @property
    def untouched(self) -> Work:
        """What there is to report where nothing is changed."""
        work = replace(self.seen, done=frozenset((Outcome.ALREADY, Outcome.PLANNED)))
        work.answers = [
            replace(answer, outcome=Outcome.PLANNED if answer in self.to_do else Outcome.ALREADY)
            if answer.outcome is Outcome.LOOKED
            else answer
            for answer in self.seen.answers
        ]
        return work

    def change(self, watch: Watch | None = None, arguments: Sequence[str] = ()) -> Work:
        """Change every list, and read it back. One command, which leaves a record.

        Ctrl-C lets the lists in hand be finished. Raises JournalError when the record cannot be
        written; then nothing was changed.
        """
        record = recorded(self.target, self.command[0], arguments or self.command)
        asked = {**self.parameters, "action": "change", "journal": record}
        names = Counter(str(answer.list) for answer in self.seen.answers)
        hints = Hints(self.target, lambda options: (*self.command, *options), names)
        done = (Outcome.CHANGED, Outcome.ALREADY, Outcome.GONE)
        return over_lists(self.target, self.program, asked, done, watch=watch, hints=hints)
