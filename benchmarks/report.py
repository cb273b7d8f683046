"""What was measured, as a page in Markdown, ratios first; and as a chart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import goals, over_ssh
from benchmarks.ban import AGAIN, LOOP, ORIGINAL, OURS, Cell
from benchmarks.chart import Panel, svg
from benchmarks.goals import GOAL_SIZES, NOT_MEASURED, Results
from benchmarks.over_ssh import ANSIBLE, PYINFRA, SSH
from benchmarks.record import BEGIN, END, EXPLAINED, WHY

HEAD = """\
# Measurements

`tox -e bench` writes this file. Times are medians of whole commands as they are typed: with the
start of Python, finding out about the host, reading back every list, and the record in the journal;
over `docker exec` unless it says that they are over ssh. What is compared was run in turns.
"""

OTHER_SIZES = """\
This was a run to try the measuring out (`--quick`): it says nothing of the goals, which are about
other sizes.
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

OVER_SSH = """\
Each runs the page's script on {lists} lists of {members} members a host, as Mailman's user, but for
`runbook ban`, which does what it always does. *ssh + withlist*: ssh to the host, and there withlist
as that user, on several hosts all at the same time. *pyinfra*: a deploy of one shell operation, all
hosts at the same time. *Ansible*: a play of one raw task (quicker than a command task), without
gathering facts, with pipelining and 10 forks. Every command starts without a connection to any
host, and leaves none. Each ban was read back afterwards. All hosts are containers on this one
machine, and share its processors. In brackets: processor time of the command here, without that on
the hosts. {versions}.
"""


@dataclass
class Report:
    """A whole run."""

    machine: str
    #: when, in UTC, and the load of the machine before and after
    date: str
    load: tuple[float, float]
    #: how many the servers could use
    processors: int
    startup: dict[str, float]
    results: list[Results]
    #: of the programs that `runbook` was compared with
    versions: str = ""

    def markdown(self) -> str:
        """The page. The notes are put into it by `record.with_notes`."""
        quick = any(one.sizes != GOAL_SIZES for one in self.results)
        parts = [HEAD, "## Goals\n", BEGIN]
        parts += [OTHER_SIZES] * quick
        parts += [self._conditions(), self._goals()]
        parts += [WHY, EXPLAINED, self._compared(), self._over_ssh(), END]
        parts += ["![Time against number of lists](ban-time.svg)\n", BY_HAND]
        for one in self.results:
            cells = sorted(one.cells.values(), key=lambda cell: (cell.members, cell.lists))
            parts += [f"## {one.name}\n", times(cells)]
            if any(len(cell.times.get(OURS, ())) < cell.planned for cell in cells):
                parts.append(FEWER)
            parts.append(costs(cells))
            rows = [(f"{files:,}", f"{taken:.2f} s") for files, taken in one.locks.items()]
            parts.append(table(("files in the lock folder", "`runbook locks`"), rows))
        parts.append("## Starting\n")
        rows = [(what, f"{taken * 1000:.0f} ms") for what, taken in self.startup.items()]
        parts.append(table(("command", "time"), rows))
        return "\n".join(parts)

    def _goals(self) -> str:
        rows = [
            (one[0].key, one[0].what, one[0].wanted, *map(str, one))
            for one in zip(*(goals.goals(one, self.startup) for one in self.results), strict=True)
        ]
        return table((*goals.HEAD, *(one.name for one in self.results)), rows)

    def _conditions(self) -> str:
        return (
            f"Measured {self.date} on {self.machine}; the containers could use"
            f" {self.processors} of the processors."
            f" Load of the machine before the run {self.load[0]:.1f}, after it"
            f" {self.load[1]:.1f} (the run itself makes up to 2, with several hosts more).\n"
        )

    def _compared(self) -> str:
        """Over ssh: a row for each server and number of hosts."""
        ways = (OURS, SSH, PYINFRA, ANSIBLE)
        rows = [
            (
                one.name,
                str(compared.hosts),
                str(len(compared.times[OURS])),
                *map(compared.cell, ways),
            )
            for one in self.results
            for compared in one.over_ssh.values()
        ]
        return table(("over ssh", "hosts", "runs", *ways), rows) if rows else ""

    def _over_ssh(self) -> str:
        # Not where ssh was not to be had.
        if not any(one.over_ssh for one in self.results):
            return ""
        given = {"lists": over_ssh.LISTS, "members": over_ssh.MEMBERS}
        return OVER_SSH.format(**given, versions=self.versions)

    def chart(self) -> str:
        """Time against number of lists: for each server a row, for each size of list a column."""
        sizes = sorted({members for one in self.results for _, members in one.cells})
        panels = []
        for one in self.results:
            for members in sizes:
                lines: dict[str, list[tuple[float, float]]] = {}
                for cell in sorted(one.cells.values(), key=lambda cell: cell.lists):
                    for what in (OURS, AGAIN, ORIGINAL, LOOP):
                        if cell.members == members and what in cell.times:
                            lines.setdefault(what, []).append((cell.lists, cell.median(what)))
                title = f"Lists of {members:,} members"
                if len(self.results) > 1:
                    title = f"Mailman {one.mailman.version}, lists of {members:,} members"
                panels.append(Panel(title, lines))
        return svg(
            panels,
            columns=len(sizes),
            x_label="lists",
            description="Seconds to ban an address, against the number of lists",
        )


def times(cells: Sequence[Cell]) -> str:
    head = (
        *("lists", "members", "runs", "ban / script", "again / script", "work: ban / script"),
        *("`runbook ban`", AGAIN, ORIGINAL, LOOP, "`runbook banned`"),
    )
    rows: list[Sequence[str]] = []
    for cell in cells:
        if OURS not in cell.times:
            unknown = [NOT_MEASURED] * (len(head) - 3)
            rows.append((f"{cell.lists:,}", f"{cell.members:,}", "0", *unknown))
            continue
        runs = len(cell.times[OURS])
        number = str(runs) if runs == cell.planned else f"{runs} of {cell.planned}"
        row = [f"{cell.lists:,}", f"{cell.members:,}", number]
        row += [f"{cell.ratio(OURS):.2f}", f"{cell.ratio(AGAIN):.2f}"]
        row.append(f"{cell.work_ratio(OURS):.2f}")
        row += [f"{cell.median(what):.2f} s" for what in (OURS, AGAIN, ORIGINAL)]
        row.append(_loop(cell))
        row.append(f"{statistics.median(cell.banned):.2f} s")
        rows.append(row)
    return table(head, rows)


def _loop(cell: Cell) -> str:
    if LOOP not in cell.times:
        return NOT_MEASURED
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
        (f"{cell.lists:,}", f"{cell.members:,}", *[NOT_MEASURED] * 6)
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
