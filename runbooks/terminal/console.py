"""What a person sees: plan, question, progress, result. Colours and motion on a terminal alone.

rich is imported only when there is a terminal: it takes longer to load than a short command
takes to run.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runbooks.errors import BadInputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from runbooks.host.host import Host
    from runbooks.mailman.share import Share


def clean(text: str) -> str:
    """`text` without characters that a terminal would obey. They come from names on the host."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


@dataclass(frozen=True)
class Task:
    """Something that is to be done, in a question: ``Ban t@example.com from 7 lists``."""

    #: what comes before the things, with a capital
    words: str
    #: how many of which: their noun, and what follows it
    things: tuple[tuple[int, str, str], ...] = ()

    @classmethod
    def of(cls, words: str, number: int, noun: str = "list") -> Task:
        return cls(words, ((number, noun, ""),))

    def __str__(self) -> str:
        return f"{self.words} {counted(self.things)}".rstrip()


@dataclass(frozen=True)
class Question:
    """What a person is asked before anything is changed."""

    tasks: tuple[Task, ...]
    #: what has to be answered as well
    first: str = ""
    #: "" for a single host
    where: str = ""

    def __str__(self) -> str:
        """``Remove 1 stale lock and ban t@example.com from 7 lists?``"""
        one, *others = map(str, self.tasks)
        text = " and ".join([one, *(other[:1].lower() + other[1:] for other in others)])
        return f"{self.first}{text}{self.where}?"

    @classmethod
    def together(cls, questions: Sequence[Question], where: str) -> Question:
        """The questions of several hosts as one. The same things are added up."""
        found: dict[str, dict[tuple[str, str], int]] = {}
        for task in (task for question in questions for task in question.tasks):
            things = found.setdefault(task.words, {})
            for number, noun, rest in task.things:
                things[noun, rest] = things.get((noun, rest), 0) + number
        tasks = [
            Task(words, tuple((number, *kind) for kind, number in things.items()))
            for words, things in found.items()
        ]
        return cls(tuple(tasks), questions[0].first, where)


def counted(things: Iterable[tuple[int, str, str]]) -> str:
    """``2 stale locks and 3 files left behind``"""
    return " and ".join(many(number, noun) + rest for number, noun, rest in things)


class Screen:
    """Where a command writes. With `as_json`, standard output is for objects alone.

    With `quiet`, only what was not done is told, and errors. A question still comes with what was
    said before it: nobody can answer it otherwise.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        #: what the host has in common with others; None where the command is for it alone
        self.share: Share | None = None
        #: what was not told: lines and their styles
        self._held: list[tuple[str, str]] = []

    @property
    def has_terminal(self) -> bool:
        """Whether a person watches standard error, where progress and questions go."""
        return sys.stderr.isatty()

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches what is said."""
        return (sys.stderr if self.as_json else sys.stdout).isatty()

    @property
    def is_read(self) -> bool:
        """Whether text is shown to anybody: with --json, only on a terminal."""
        return self.has_terminal or not self.as_json

    @cached_property
    def errors(self) -> Console:
        return _console(stderr=True)

    @cached_property
    def console(self) -> Console:
        return self.errors if self.as_json else _console(stderr=False)

    def say(self, text: str = "", style: str = "", *, always: bool = False) -> None:
        """A line for a person. Never wrapped: it may be copied. `always`: also with `quiet`."""
        self.lines([(text, style)], always=always)

    def lines(self, lines: Sequence[tuple[str, str]], *, always: bool = False) -> None:
        """Lines, each with its style, in one piece: there may be thousands."""
        if self.quiet and not always:
            self._held.extend(lines)
            return
        stream = sys.stderr if self.as_json else sys.stdout
        if stream.isatty():
            from rich.text import Text

            texts = [Text(clean(text), style=style) for text, style in lines]
            self.console.print(Text("\n").join(texts), soft_wrap=True)
        elif not self.as_json:
            stream.write("".join(clean(text) + "\n" for text, _ in lines))
            stream.flush()

    @property
    def width(self) -> int | None:
        """How many characters fit in a line; None where nobody watches, and any number do."""
        return shutil.get_terminal_size().columns if self.is_terminal else None

    def table(
        self, rows: Sequence[tuple[str, ...]], indent: int = 2, *, always: bool = False
    ) -> None:
        """Columns, each as wide as its widest cell; the last may have several lines."""
        if not rows or not self.is_read:
            return
        lines = []
        for first, *more in columns(rows, indent):
            lines.append((first, ""))
            lines += [(line, "cyan" if line.lstrip().startswith("→") else "") for line in more]
        self.lines(lines, always=always)

    def object(self, **members: Any) -> None:
        """A JSON object on a line of its own, with --json."""
        self.objects([members])

    def objects(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Each of many such objects, as they are made, and none of them kept."""
        if self.as_json:
            sys.stdout.writelines(json.dumps(one, ensure_ascii=True) + "\n" for one in objects)
            sys.stdout.flush()

    def warn(self, text: str) -> None:
        """A warning, on standard error."""
        if self.has_terminal:
            from rich.text import Text

            warning = Text("warning: ", style="yellow").append(clean(text), style="default")
            self.errors.print(warning, soft_wrap=True)
        else:
            sys.stderr.write(f"warning: {clean(text)}\n")

    def ask(self, question: str) -> bool:
        """Yes or no; no is the default. The end of input is no answer: raises EOFError."""
        for text, style in self._held:
            self.say(text, style, always=True)
        self._held.clear()
        return self.answer(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def confirm(self, question: Question, yes: bool) -> None:
        """Raise BadInputError when the answer is no, or when nobody can answer."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise BadInputError(
                "standard input is not a terminal, so nobody can be asked: add --yes"
            )
        try:
            confirmed = self.ask(str(question))
        except EOFError:
            confirmed = False
        if not confirmed:
            raise BadInputError("not confirmed; nothing was changed")

    @property
    def can_offer(self) -> bool:
        """Whether more may be asked than what a command has to ask."""
        return sys.stdin.isatty()

    def next(self, what: str, words: tuple[str, ...], host: Host) -> None:
        """A command that may come next: the arguments of ``runbook``."""
        self.say(f"{what}: {host.command(words)}")

    def output(self, text: str, bar: Bar) -> None:
        """A line of what a script prints, as it comes: also with --quiet, and above the bar."""
        if bar.progress and sys.stdout.isatty():
            from rich.text import Text

            bar.progress.console.print(Text(text), soft_wrap=True)
            return
        # While a bar is shown, sys.stdout is in the hands of what shows it.
        stream = sys.__stdout__ if bar.progress and sys.__stdout__ else sys.stdout
        stream.write(text + "\n")
        if not bar.progress:
            stream.flush()

    def answer(self, question: str) -> str:
        """What a person types. Raises EOFError at the end of input."""
        return self.errors.input(clean(question), markup=False, emoji=False)

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """While lines are said as they come: below them, that there may be more."""
        if self.is_terminal and not self.quiet:
            from rich.text import Text

            with self.console.status(Text(clean(what), style="dim")):
                yield
        else:
            yield

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """A spinner while something takes its time."""
        if self.has_terminal and not self.quiet:
            from rich.text import Text

            with self.errors.status(Text(clean(what))):
                yield
        else:
            yield

    @contextmanager
    def progress(self, total: int) -> Iterator[Bar]:
        """A bar over `total` lists, on a terminal."""
        if self.quiet or not self.has_terminal:
            yield Bar()
            return
        with bars(self.errors) as progress:
            yield Bar.of(progress, total)


class Bar:
    """How far the work is."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self.progress = progress
        self.task = task

    @classmethod
    def of(cls, progress: Progress, total: int, name: str = "") -> Bar:
        """A bar over `total` lists."""
        return cls(progress, progress.add_task("", total=total, name=name))

    def advance(self, lists: int) -> None:
        """So many lists more are done."""
        if self.progress and self.task is not None:
            self.progress.advance(self.task, lists)

    def waiting(self, lists: int, seconds: float) -> None:
        """Show beside the bar what takes its time: at most `seconds`, for locked lists."""
        if self.progress and self.task is not None:
            text = f"waiting for {many(lists, 'locked list')}, {seconds:g} s at most"
            self.progress.update(self.task, description=text)


def bars(console: Console, *, names: bool = False) -> Progress:
    """What shows bars. `names`: each has its name before it."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    named = [TextColumn("{task.fields[name]}", markup=False)] if names else []
    return Progress(
        *named,
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
    )


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def columns(
    rows: Sequence[tuple[str, ...]], indent: int = 2, size: Callable[[str], int] = len
) -> list[list[str]]:
    """The lines of each row of a table, in columns: see `Screen.table`. `size`: of a cell."""
    rows = [(*(clean(cell).replace("\n", "\\n") for cell in row[:-1]), row[-1]) for row in rows]
    widths = [max(size(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    left = " " * indent
    margin = " " * (indent + sum(width + 2 for width in widths))
    found = []
    for row in rows:
        cells = [
            cell + " " * (width - size(cell)) for cell, width in zip(row, widths, strict=False)
        ]
        first, *more = clean(row[-1]).split("\n")
        line = (left + "  ".join([*cells, first])).rstrip()
        found.append([line, *(margin + one for one in more)])
    return found


def cut(text: str, width: int) -> str:
    """`text`, no longer than `width`."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def many(number: int, noun: str, plural: str = "") -> str:
    """``1 list``, ``2 lists``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
