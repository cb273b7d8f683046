"""`runbook ban` beside the script that the page had, and beside a shell loop.

By itself it prints the ratios on 1,000 lists of 1,000 members:

    python -m benchmarks.ban
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.server import WITHLIST, Cost, Server

#: What the repetition and the ban may take of the original's time, at most.
GOAL_BAN, GOAL_REPETITION = 0.6, 0.3
#: What a ban of so many addresses may take of the time of a ban of one, at most.
ADDRESSES, GOAL_MANY = 20, 1.2

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
    #: in how many of the runs a shell loop is measured as well
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
    planned: int = 5
    #: seconds of each run
    times: dict[str, list[float]] = field(default_factory=dict)
    #: seconds of processor time on the server, of each run
    work: dict[str, list[float]] = field(default_factory=dict)
    banned: list[float] = field(default_factory=list)
    cost: Cost | None = None
    #: KiB of the process that runs the original
    original_memory: int = 0

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
    lists: int,
    members: int,
    plan: Plan,
    *,
    tell: Callable[[str], None] = lambda line: None,
) -> Cell:
    """Measure side by side: each run of one is followed by a run of the others.

    Every ban is of an address that no list has; the lists are those of the run before.
    """
    server.grow(lists, members)
    cell = Cell(lists, members, plan.runs)
    deadline = time.monotonic() + plan.minutes * 60
    # Once for the caches of the disk, and of the compiled modules here and there.
    server.banned_by_all("nobody@example.com", expected="accepts")

    def run(what: str, command: Callable[[], float]) -> None:
        before = server.processor_time()
        seconds = command()
        work = server.processor_time() - before
        cell.times.setdefault(what, []).append(seconds)
        cell.work.setdefault(what, []).append(work)
        tell(f"{lists:,} lists of {members:,}: {what} {seconds:.2f} s, {work:.2f} s of work")

    longest = 0.0
    for number in range(plan.runs):
        begun = time.monotonic()
        if number and begun + longest > deadline:
            break
        ours, original, looped = new_address(), new_address(), new_address()
        run(OURS, partial(server.ban, ours))
        if plan.many:
            run(MANY, partial(server.ban, *(new_address() for _ in range(ADDRESSES))))
        run(ORIGINAL, partial(server.original, original))
        run(AGAIN, partial(server.ban, ours, expected="already"))
        if number < plan.loops:
            run(LOOP, partial(server.loop, looped))
            server.banned_by_all(looped)
        cell.banned.append(server.banned_by_all(original))
        longest = max(longest, time.monotonic() - begun)
    if plan.memory:
        cell.cost = server.measure("ban", new_address(), "--yes")
        with server.watched(WITHLIST) as most:
            server.original(new_address())
        cell.original_memory = most["largest"]
    return cell


def new_address() -> str:
    return f"target{next(_numbers)}@example.com"


def ratios(cell: Cell) -> str:
    """The ratios, in a line."""
    where = f"{cell.lists:,} lists of {cell.members:,} members"
    return (
        f"{where}: ban {cell.ratio(OURS):.2f} of the page's script (goal {GOAL_BAN}),"
        f" repetition {cell.ratio(AGAIN):.2f} (goal {GOAL_REPETITION});"
        f" {MANY} {cell.ratio(MANY, OURS):.2f} of one (goal {GOAL_MANY})"
    )


if __name__ == "__main__":
    from contextlib import closing

    from benchmarks.subjects import interruptible, servers

    with interruptible(), closing(servers(None, print)) as subjects:
        for one in subjects:
            print(ratios(measure(one, 1000, 1000, Plan(memory=False, many=True), tell=print)))
