"""Measure, and write results.md, goals.csv and ban-time.svg:

python -m benchmarks [--quick] [--minutes N] [--mailman-image IMAGE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from benchmarks import ban, others
from benchmarks.ban import Plan
from benchmarks.report import Report, Results
from benchmarks.server import MeasureError, Server
from benchmarks.subjects import Trouble, interruptible, servers

#: (lists, members): how often. A shell loop over 1,000 lists takes a minute, and is run once; one
#: over 10,000 is not. A round on 10,000 lists of 1,000 members takes minutes: as many as there is
#: time for.
CELLS = {
    (10, 10): Plan(loops=5),
    (100, 10): Plan(loops=5),
    (1000, 10): Plan(loops=1),
    (10_000, 10): Plan(),
    (10, 1000): Plan(loops=5),
    (100, 1000): Plan(loops=5),
    (1000, 1000): Plan(loops=1, many=True),
    (10_000, 1000): Plan(minutes=12, memory=False),
}
#: On every further server (the other Python).
FURTHER = {(10, 10): Plan(), (1000, 10): Plan(), (1000, 1000): Plan(many=True)}
#: To see that the measuring works.
QUICK = {(10, 10): Plan(1, loops=1), (100, 10): Plan(1), (10, 100): Plan(1, many=True)}
LOCKS = (10, 1000, 10_000)
#: What is not begun by then is not measured, and the tables say so.
MINUTES = 35
SPARED_MINUTES = 6

#: What is to be said about goals that are not met, kept beside the numbers.
NOTES = Path(__file__).with_name("notes.md")


def measure(
    server: Server, cells: dict[tuple[int, int], Plan], locks: tuple[int, ...], deadline: float
) -> Results:
    """Measure on one server. `deadline`: when no further cell is begun, as of time.monotonic()."""
    mailman = server.mailman
    what = "stand-in" if mailman.is_standin else "GNU Mailman"
    results = Results(
        f"{what} {mailman.version}, Python {mailman.python}", processors=server.processors
    )
    for files in locks:
        results.locks[files] = others.locks(server, files, 5)
        say(f"{files:,} lock files: {results.locks[files]:.2f} s")
    members_before = 0
    for (lists, members), plan in cells.items():
        if time.monotonic() > deadline:
            say(f"{lists:,} lists of {members:,}: not measured, the time is over")
            results.left_out.append((lists, members))
            continue
        if members != members_before:
            server.empty()
            members_before = members
        results.cells.append(ban.measure(server, lists, members, plan, tell=say))
    return results


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, once; write nothing")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        metavar="N",
        help=f"begin nothing after so many minutes, and say what was not measured ({MINUTES})",
    )
    parser.add_argument("--mailman-image", metavar="packaged|standin|NAME:TAG")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    chosen = parser.parse_args()
    before = os.getloadavg()[0]
    startup = others.startup(5 if chosen.quick else 21)
    deadline = time.monotonic() + chosen.minutes * 60
    results = []
    try:
        with interruptible(), closing(servers(chosen.mailman_image, say)) as subjects:
            for number, server in enumerate(subjects):
                cells = QUICK if chosen.quick else FURTHER if number else CELLS
                locks = LOCKS[:2] if chosen.quick else LOCKS
                # The first server leaves the others the time that they take.
                end = deadline if number else deadline - (not chosen.quick) * SPARED_MINUTES * 60
                results.append(measure(server, cells, locks, end))
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
        startup=startup,
        results=results,
    )
    text = report.markdown(NOTES.read_text(encoding="utf-8") if NOTES.exists() else "")
    print(text)
    chart = report.chart()
    if not chosen.quick:
        (chosen.out / "results.md").write_text(text, encoding="utf-8")
        # These two are shown in the docs.
        (chosen.out / "goals.csv").write_text(report.csv(), encoding="utf-8")
        (chosen.out / "ban-time.svg").write_text(chart, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
