"""Work on many lists of a host, through an on-host program over lists: what came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runbooks.errors import LostError
from runbooks.mailman import events, journal
from runbooks.mailman.events import Event, Outcome, Recorded
from runbooks.mailman.installation import Installation
from runbooks.mailman.target import LockEvidence


@dataclass(frozen=True)
class Answer:
    """What an on-host program said of one list."""

    site: str
    list: str
    outcome: Outcome
    detail: str = ""
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()
    #: everything that it said
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Work:
    """What became of a run over lists."""

    answers: list[Answer] = field(default_factory=list)
    #: sites whose lists could not be named, and why
    sites_failed: dict[str, str] = field(default_factory=dict)
    #: the run ended before its last list, and why
    ended_early: str = ""
    #: where the run is recorded; None for one that changes nothing
    recorded: Recorded | None = None

    @property
    def counts(self) -> Counter[str]:
        return Counter(answer.outcome for answer in self.answers)

    def of(self, site: str) -> list[Answer]:
        return [answer for answer in self.answers if answer.site == site]


def over_lists(
    installation: Installation,
    program: str,
    parameters: dict[str, object],
    on_answer: Callable[[Answer], None] = lambda answer: None,
    on_waiting: Callable[[int, float], None] = lambda lists, seconds: None,
    on_event: Callable[[Event], None] = lambda event: None,
    again: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda options: (),
    secret: bytes = b"",
) -> Work:
    """Run an on-host program over lists (`onhost/lists.py`). One command.

    `on_answer` hears of each list when it is done, `on_waiting` when locks are waited for,
    `on_event` whatever else the program says. Ctrl-C lets the lists in hand be finished.
    `again`: of the options that choose a list, the arguments of ``runbook`` that repeat this for
    it, to help where it was locked. `secret`: what the program reads from standard input.
    Raises JournalError when the run cannot be recorded; then nothing was changed.
    """
    work = Work()
    evidence = LockEvidence()

    def hear(event: Event) -> None:
        match event:
            case events.ListEvent():
                answer = Answer(
                    event.site, event.list, event.outcome, event.detail, said=vars(event)
                )
                work.answers.append(answer)
                on_answer(answer)
            case events.SiteLists():
                if event.error is not None:
                    work.sites_failed[event.site] = event.error
            case events.Waiting():
                on_waiting(event.lists, event.seconds)
            case events.Locks():
                evidence.hear(event)
            case Recorded() | events.Unrecorded():
                work.recorded = journal.heard(event) or work.recorded
                work.ended_early = journal.stopped_why(event) or work.ended_early
            case events.Stopped():
                work.ended_early = work.ended_early or "interrupted"
            case _:
                on_event(event)

    try:
        installation.call(program, parameters, hear, secret)
    except KeyboardInterrupt:
        see = _see_history(work, installation)
        work.ended_early = work.ended_early or f"interrupted at once{see}"
    except LostError as e:
        if work.recorded is None:
            raise
        # What was heard until then is worth telling; the host ends what it has in hand.
        work.ended_early = f"{e}{_see_history(work, installation)}"
    several = len(installation.sites) > 1
    for at, answer in enumerate(work.answers):
        # Which of the other sites has a list of that name is not known here.
        only = ("--site", answer.site) if several else ()
        repeat = again(("--list", answer.list, *only))
        work.answers[at] = _explained(answer, evidence, repeat, only)
    work.answers.sort(key=lambda answer: (answer.site, answer.list))
    return work


def _see_history(work: Work, installation: Installation) -> str:
    if work.recorded is None:
        return ""
    command = installation.host.command(("history", work.recorded.run))
    return f" ('{command}' shows what became of the lists in hand)"


def _explained(
    answer: Answer, evidence: LockEvidence, again: tuple[str, ...], only: tuple[str, ...]
) -> Answer:
    """An answer that is about a lock, with who holds that and what to do about it."""
    if answer.outcome != "locked" and not answer.said.get("locked"):
        return answer
    who = evidence.describe(answer.site, answer.list)
    detail = f"{answer.detail}: {who}" if answer.said.get("locked") and answer.detail else who
    help = evidence.help(answer.site, answer.list, again, only)
    return replace(answer, detail=detail, help=help)
