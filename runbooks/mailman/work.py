"""One thing done to many lists of a host, through an on-host program over lists: what came back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from runbooks.errors import LostError
from runbooks.mailman import events, journal
from runbooks.mailman.answers import Answer as Answer
from runbooks.mailman.answers import Answers
from runbooks.mailman.events import Event, ListEvent, Outcome, Recorded
from runbooks.mailman.target import LockEvidence, Target


class Watch(Protocol):
    """Who is told how far the work is."""

    def advance(self, lists: int) -> None:
        """So many lists more are done."""

    def waiting(self, lists: int, seconds: float) -> None:
        """So many locked lists are waited for, at most so long."""


@dataclass
class Work:
    """What became of a run over lists."""

    #: the outcomes of lists that are as was asked
    done: frozenset[Outcome]
    #: a list each
    answers: Answers = field(default_factory=Answers)
    #: sites whose lists could not be named, and why
    sites_failed: dict[str, str] = field(default_factory=dict)
    #: the run ended before its last list, and why
    ended_early: str = ""
    #: where the run is recorded; None for one that changes nothing
    recorded: Recorded | None = None
    evidence: LockEvidence = field(default_factory=LockEvidence)

    @property
    def counts(self) -> Counter[str]:
        found = Counter[str]()
        for answer, number in self.answers.kinds:
            found[answer.outcome] += number
        return found

    @property
    def left(self) -> list[Answer]:
        """What was not done: lists, and whole sites."""
        lists = list(self.answers.those(lambda answer: answer.outcome not in self.done))
        sites = [Answer(site, None, Outcome.ERROR, w) for site, w in self.sites_failed.items()]
        return lists + sites

    @property
    def stale(self) -> list[Answer]:
        """Lists whose lock has to be removed before anything can be done to them."""
        return [
            answer
            for answer in self.answers.those(lambda answer: answer.said.locked)
            if self.evidence.stale(answer.site, str(answer.list))
        ]

    @property
    def is_done(self) -> bool:
        return not (self.left or self.ended_early)

    def of(self, site: str) -> Answers:
        return self.answers.those(lambda answer: answer.site == site)


@dataclass(frozen=True)
class Hints:
    """The arguments of ``runbook`` that help with one list, and touch no other."""

    target: Target
    #: of the options that choose a list, what repeats the command for it
    again: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda options: ()
    #: counts on how many sites there is a list of each name; None: the site is always named
    names: Callable[[], Mapping[str, int]] | None = None

    def only(self, answer: Answer) -> tuple[str, ...]:
        """The option for the site, where the name alone may mean several lists."""
        several = len(self.target.installation.sites) > 1
        if self.names is not None and answer.list is not None:
            several = self._names.get(answer.list, 0) > 1
        return self.target.only(answer.site, several=several)

    @cached_property
    def _names(self) -> Mapping[str, int]:
        # Of thousands of lists, and needed only where there is something to help with.
        return self.names() if self.names else {}

    def repeat(self, answer: Answer) -> tuple[str, ...]:
        return self.again(("--list", str(answer.list), *self.only(answer)))


def over_lists(
    target: Target,
    program: str,
    parameters: Mapping[str, object],
    done: Iterable[Outcome],
    *,
    watch: Watch | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    hints: Hints | None = None,
    explain: Callable[[Answer], Answer] = lambda answer: answer,
    secret: bytes = b"",
    seen: Work | None = None,
    lasts: bool = False,
) -> Work:
    """Run an on-host program over lists (`onhost/lists.py`). One command.

    `done`: the outcomes of lists that are as was asked. `watch` is told of each list that is
    done, and when locks are waited for; `on_event` hears whatever else the program says. Ctrl-C
    lets the lists in hand be finished. `hints`: what helps where a list was locked. `explain`
    puts an answer into words. `secret`: what the program reads from standard input. `seen`: what
    was seen of the lists before; a lock that was stale then is not waited for. `lasts`: the lists
    may be changed next. Raises JournalError when the run cannot be recorded; then nothing was
    changed.
    """
    work = Work(frozenset(done))
    for site, why in target.silent.items():
        work.sites_failed[site] = f"the site does not answer: {why}"

    def hear(event: Event) -> None:
        match event:
            case ListEvent():
                said = event.site, event.list, event.outcome, event.detail
                work.answers.append(Answer(*said, said=event), event.alike)
                if watch:
                    watch.advance(1 + len(event.alike))
            case events.SiteLists():
                if event.error is not None:
                    work.sites_failed[event.site] = event.error
            case events.Waiting():
                if watch:
                    watch.waiting(event.lists, event.seconds)
            case events.Locks():
                work.evidence.hear(event)
            case Recorded() | events.Unrecorded():
                work.recorded = journal.heard(event) or work.recorded
                work.ended_early = journal.stopped_why(event) or work.ended_early
            case events.Stopped():
                work.ended_early = work.ended_early or "interrupted"
            case _:
                on_event(event)

    try:
        asked = target.parameters() | dict(parameters) | {"stale": _stale(seen)}
        target.installation.call(program, asked, hear, secret, lasts=lasts)
    except KeyboardInterrupt:
        work.ended_early = work.ended_early or f"interrupted at once{_see_history(work, target)}"
    except LostError as e:
        if work.recorded is None:
            raise
        # What was heard until then is worth telling; the host ends what it has in hand.
        work.ended_early = f"{e}{_see_history(work, target)}"
    helping = hints or Hints(target)
    work.answers = work.answers.explained(
        lambda answer: _explained(explain(answer), work.evidence, helping)
    )
    return work


def _stale(seen: Work | None) -> dict[str, dict[str, object]]:
    """By site and list: what tells the stale locks that were seen from any that came later."""
    found: dict[str, dict[str, object]] = {}
    for answer in seen.stale if seen else ():
        lock = seen.evidence.stale(answer.site, str(answer.list)) if seen else None
        if lock:
            entry = lock.entry
            file = {"inode": entry.inode, "nlink": entry.nlink, "ctime_ns": entry.ctime_ns}
            found.setdefault(answer.site, {})[str(answer.list)] = file
    return found


def recorded(
    target: Target, command: str, arguments: Sequence[str], *, undoes: str = "", **more: object
) -> dict[str, object]:
    """The parameter of a program over lists that has it keep a record. See `journal.parameters`."""
    return journal.parameters(
        target.installation, command, arguments, sites=target.sites, undoes=undoes, **more
    )


def _see_history(work: Work, target: Target) -> str:
    if work.recorded is None:
        return ""
    command = target.installation.host.command(("history", work.recorded.run))
    return f" ('{command}' shows what became of the lists that it was working on)"


def _explained(answer: Answer, evidence: LockEvidence, hints: Hints) -> Answer:
    """An answer that is about a lock, with who holds that and what to do about it."""
    is_locked = answer.outcome is Outcome.LOCKED or answer.said.locked
    if answer.list is None or answer.outcome is Outcome.LOOKED or not is_locked:
        return answer
    who = evidence.describe(answer.site, answer.list)
    detail = f"{answer.detail}: {who}" if answer.said.locked and answer.detail else who
    help = evidence.help(answer.site, answer.list, hints.repeat(answer), hints.only(answer))
    return replace(answer, detail=detail, help=help)
