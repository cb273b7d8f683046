"""What a step needs on a server, and whether it is there, asked by what changes nothing."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

#: So many probes go to the host at a time: between them, Ctrl-C ends it.
TOGETHER = 12


@dataclass(frozen=True)
class Answer:
    """What a probe printed, standard error included, and its exit status."""

    text: str
    status: int

    @property
    def said(self) -> str:
        """Its last line, for a message."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1][:200] if lines else f"nothing, and ends with status {self.status}"


@dataclass(frozen=True)
class Cause:
    """Why a step does not hold, and what to do."""

    why: str
    help: str


@dataclass(frozen=True, eq=False)
class Need:
    """Something that a step needs.

    `probe`: a command for a shell, which changes nothing; "" where nothing has to be asked.
    `judge`: what is wrong, by the answer; "" when nothing is. `after`: only asked where all of
    these are met, since nobody could tell otherwise.
    """

    probe: str
    judge: Callable[[Answer], str]
    help: str = ""
    after: tuple[Need, ...] = ()


def fact(why: str, help: str = "") -> Need:
    """A need of which is known that it is not met, and why; met when `why` is empty."""
    return Need("", lambda answer: why, help)


class Findings:
    """What came of all needs, each probe asked once."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {"": Answer("", 0)}

    def find_out(self, needs: Iterable[Need], ask: Callable[[str], str]) -> None:
        """Ask all that is needed: `ask` runs a command in a shell of the host; what it prints."""
        wanted = list(needs)
        while to_ask := list(dict.fromkeys(p for need in wanted for p in self._open(need))):
            for at in range(0, len(to_ask), TOGETHER):
                some = to_ask[at : at + TOGETHER]
                self._answers.update(zip(some, _asked(some, ask), strict=True))

    def _open(self, need: Need) -> list[str]:
        """The probes to ask next, so that in the end it is known whether a need is met."""
        before = [probe for one in need.after for probe in self._open(one)]
        if before or need.probe in self._answers or not all(map(self._is_met, need.after)):
            return before
        return [need.probe]

    def _is_met(self, need: Need) -> bool:
        return all(map(self._is_met, need.after)) and not need.judge(self._answers[need.probe])

    def causes(self, needs: Iterable[Need]) -> list[Cause]:
        """Why needs are not met. What hangs on a need that is not met is left out."""
        found: dict[Cause, None] = {}
        for need in needs:
            found.update(dict.fromkeys(self.causes(need.after)))
            if all(map(self._is_met, need.after)):
                why = need.judge(self._answers[need.probe])
                if why:
                    found[Cause(why, need.help)] = None
        return list(found)


def _asked(probes: Sequence[str], ask: Callable[[str], str]) -> list[Answer]:
    """The answers to several probes, in one command."""
    mark = f"@@{secrets.token_hex(8)}"
    lines = [f"( {probe}\n) 2>&1\nprintf '\\n{mark} %d\\n' $?" for probe in probes]
    printed = ask("\n".join(lines))
    parts = re.split(rf"\n{mark} ([0-9]+)\n", printed)
    texts, statuses = parts[0:-1:2], parts[1::2]
    if len(statuses) != len(probes):
        raise ValueError(f"{len(probes)} probes gave {len(statuses)} answers")
    return [Answer(text, int(status)) for text, status in zip(texts, statuses, strict=True)]
