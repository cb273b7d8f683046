"""Measure, and write results.md and ban-time.svg:

python -m benchmarks [--quick] [--mailman-image IMAGE] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks import ban, others
from benchmarks.report import Report, Results
from benchmarks.server import MeasureError, Server
from benchmarks.subjects import servers

#: (lists, members): runs, and whether the shell loop is measured. 10,000 lists of 1,000 members
#: take minutes for each run, a shell loop over more than 100 lists as well.
CELLS = {
    (10, 10): (5, True),
    (100, 10): (5, True),
    (1000, 10): (5, False),
    (10_000, 10): (3, False),
    (10, 1000): (5, True),
    (100, 1000): (5, True),
    (1000, 1000): (5, False),
    (10_000, 1000): (1, False),
}
#: On every further server (the other Python).
FURTHER = {(10, 10): (5, False), (1000, 10): (5, False), (1000, 1000): (5, False)}
#: To see that the measuring works.
QUICK = {(10, 10): (1, True), (100, 10): (1, False), (10, 100): (1, False)}
LOCKS = (10, 1000, 10_000)

#: What is to be said about goals that are not met, kept beside the numbers.
NOTES = Path(__file__).with_name("notes.md")


def measure(server: Server, cells: dict[tuple[int, int], tuple[int, bool]], quick: bool) -> Results:
    mailman = server.mailman
    what = "stand-in" if mailman.is_standin else "GNU Mailman"
    results = Results(f"{what} {mailman.version}, Python {mailman.python}")
    members_before = 0
    for (lists, members), (runs, loop) in cells.items():
        if members != members_before:
            server.empty()
            members_before = members
        # Where a run takes a minute, its memory is not worth two more.
        memory = lists * members < 10_000_000
        cell = ban.measure(server, lists, members, runs, loop=loop, memory=memory, tell=say)
        results.cells.append(cell)
    server.empty()
    for files in LOCKS[:2] if quick else LOCKS:
        results.locks[files] = others.locks(server, files, 1 if quick else 5)
        say(f"{files:,} lock files: {results.locks[files]:.2f} s")
    return results


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, once; write nothing")
    parser.add_argument("--mailman-image", metavar="packaged|standin|NAME:TAG")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    chosen = parser.parse_args()
    before = os.getloadavg()[0]
    startup = others.startup(5 if chosen.quick else 21)
    results = []
    try:
        for number, server in enumerate(servers(chosen.mailman_image, say)):
            cells = QUICK if chosen.quick else FURTHER if number else CELLS
            results.append(measure(server, cells, chosen.quick))
    except MeasureError as problem:
        say(f"benchmarks: {problem}")
        return 1
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
        (chosen.out / "ban-time.svg").write_text(chart, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
