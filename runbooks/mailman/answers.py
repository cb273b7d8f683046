"""What was said of many lists, in little memory: most say the same, and that is kept once.

Of each list, its name alone is kept, as bytes behind those of others: a tenth of what an object
takes. The objects are made anew for whoever goes through them.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

from runbooks.mailman.events import ListEvent, Outcome


@dataclass(frozen=True)
class Answer:
    """What an on-host program said of one list, or of a site whose lists it could not name."""

    site: str
    #: None: all of the site
    list: str | None
    outcome: Outcome
    detail: str = ""
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()
    #: everything that it said, but for the name; of a site, nothing
    said: ListEvent = field(default_factory=lambda: ListEvent("", "", Outcome.UNKNOWN))


#: An answer is compared with so many kinds that came last; it is of a new one otherwise.
_RECENT = 8

#: No name of a file has it.
_END = b"\0"


class _Kind:
    """Lists of which the same is said."""

    def __init__(self, answer: Answer, said: ListEvent) -> None:
        self.answer = replace(answer, list=None if answer.list is None else "", said=said)
        self.number = 0
        self._names = bytearray()
        self._is_sorted = True

    def has(self, answer: Answer, said: ListEvent) -> bool:
        """Whether it is what an answer says, which said `said`."""
        one = self.answer
        return (
            (said is one.said or said == one.said)
            and answer.outcome is one.outcome
            and answer.site == one.site
            and answer.detail == one.detail
            and answer.help == one.help
            and (answer.list is None) is (one.list is None)
        )

    def add(self, name: str | None) -> None:
        self._names += (name or "").encode("utf-8", "surrogatepass") + _END
        self.number += 1
        self._is_sorted = self.number == 1

    def __iter__(self) -> Iterator[Answer]:
        """An answer for each list, by name."""
        if not self._is_sorted:
            # In bytes, text has the order that it has in characters.
            names = bytes(self._names[:-1]).split(_END)
            names.sort()
            self._names.clear()
            for name in names:  # join() would take 80 bytes for each
                self._names += name + _END
            self._is_sorted = True
        one = self.answer
        for found in re.finditer(rb"([^\0]*)\0", self._names):
            text = None if one.list is None else found[1].decode("utf-8", "surrogatepass")
            yield Answer(one.site, text, one.outcome, one.detail, one.help, one.said)


class Answers(Sequence[Answer]):
    """Answers, by site and name."""

    def __init__(self, answers: Iterable[Answer] = ()) -> None:
        self._kinds: list[_Kind] = []
        #: those that came last, the very last first
        self._recent: list[_Kind] = []
        for answer in answers:
            self.append(answer)

    def append(self, answer: Answer, others: Iterable[str] = ()) -> None:
        """Keep one more, and the same of other lists."""
        said = answer.said.without_list()
        kind = next((kind for kind in self._recent if kind.has(answer, said)), None)
        if kind is None:
            kind = _Kind(answer, said)
            self._kinds.append(kind)
            self._recent = [kind, *self._recent[: _RECENT - 1]]
        elif kind is not self._recent[0]:
            self._recent.remove(kind)
            self._recent.insert(0, kind)
        for name in (answer.list, *others):
            kind.add(name)

    @property
    def kinds(self) -> list[tuple[Answer, int]]:
        """What is said, once each, with of how many lists. The name in it is no list's."""
        return [(kind.answer, kind.number) for kind in self._kinds]

    def those(self, test: Callable[[Answer], object]) -> Answers:
        """Those of which `test` is true. It must not ask for the name of the list."""
        found = Answers()
        found._kinds = [kind for kind in self._kinds if test(kind.answer)]
        return found

    def explained(self, explain: Callable[[Answer], Answer]) -> Answers:
        """What `explain` makes of each.

        Whether it leaves an answer alone must not depend on the name of the list.
        """
        found = Answers()
        for kind in self._kinds:
            first = next(iter(kind))
            if explain(first) is first:
                found._kinds.append(kind)
            else:
                for answer in kind:
                    found.append(explain(answer))
        return found

    def __iter__(self) -> Iterator[Answer]:
        if len(self._kinds) == 1:
            return iter(self._kinds[0])
        return heapq.merge(*self._kinds, key=lambda answer: (answer.site, answer.list or ""))

    def __len__(self) -> int:
        return sum(kind.number for kind in self._kinds)

    @overload
    def __getitem__(self, at: int) -> Answer: ...

    @overload
    def __getitem__(self, at: slice) -> list[Answer]: ...

    def __getitem__(self, at: int | slice) -> Answer | list[Answer]:
        if isinstance(at, slice) and at.start is at.step is None and (at.stop or 0) > 0:
            return list(itertools.islice(self, at.stop))
        return list(self)[at]
