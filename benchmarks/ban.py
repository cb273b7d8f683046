"""`runbook ban` beside the script that the page had, and beside a shell loop."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.server import WITHLIST, Cost, Server

ADDRESSES = 20
MANY = f"{ADDRESSES} addresses"
OURS, AGAIN, ORIGINAL, LOOP = (
    "runbook ban",
    "the same again",
    "the page's script",
    "a shell loop",
)

_numbers = itertools.count()


@dataclass(frozen=True)
class Plan:
    """How often the lists of a cell are done, and what else is measured."""

    runs: int = 5
    #: in how many runs a shell loop is measured as well, or alone if there are no others
    loops: int = 0
    #: for all runs; none is begun that would take longer than is left, but for the first
    minutes: float = 60
    #: memory takes two runs more
    memory: bool = True
    #: whether a ban of `ADDRESSES` addresses is measured as well
    many: bool = False


@dataclass
class Cell:
    """The times on so many lists of so many members."""

    lists: int
    members: int
    #: how many runs were planned
    planned: int = 0
    #: seconds of each run
    times: dict[str, list[float]] = field(default_factory=dict)
    #: seconds of processor time on the server, of each run
    work: dict[str, list[float]] = field(default_factory=dict)
    banned: list[float] = field(default_factory=list)
    cost: Cost | None = None
    #: KiB of the process that runs the original
    original_memory: int = 0

    def __str__(self) -> str:
        return size(self.lists, self.members)

    def median(self, what: str) -> float:
        return statistics.median(self.times[what])

    def work_ratio(self, what: str) -> float:
        """The processor time of `what` on the server as a part of the original's."""
        return statistics.median(self.work[what]) / statistics.median(self.work[ORIGINAL])

    def ratio(self, what: str, than: str = ORIGINAL) -> float:
        """The time of `what` as a part of the original's, or of another's."""
        return self.median(what) / self.median(than)


def measure(
    server: Server,
    cell: Cell,
    plan: Plan,
    *,
    deadline: float = math.inf,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Measure side by side, and add it to the cell: each run of one is followed by the others'.

    Every ban is of an address that no list has; the lists are those of the run before. `deadline`:
    when no further run is begun, as of time.monotonic().
    """
    server.have(cell.lists, cell.members)
    cell.planned += plan.runs
    deadline = min(deadline, time.monotonic() + plan.minutes * 60)
    # Once for the caches of the disk, and of the compiled modules here and there.
    server.banned_by_all("nobody@example.com", expected="accepts")

    def run(what: str, command: Callable[[], float]) -> None:
        before = server.processor_time()
        seconds = command()
        work = server.processor_time() - before
        cell.times.setdefault(what, []).append(seconds)
        cell.work.setdefault(what, []).append(work)
        tell(f"{cell}: {what} {seconds:.2f} s, {work:.2f} s of work")

    longest = 0.0
    for number in range(max(plan.runs, plan.loops)):
        begun = time.monotonic()
        if number and begun + longest > deadline:
            break
        ours, original, looped = new_address(), new_address(), new_address()
        if number < plan.runs:
            run(OURS, partial(server.ban, ours))
            if plan.many:
                run(MANY, partial(server.ban, *(new_address() for _ in range(ADDRESSES))))
            run(ORIGINAL, partial(server.original, original))
            run(AGAIN, partial(server.ban, ours, expected="already"))
            cell.banned.append(server.banned_by_all(original))
        if number < plan.loops:
            run(LOOP, partial(server.loop, looped))
            server.banned_by_all(looped)
        longest = max(longest, time.monotonic() - begun)
    if plan.runs and plan.memory:
        cell.cost = server.measure("ban", new_address(), "--yes")
        with server.watched(WITHLIST) as most:
            server.original(new_address())
        cell.original_memory = most["largest"]


def size(lists: int, members: int) -> str:
    """What a cell is called."""
    return f"{lists:,} lists of {members:,} members"


def new_address() -> str:
    return f"target{next(_numbers)}@example.com"
