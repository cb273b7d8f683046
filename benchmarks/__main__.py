"""Measure, print the tables, and keep them if what was measured is GNU Mailman:

python -m benchmarks [--quick] [--minutes N] [--mailman-image IMAGE]... [--out FOLDER]
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import ban, others, over_ssh, record
from benchmarks.ban import AGAIN, LOOP, MANY, ORIGINAL, OURS, Cell, Plan
from benchmarks.command import MeasureError
from benchmarks.goals import GOAL_SIZES, Results, Sizes
from benchmarks.report import Report
from benchmarks.server import Server, processors
from benchmarks.subjects import Trouble, interruptible, subjects
from runbooks.testing.containers.box import BoxError
from runbooks.testing.containers.selection import Subject

if TYPE_CHECKING:
    from docker import DockerClient

#: What is done with so many lists of so many members, one after the other.
Steps = Sequence[tuple[tuple[int, int], Plan]]


@dataclass(frozen=True)
class Programme:
    """What is measured on each server."""

    sizes: Sizes
    #: first on every server, so that a run that is cut short has the goals
    goals: Steps
    #: then on every server, for the charts
    growth: Steps
    #: files in the lock folder
    locks: tuple[int, ...]
    #: rounds of the comparison over ssh on one host, on several, and of `runbook --help`
    alone: int
    several: int
    startup: int


FULL = Programme(
    GOAL_SIZES,
    goals=(
        ((10, 10), Plan(loops=2)),
        ((100, 10), Plan(loops=1)),
        ((1000, 10), Plan()),
        ((10_000, 10), Plan(minutes=2)),
        ((1000, 1000), Plan(many=True)),
    ),
    # A shell loop over 1,000 lists takes minutes, and is run once, when the rest is done; one over
    # 10,000 if its time is left.
    growth=(
        ((10, 1000), Plan(loops=1)),
        ((100, 1000), Plan(loops=1)),
        ((1000, 1000), Plan(runs=0, loops=1)),
        ((1000, 10), Plan(runs=0, loops=1)),
        ((10_000, 1000), Plan(minutes=8, memory=False)),
        ((10_000, 10), Plan(runs=0, loops=1)),
    ),
    locks=(10, 1000, 10_000),
    alone=5,
    several=4,
    startup=21,
)
#: To see that the measuring works.
QUICK = Programme(
    Sizes(large=(20, 20), small=(10, 10), many=(20, 10), most=(40, 10), files=100, hosts=2),
    goals=(
        ((10, 10), Plan(1, loops=1)),
        ((20, 10), Plan(1)),
        ((40, 10), Plan(1)),
        ((20, 20), Plan(1, many=True)),
    ),
    growth=(((20, 20), Plan(runs=0, loops=1)),),
    locks=(10, 100),
    alone=1,
    several=1,
    startup=3,
)
#: No step is begun that would not end by then, and the tables say what was not measured.
MINUTES = 35


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(
    client: DockerClient, subjects: Sequence[Subject], programme: Programme, deadline: float
) -> list[Results]:
    """Measure on each. `deadline`: when no further step is begun, as of time.monotonic()."""
    results = [Results(subject.mailman, programme.sizes) for subject in subjects]
    for subject, one in zip(subjects, results, strict=True):
        say(f"on {one.name}, over ssh")
        try:
            with closing(over_ssh.Hosts(client, subject, programme.sizes.hosts)) as hosts:
                for number, runs in (
                    (1, programme.alone),
                    (programme.sizes.hosts, programme.several),
                ):
                    one.over_ssh[number] = over_ssh.measure(hosts, number, runs, tell=say)
        except BoxError as problem:
            say(f"over ssh: not measured: {problem}")
    with ExitStack() as stack:
        # All of them at the same time, since the goals come first on every one.
        servers = [stack.enter_context(closing(Server(client, subject))) for subject in subjects]
        for server, one in zip(servers, results, strict=True):
            say(f"on {one.name}")
            for files in programme.locks:
                one.locks[files] = others.locks(server, files, 5)
                say(f"{files:,} lock files: {one.locks[files]:.2f} s")
            for where, plan in programme.goals:
                step(server, one, where, plan, deadline)
        for where, plan in programme.growth:
            for server, one in zip(servers, results, strict=True):
                say(f"on {one.name}")
                step(server, one, where, plan, deadline)
    return results


def step(server: Server, one: Results, where: tuple[int, int], plan: Plan, deadline: float) -> None:
    """Measure so many lists, if there is time for it."""
    cell = one.cells.setdefault(where, Cell(*where))
    if time.monotonic() + expected(one, where, plan) > deadline:
        say(f"{cell}: not measured, there is no time for it")
        return
    ban.measure(server, cell, plan, deadline=deadline, tell=say)


def expected(one: Results, where: tuple[int, int], plan: Plan) -> float:
    """The seconds of a round, judged by a tenth of the lists; 0 if nothing is known of those."""
    lists, members = where
    fewer = one.cells.get((lists // 10, members))
    times = fewer.times if fewer else {}
    if plan.loops and lists >= 10_000 and LOOP not in times:
        return math.inf
    whats = (
        [OURS, AGAIN, ORIGINAL] * (plan.runs > 0) + [MANY] * plan.many + [LOOP] * (plan.loops > 0)
    )
    return 10 * sum(fewer.median(what) for what in whats if fewer and what in times)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, once; no goal is judged by it")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        metavar="N",
        help=f"begin nothing that does not end by then, and say what was not measured ({MINUTES})",
    )
    parser.add_argument(
        "--mailman-image",
        action="append",
        default=[],
        metavar="packaged|standin|NAME:TAG",
        help="may be repeated: one run then measures each",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write there whatever was measured (without it: to benchmarks/, if it is GNU Mailman)",
    )
    chosen = parser.parse_args()
    if chosen.out and not chosen.out.is_dir():
        parser.error(f"--out: there is no folder {chosen.out}")
    programme = QUICK if chosen.quick else FULL
    before = os.getloadavg()[0]
    deadline = time.monotonic() + chosen.minutes * 60
    try:
        with interruptible():
            startup = others.startup(programme.startup)
            versions = over_ssh.versions()
            with subjects(chosen.mailman_image, say) as (client, found):
                results = measure(client, found, programme, deadline)
    except (MeasureError, *Trouble) as problem:
        say(f"benchmarks: {problem}")
        return 1
    except KeyboardInterrupt:
        say("benchmarks: interrupted; nothing was written")
        return 130
    report = Report(
        machine=others.machine(),
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        load=(before, os.getloadavg()[0]),
        processors=len(processors()),
        startup=startup,
        results=results,
        versions=versions,
    )
    notes = record.NOTES.read_text(encoding="utf-8")
    text = record.with_notes(report.markdown(), notes)
    chart = report.chart()
    print(text)
    for key in record.unexplained(text, notes):
        say(f"benchmarks: {key} is not met, and notes.md does not say why")
    if why := not chosen.out and unfit(results):
        say(f"benchmarks: nothing was written: {why} (--out FOLDER writes anywhere)")
        return 0
    folder = chosen.out or record.RESULTS.parent
    (folder / record.RESULTS.name).write_text(text, encoding="utf-8")
    (folder / "ban-time.svg").write_text(chart, encoding="utf-8")
    return 0


def unfit(results: Sequence[Results]) -> str:
    """Why these are no record for the docs to show, if they are none."""
    if any(one.mailman.is_standin for one in results):
        return "the docs show GNU Mailman only, and this was the stand-in"
    if any(one.sizes != GOAL_SIZES for one in results):
        return "the docs show the goals, which are about other sizes than --quick has"
    return ""


if __name__ == "__main__":
    sys.exit(main())
