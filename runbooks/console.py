"""What a person sees: plan, question, progress, result. Colours and motion on a terminal alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text


def clean(text: str) -> str:
    """`text` without characters that a terminal would obey. They come from names on the host."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


class Screen:
    """Where a command writes. With `as_json`, standard output is for objects alone."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.errors = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.console = (
            self.errors if as_json else Console(highlight=False, markup=False, emoji=False)
        )

    def say(self, text: str = "", style: str = "") -> None:
        """A line for a person. Never wrapped: it may be copied."""
        if self.as_json and not self.errors.is_terminal:
            return
        self.console.print(Text(clean(text), style=style), soft_wrap=True)

    def table(self, rows: Sequence[tuple[str, ...]], indent: int = 2) -> None:
        """Columns, each as wide as its widest cell; a second line of a cell stays in its column."""
        if not rows:
            return
        widths = [max(len(clean(row[i])) for row in rows) for i in range(len(rows[0]) - 1)]
        left = " " * indent
        margin = indent + sum(width + 2 for width in widths)
        for row in rows:
            cells = [clean(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
            first, *more = clean(row[-1]).split("\n")
            self.say((left + "  ".join([*cells, first])).rstrip())
            for line in more:
                self.say(" " * margin + line, style="cyan" if line.startswith("→") else "")

    def object(self, **members: Any) -> None:
        """A JSON object on a line of its own, with --json."""
        if self.as_json:
            sys.stdout.write(json.dumps(members, ensure_ascii=True) + "\n")
            sys.stdout.flush()

    def warn(self, text: str) -> None:
        """A warning, on standard error."""
        self.errors.print(
            Text("warning: ", style="yellow").append(clean(text), style="default"), soft_wrap=True
        )

    def ask(self, question: str) -> bool:
        """Yes or no; no is the default. The end of input is no answer."""
        answer = self.errors.input(Text(f"{clean(question)} [y/N] "))
        return answer.strip().lower() in ("y", "yes")

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """A spinner while something takes its time."""
        if self.errors.is_terminal:
            with self.errors.status(Text(clean(what))):
                yield
        else:
            yield

    @contextmanager
    def progress(self, total: int) -> Iterator[Progress]:
        """A bar over `total` lists. Task 0 is the bar."""
        bar = Progress(
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self.errors,
            disable=not self.errors.is_terminal,
        )
        bar.add_task("", total=total)
        with bar:
            yield bar


def many(number: int, noun: str) -> str:
    """``1 list``, ``2 lists``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
