"""One command for several hosts: each in a thread of its own; one plan, one question, one report.

What a command does on a host is a function. On a single host it is called, and that is all. On
several, what it says is kept until there is something to show of all of them, and where it asks
before it changes anything, it waits for the others: nothing is changed anywhere unless everything
that was named is right.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from runbooks.errors import BadInputError, HostError, NotThereError, RunbookError
from runbooks.mailman.share import Runs, Share, lacking_everywhere
from runbooks.terminal.console import Bar, Question, Screen, bars, many

if TYPE_CHECKING:
    from rich.progress import Progress

    from runbooks.host.host import Host

T = TypeVar("T")

#: Hosts that are worked on at a time, unless told otherwise.
AT_ONCE = 8


def reach(host: Host) -> None:
    """Begin to connect. What is imported meanwhile costs no time."""
    from runbooks.mailman.installation import connect

    connect(host)


def opened(specs: Sequence[str]) -> list[Host]:
    """The hosts; they are let go of when the command ends. Of several, none asks a person."""
    from runbooks.host.host import Host

    found = [Host(spec, unattended=len(specs) > 1) for spec in specs]
    click.get_current_context().call_on_close(lambda: _close(found))
    return found


def _close(hosts: Sequence[Host]) -> None:
    """Let go of all of them: to say goodbye takes as long as the way there and back."""
    closing = [threading.Thread(target=host.close) for host in hosts[1:]]
    for thread in closing:
        thread.start()
    hosts[0].close()
    for thread in closing:
        thread.join()


def on_each(
    screen: Screen, specs: Sequence[str], at_once: int, work: Callable[[Screen, Host], int]
) -> int:
    """Do `work` on each host, `at_once` at a time; the exit status.

    A host that fails is named, and the others are done. Raises BadInputError where nothing was
    changed.
    """
    hosts = opened(specs)
    if len(hosts) == 1:
        reach(hosts[0])
        return work(screen, hosts[0])
    return _Company(screen, hosts, at_once, work).go()


@dataclass
class Answers(Generic[T]):
    """What hosts answered that were asked the same."""

    #: by the name that tells the host from the others; "" for a single one
    of: dict[str, T]
    #: those that did not answer, and why
    failed: list[tuple[Host, str]]


def ask_each(
    screen: Screen, hosts: Sequence[Host], at_once: int, ask: Callable[[Screen, Host], T]
) -> Answers[T]:
    """Ask each host the same; nothing is changed. The errors of a single one are raised."""
    if len(hosts) == 1:
        return Answers({"": ask(screen, hosts[0])}, [])
    found: dict[str, T] = {}

    def work(part: Screen, host: Host) -> int:
        found[host.spec] = ask(part, host)
        return 0

    company = _Company(screen, hosts, at_once, work)
    company.settle()
    company.check()
    answered = [part for part in company.parts if part.host.spec in found]
    if not answered:
        raise HostError("; ".join(str(part.error) for part in company.parts))
    return Answers(
        {part.label: found[part.host.spec] for part in answered},
        [(part.host, str(part.error)) for part in company.parts if part not in answered],
    )


def named(label: str, text: str) -> str:
    """`text` with the host before it that it is about, where there are several."""
    return f"{label}: {text}" if label else text


class _Part(Screen):
    """What a command writes about one of several hosts, until it is told."""

    def __init__(self, company: _Company, host: Host, label: str, runs: Runs) -> None:
        super().__init__(company.screen.as_json, company.screen.quiet)
        self.company = company
        self.host = host
        self.label = label
        self.share = Share(runs)
        #: what is still to be told
        self.kept: list[Callable[[Screen], None]] = []
        #: some of that is told with --quiet as well
        self.is_loud = False
        #: what it waits to be allowed
        self.question: Question | None = None
        self.has_ended = False
        self.is_told = False
        self.status = 0
        self.error: BaseException | None = None

    # -- what is said ------------------------------------------------------------------

    def lines(self, lines: Sequence[tuple[str, str]], *, always: bool = False) -> None:
        self.is_loud = self.is_loud or always
        self.kept.append(lambda screen: screen.lines(lines, always=always))

    def objects(self, objects: Iterable[Mapping[str, Any]]) -> None:
        told = [{"host": self.host.spec} | dict(one) for one in objects]
        self.kept.append(lambda screen: screen.objects(told))

    def warn(self, text: str) -> None:
        self.kept.append(lambda screen: screen.warn(f"{self.label}: {text}"))

    def next(self, what: str, words: tuple[str, ...], host: Host) -> None:
        self.company.nexts.setdefault((what, words), set()).add(self.host.spec)

    def output(self, text: str, bar: Bar) -> None:
        line = f"{self.label}: {text}"
        if self.company.has_begun:
            with self.company.changed:
                super().output(line, bar)
        else:
            self.kept.append(lambda screen: screen.output(line, bar))

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        yield

    @contextmanager
    def progress(self, total: int) -> Iterator[Bar]:
        progress = self.company.progress
        yield Bar.of(progress, total, self.label) if progress else Bar()

    # -- what is asked -----------------------------------------------------------------

    can_offer = False

    def answer(self, question: str) -> str:
        raise BadInputError("this is asked of one host at a time: name one host")

    def confirm(self, question: Question, yes: bool) -> None:
        self.company.wait_for_the_others(self, question, yes)

    def tell(self, screen: Screen) -> None:
        """Have the whole say what was kept, under the name of the host."""
        error = None if self.is_told else self.error
        if not self.kept and not error:
            return
        self.is_told = self.has_ended
        loud = self.is_loud or isinstance(error, RunbookError)
        self.company.space(loud)
        screen.say(f"== {self.label} ==", style="bold", always=loud)
        for one in self.kept:
            one(screen)
        self.kept.clear()
        if isinstance(error, (RunbookError, KeyboardInterrupt)):
            why = str(error) or "interrupted"
            style = "yellow" if isinstance(error, NotThereError) else "red"
            screen.say(why, style=style, always=True)
            kind = "unreachable" if isinstance(error, HostError) else "error"
            outcome = "absent" if isinstance(error, NotThereError) else kind
            screen.object(host=self.host.spec, outcome=outcome, detail=why)


class _Company:
    """Several hosts that a command is for."""

    def __init__(
        self,
        screen: Screen,
        hosts: Sequence[Host],
        at_once: int,
        work: Callable[[Screen, Host], Any],
    ) -> None:
        self.screen = screen
        self.work = work
        names = Counter(host.name for host in hosts)
        runs = Runs()
        self.parts = [
            _Part(self, host, host.name if names[host.name] == 1 else host.spec, runs)
            for host in hosts
        ]
        self.slots = threading.Semaphore(at_once)
        #: told of whatever becomes of a part; guards what the parts share
        self.changed = threading.Condition(threading.RLock())
        self.context = click.get_current_context()
        self.yes = False
        self.has_begun = False
        self.is_cancelled = False
        self.progress: Progress | None = None
        #: something has been told
        self.has_told = False
        #: what may come next: what for, and the arguments of ``runbook``; the hosts
        self.nexts: dict[tuple[str, tuple[str, ...]], set[str]] = {}

    def go(self) -> int:
        """All of it; the exit status."""
        self.settle()
        try:
            self.check()
            self._tell()
            asking = [part for part in self.parts if part.question]
            if asking:
                questions = [part.question for part in asking if part.question]
                where = f" on {many(len(asking), 'host')}"
                self.screen.confirm(Question.together(questions, where), self.yes)
        except BaseException:
            self._end_all()
            raise
        if asking:
            self._carry_out()
            self._tell()
        return self._sum_up()

    # -- the threads -------------------------------------------------------------------

    def settle(self) -> None:
        """Have every part go as far as it may, without asking anybody."""
        with self.screen.busy(f"asking {many(len(self.parts), 'host')}"):
            for part in self.parts:
                # They end with the process, however long a host does not answer.
                threading.Thread(target=self._run, args=(part,), daemon=True).start()
            try:
                self._wait(lambda: all(part.has_ended or part.question for part in self.parts))
            except BaseException:
                self._end_all()
                raise

    def _run(self, part: _Part) -> None:
        try:
            with self.context.scope(cleanup=False):
                reach(part.host)
                with self.slots:
                    part.status = self.work(part, part.host)
        except BaseException as e:  # noqa: BLE001  told, or raised, by the main thread
            part.error = e
        finally:
            with self.changed:
                part.has_ended = True
                self.changed.notify_all()

    def wait_for_the_others(self, part: _Part, question: Question, yes: bool) -> None:
        """Of the thread of a part: until a person has said what becomes of all."""
        self.slots.release()
        try:
            with self.changed:
                part.question, self.yes = question, yes
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.has_begun or self.is_cancelled)
        finally:
            self.slots.acquire()
        if self.is_cancelled:
            raise BadInputError("nothing was changed")

    def _wait(self, until: Callable[[], bool]) -> None:
        with self.changed:
            self.changed.wait_for(until)

    def _end_all(self) -> None:
        """Nothing is to be changed: have every part end."""
        for part in self.parts:
            if not part.question:
                part.host.kill()
        with self.changed:
            self.is_cancelled = True
            self.changed.notify_all()

    def _carry_out(self) -> None:
        """Have the parts go on that asked. Ctrl-C lets each finish the lists in hand."""
        is_shown = self.screen.has_terminal and not self.screen.quiet
        with bars(self.screen.errors, names=True) if is_shown else nullcontext() as self.progress:
            with self.changed:
                self.has_begun = True
                self.changed.notify_all()
            self._wait_for_the_end()

    def _wait_for_the_end(self, times: int = 0) -> None:
        """`times`: how often Ctrl-C has been pressed."""
        try:
            self._wait(lambda: all(part.has_ended for part in self.parts))
        except KeyboardInterrupt:
            for part in self.parts:
                if not part.has_ended:
                    # The second time, nothing is waited for but what this process has to do.
                    part.host.kill() if times else part.host.interrupt()
            self._wait_for_the_end(times + 1)

    # -- what came of it ---------------------------------------------------------------

    def check(self) -> None:
        """Raise the error of a host for which nothing may be changed anywhere."""
        self._raise_unforeseen()
        answering = [part for part in self.parts if not isinstance(part.error, HostError)]
        wrong = [p for p in answering if isinstance(p.error, BadInputError)]
        bad = [p for p in wrong if not isinstance(p.error, NotThereError)]
        if bad:
            alike = len({str(part.error) for part in bad}) == 1 and bad == answering
            raise BadInputError(f"{bad[0].error}" if alike else f"{bad[0].label}: {bad[0].error}")
        if answering and len(wrong) == len(answering) and wrong[0].error:
            raise wrong[0].error
        if answering and (error := lacking_everywhere([p.share for p in answering if p.share])):
            raise error

    def _raise_unforeseen(self) -> None:
        """Raise what is no fault of a host's, nor of a user's."""
        for part in self.parts:
            if part.error and not isinstance(part.error, (RunbookError, KeyboardInterrupt)):
                raise part.error

    def space(self, always: bool = False) -> None:
        """A line between what is told of one host and the next, or of all."""
        if self.has_told:
            self.screen.say(always=always)
        self.has_told = True

    def _tell(self) -> None:
        for part in self.parts:
            part.tell(self.screen)

    def _sum_up(self) -> int:
        from runbooks.host.host import command

        if self.nexts:
            self.space()
        for (what, words), named in self.nexts.items():
            specs = [part.host.spec for part in self.parts if part.host.spec in named]
            self.screen.say(f"{what}: {command(words, specs)}")
        self._raise_unforeseen()
        left = [
            part
            for part in self.parts
            if part.status or (part.error and not isinstance(part.error, NotThereError))
        ]
        if left:
            names = ", ".join(part.label for part in left)
            text = f"not all done on {len(left)} of {many(len(self.parts), 'host')}: {names}"
            self.screen.say(text, style="red", always=True)
        if all(isinstance(part.error, HostError) for part in self.parts):
            return HostError.exit_status
        return 1 if left else 0
