"""One change to every list that is not so already: how each list stands to it, and doing it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from runbooks.mailman.answers import Answers
from runbooks.mailman.events import Outcome
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Hints, Watch, Work, over_lists, recorded

#: What there is to say of lists that need no more attention, where nothing is changed.
_AS_IT_IS = frozenset((Outcome.PLANNED, Outcome.ALREADY, Outcome.ABSENT))


@dataclass(frozen=True)
class Plan(ABC):
    """A change, and how each list stands to it."""

    target: Target
    #: every list, with outcome "looked", or what is wrong
    seen: Work

    @abstractmethod
    def is_done(self, look: Answer) -> bool:
        """Whether there is nothing to do for a list that was looked at, whatever its name."""

    @abstractmethod
    def again(self, options: tuple[str, ...]) -> tuple[str, ...]:
        """What to write after ``runbook`` to repeat it with `options`, which choose lists."""

    @abstractmethod
    def change(self, watch: Watch | None = None, arguments: Sequence[str] = ()) -> Work:
        """Change every list, and read it back. One command, which leaves a record.

        Ctrl-C lets the lists in hand be finished. `arguments`: the command line, for the journal.
        Raises JournalError when the record cannot be written; then nothing was changed.
        """

    def already(self, look: Answer) -> Answer:
        """What there is to say of a list that needs no change."""
        return replace(look, outcome=Outcome.ALREADY)

    @cached_property
    def looks(self) -> Answers:
        """The lists that could be looked at."""
        return self.seen.answers.those(lambda answer: answer.outcome is Outcome.LOOKED)

    @cached_property
    def to_do(self) -> Answers:
        """Those of them to which something is to be done."""
        return self.looks.those(lambda look: not self.is_done(look))

    @cached_property
    def hints(self) -> Hints:
        def names() -> Counter[str]:
            return Counter(str(answer.list) for answer in self.seen.answers)

        return Hints(self.target, self.again, names)

    @property
    def untouched(self) -> Work:
        """What there is to report where nothing is changed: each list as it was seen."""
        answers = Answers(map(self._as_it_is, self.seen.answers))
        return replace(self.seen, done=_AS_IT_IS, answers=answers)

    def _as_it_is(self, seen: Answer) -> Answer:
        if seen.outcome is not Outcome.LOOKED:
            return seen
        if not self.is_done(seen):
            return replace(seen, outcome=Outcome.PLANNED)
        return self.already(seen)


@dataclass(frozen=True)
class Edit(Plan):
    """A change by a program that is built on `onhost/editing.py`."""

    #: the on-host program
    program: str
    #: what it is given
    parameters: Mapping[str, object]
    #: what to write after ``runbook`` for this change
    command: tuple[str, ...]

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
        return cls(target, seen, program, parameters, command)

    def is_done(self, look: Answer) -> bool:
        return look.said.is_done

    def again(self, options: tuple[str, ...]) -> tuple[str, ...]:
        return (*self.command, *options)

    def change(self, watch: Watch | None = None, arguments: Sequence[str] = ()) -> Work:
        record = recorded(self.target, self.command[0], arguments or self.command)
        asked = {**self.parameters, "action": "change", "journal": record}
        done = (Outcome.CHANGED, Outcome.ALREADY, Outcome.GONE)
        return over_lists(
            self.target,
            self.program,
            asked,
            done,
            watch=watch,
            hints=self.hints,
            seen=self.seen,
        )
