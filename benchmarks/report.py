"""What was measured, as a page in Markdown: ratios first."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.ban import (
    AGAIN,
    GOAL_BAN,
    GOAL_MANY,
    GOAL_REPETITION,
    LOOP,
    MANY,
    ORIGINAL,
    OURS,
    Cell,
)
from benchmarks.chart import Panel, svg
from benchmarks.others import GOAL_HELP, GOAL_LOCKS

GOAL_COMMANDS = 6
GOALS = ("what", "measured", "goal", "met")

HEAD = """\
# Measurements

`tox -e bench` writes this file. Times are medians of whole commands as they are typed, over
`docker exec`: with the start of Python, finding out about the host, reading back every list, and
the record in the journal. What is compared was run in turns. Over ssh the same commands and bytes
are sent.
"""

FEWER = """\
Where the table says `1 of 5`, there was no time for all five runs: the time is the median of those
that there were.
"""

BY_HAND = """\
*the page's script*: `withlist -q -a -r ban ADDRESS` with the script that the page had before, as
Mailman's user. *a shell loop*: the same script, one `withlist` for each list. *the same again*:
`runbook ban` of an address that every list refuses already. Each ban is of a new address.
*work*: processor time on the server, which other load on the machine hardly changes; two
processors can halve the time that it takes.
"""


@dataclass
class Results:
    """Everything that was measured on one server."""

    mailman: str
    cells: list[Cell] = field(default_factory=list)
    #: by number of files: seconds
    locks: dict[int, float] = field(default_factory=dict)
    #: (lists, members) that there was no time for
    left_out: list[tuple[int, int]] = field(default_factory=list)
    #: that the server could use
    processors: int = 2


@dataclass
class Report:
    """A whole run."""

    machine: str
    #: when, in UTC, and the load of the machine before and after
    date: str
    load: tuple[float, float]
    startup: dict[str, float]
    results: list[Results]

    def goals(self) -> list[tuple[str, str, str, bool]]:
        """What was asked for, what was measured, the goal, and whether that is met."""
        rows = []
        for one in self.results:
            where = one.mailman
            for cell in one.cells:
                if (cell.lists, cell.members) != (1000, 1000):
                    continue
                for what, name, goal in (
                    (OURS, "ban", GOAL_BAN),
                    (AGAIN, "repetition", GOAL_REPETITION),
                ):
                    ratio = cell.ratio(what)
                    label = f"{name} / the page's script, 1,000 lists of 1,000 members, {where}"
                    rows.append((label, f"{ratio:.2f}", f"≤ {goal}", ratio <= goal))
                if MANY in cell.times:
                    ratio = cell.ratio(MANY, OURS)
                    label = f"{MANY} / 1 address, 1,000 lists of 1,000 members, {where}"
                    rows.append((label, f"{ratio:.2f}", f"≤ {GOAL_MANY}", ratio <= GOAL_MANY))
            growth = self._growth(one)
            if growth:
                rows.append((f"time for a list, {growth[0]}, {where}", *growth[1:]))
            rows += self._costs(one)
            for files, seconds in one.locks.items():
                if files == 10_000:
                    met = seconds <= GOAL_LOCKS
                    label = f"`runbook locks`, 10,000 files, {where}"
                    rows.append((label, f"{seconds:.2f} s", f"≤ {GOAL_LOCKS:g} s", met))
        taken = self.startup["`runbook --help`"]
        rows.append(
            (
                "`runbook --help`",
                f"{taken * 1000:.0f} ms",
                f"≤ {GOAL_HELP * 1000:.0f} ms",
                taken <= GOAL_HELP,
            )
        )
        return rows

    def _goals(self, missed: str) -> list[tuple[str, ...]]:
        return [(*row, "yes" if met else missed) for *row, met in self.goals()]

    def csv(self) -> str:
        """The goals and what was measured, for a table in the docs."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(GOALS)
        # Names of commands are literals there with two backquotes.
        rows.writerows([cell.replace("`", "``") for cell in row] for row in self._goals("**no**"))
        return text.getvalue()

    def _growth(self, one: Results) -> tuple[str, str, str, bool] | None:
        """Time for a list at the largest number, compared with 1,000 lists."""
        for members in (1000, 10):
            cells = {cell.lists: cell for cell in one.cells if cell.members == members}
            if 1000 in cells and 10_000 in cells:
                growth = cells[10_000].median(OURS) / cells[1000].median(OURS) / 10
                where = f"10,000 / 1,000 lists of {members:,} members"
                return where, f"{growth:.2f}", "about 1", growth <= 1.25
        return None

    def _costs(self, one: Results) -> list[tuple[str, str, str, bool]]:
        costs = [(cell, cell.cost) for cell in one.cells if cell.cost and cell.members == 10]
        if len(costs) < 2:
            return []
        (few, first), (many, last) = costs[0], costs[-1]
        here, there = last.here / first.here, last.on_host / first.on_host
        span = f"{many.lists:,} / {few.lists:,} lists of 10 members, {one.mailman}"
        most = max(cost.commands for _, cost in costs)
        return [
            (f"memory on the host, {span}", f"{there:.2f}", "about 1", there <= 1.25),
            (f"memory here, {span}", f"{here:.2f}", "about 1", here <= 1.25),
            (
                f"commands sent to the host by `ban`, {one.mailman}",
                f"{most}",
                f"≤ {GOAL_COMMANDS}",
                most <= GOAL_COMMANDS,
            ),
        ]

    def markdown(self, notes: str = "") -> str:
        """The page."""
        parts = [HEAD, self._conditions(), "## Ratios and goals\n"]
        parts.append(table(GOALS, self._goals("**no**")))
        if notes:
            parts.append(notes.strip() + "\n")
        parts += ["![Time against number of lists](ban-time.svg)\n", BY_HAND]
        for one in self.results:
            parts.append(f"## {one.mailman}\n")
            parts.append(times(one.cells, one.left_out))
            if any(len(cell.times[OURS]) < cell.planned for cell in one.cells):
                parts.append(FEWER)
            parts.append(costs(one.cells))
            if one.locks:
                rows = [(f"{files:,}", f"{taken:.2f} s") for files, taken in one.locks.items()]
                parts.append(table(("files in the lock folder", "`runbook locks`"), rows))
        parts.append("## Starting\n")
        rows = [(what, f"{taken * 1000:.0f} ms") for what, taken in self.startup.items()]
        parts.append(table(("command", "time"), rows))
        return "\n".join(parts)

    def _conditions(self) -> str:
        return (
            f"Measured {self.date} on {self.machine}; the container could use"
            f" {self.results[0].processors} of the processors."
            f" Load of the machine before the run {self.load[0]:.1f}, after it"
            f" {self.load[1]:.1f} (the run itself makes up to 2).\n"
        )

    def chart(self) -> str:
        """Time against number of lists, of the first server."""
        panels = []
        cells = self.results[0].cells
        for members in sorted({cell.members for cell in cells}):
            lines: dict[str, list[tuple[float, float]]] = {}
            for cell in sorted(cells, key=lambda cell: cell.lists):
                if cell.members != members:
                    continue
                for what in (OURS, AGAIN, ORIGINAL, LOOP):
                    if what in cell.times:
                        lines.setdefault(what, []).append((cell.lists, cell.median(what)))
            panels.append(Panel(f"Lists of {members:,} members", lines))
        return svg(
            panels,
            x_label="lists",
            description="Seconds to ban an address, against the number of lists",
        )


def times(cells: Sequence[Cell], left_out: Sequence[tuple[int, int]] = ()) -> str:
    rows = []
    for cell in cells:
        original, runs = cell.median(ORIGINAL), len(cell.times[OURS])
        number = str(runs) if runs == cell.planned else f"{runs} of {cell.planned}"
        row = [f"{cell.lists:,}", f"{cell.members:,}", number]
        row += [f"{cell.ratio(OURS):.2f}", f"{cell.ratio(AGAIN):.2f}"]
        row.append(f"{cell.work_ratio(OURS):.2f}")
        row += [f"{cell.median(OURS):.2f} s", f"{cell.median(AGAIN):.2f} s", f"{original:.2f} s"]
        row.append(_loop(cell))
        row.append(f"{sorted(cell.banned)[len(cell.banned) // 2]:.2f} s")
        rows.append(tuple(row))
    head = (
        *("lists", "members", "runs", "ban / script", "again / script", "work: ban / script"),
        *("`runbook ban`", AGAIN, ORIGINAL, LOOP, "`runbook banned`"),
    )
    rows += [
        (f"{lists:,}", f"{members:,}", "0", *["not measured"] * (len(head) - 3))
        for lists, members in left_out
    ]
    return table(head, rows)


def _loop(cell: Cell) -> str:
    if LOOP not in cell.times:
        return "not measured"
    loops = len(cell.times[LOOP])
    fewer = "" if loops == len(cell.times[OURS]) else f" ({loops} run{'s' * (loops > 1)})"
    return f"{cell.median(LOOP):.2f} s{fewer}"


def costs(cells: Sequence[Cell]) -> str:
    rows = [
        (
            f"{cell.lists:,}",
            f"{cell.members:,}",
            _mib(cost.here),
            f"{_mib(cost.on_host)} in {cost.processes} processes",
            _mib(cell.original_memory),
            str(cost.commands),
            f"{cost.sent / 1000:,.0f} kB",
            f"{cost.received / 1000:,.0f} kB",
        )
        for cell in cells
        if (cost := cell.cost)
    ] + [
        (f"{cell.lists:,}", f"{cell.members:,}", *["not measured"] * 6)
        for cell in cells
        if cell.cost is None
    ]
    head = (
        *("lists", "members", "memory here", "memory on the host", "memory of the page's script"),
        *("commands to the host", "sent", "received"),
    )
    return table(head, rows)


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f} MiB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
