"""The benchmarks' tables say what was not measured, and a measuring ends in its time."""

from __future__ import annotations

import itertools
import re
import signal
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import ban, chart
from benchmarks.__main__ import CELLS, FURTHER
from benchmarks.ban import AGAIN, LOOP, ORIGINAL, OURS, Cell, Plan
from benchmarks.report import FEWER, Report, Results
from benchmarks.subjects import interruptible

SVG = "{http://www.w3.org/2000/svg}"


def cell(lists: int, members: int, runs: int, loops: int = 0) -> Cell:
    made = Cell(lists, members)
    for what, number in ((OURS, runs), (AGAIN, runs), (ORIGINAL, runs), (LOOP, loops)):
        if number:
            made.times[what] = made.work[what] = [float(lists)] * number
    made.banned = [1.0] * runs
    return made


def report(*cells: Cell, left_out: tuple[tuple[int, int], ...] = ()) -> Report:
    results = Results("stand-in 2", list(cells), {10: 0.1}, list(left_out))
    startup = {"`runbook --help`": 0.1, "`python -c pass`": 0.01}
    return Report("a machine", "today", (0.0, 1.0), startup, [results])


def page(*cells: Cell, left_out: tuple[tuple[int, int], ...] = ()) -> str:
    return report(*cells, left_out=left_out).markdown()


def row(text: str, start: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(start) and "MiB" not in line][
        :1
    ]
    return found


def test_the_cells_are_those_that_were_asked_for() -> None:
    wanted = set(itertools.product((10, 100, 1000, 10_000), (10, 1000)))
    assert set(CELLS) == wanted
    assert set(FURTHER) <= wanted
    assert all(plan.runs >= 5 for plan in (*CELLS.values(), *FURTHER.values()))


def test_what_there_was_no_time_for_is_in_the_table() -> None:
    text = page(cell(10, 10, 5, 5), left_out=((10_000, 1000),))
    assert row(text, "| 10,000 | 1,000 ").count("not measured") == 8
    assert "not measured" not in row(text, "| 10 | 10 | 5 ")
    assert FEWER not in text


def test_fewer_runs_than_planned_are_told() -> None:
    text = page(cell(1000, 10, 5, 1), cell(10_000, 10, 2))
    assert "(1 run)" in row(text, "| 1,000 | 10 | 5 |")
    assert "not measured" in row(text, "| 10,000 | 10 | 2 of 5 |")
    assert FEWER in text


def test_a_goal_that_is_missed_is_told_in_the_docs_as_in_the_results() -> None:
    """`cell` is as fast as the page's script, which is neither goal."""
    made = report(cell(1000, 1000, 5))
    rows = made.csv().splitlines()
    assert rows[0] == "what,measured,goal,met"
    assert [row.rpartition(",")[2] for row in rows[1:]] == ["**no**", "**no**", "yes"]
    assert rows[-1].startswith("``runbook --help``,100 ms,")
    assert made.markdown().count("**no**") == 2


def test_the_chart_has_each_line_and_can_be_seen_on_a_dark_page() -> None:
    drawn = report(cell(10, 10, 5, 5), cell(100, 10, 5), cell(10, 1000, 5)).chart()
    picture = ElementTree.fromstring(drawn)
    texts = ["".join(found.itertext()).strip() for found in picture.iter(f"{SVG}text")]
    for words in (OURS, AGAIN, ORIGINAL, LOOP):
        assert texts.count(words) == 1
    assert {"Lists of 10 members", "Lists of 1,000 members", "10", "100", "10 s"} <= set(texts)
    assert picture.findtext(f"{SVG}title") == (
        "Seconds to ban an address, against the number of lists"
    )
    styles = " ".join(found.get("style", "") for found in picture.iter())
    colors = set(re.findall(r"(?:stroke|fill): (#\w+)", styles))
    assert colors == set(chart.DARK)
    for color in colors:
        assert f'[style*="stroke: {color}"] {{ stroke: {chart.DARK[color]} !important }}' in drawn


def test_the_same_numbers_are_drawn_the_same() -> None:
    assert report(cell(10, 10, 5)).chart() == report(cell(10, 10, 5)).chart()


class Clock:
    """A server that takes ten seconds for everything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(ban, "time", SimpleNamespace(monotonic=lambda: self.now))

    def grow(self, lists: int, members: int) -> None:
        pass

    def processor_time(self) -> float:
        return self.now

    def spend(self, *_: object, **__: object) -> float:
        self.now += 10
        return 10

    ban = original = loop = banned_by_all = spend


@pytest.mark.parametrize(("minutes", "runs"), [(60, 5), (2.5, 2), (0.1, 1)])
def test_no_run_is_begun_that_would_take_too_long(
    monkeypatch: pytest.MonkeyPatch, minutes: float, runs: int
) -> None:
    server: Any = Clock(monkeypatch)
    found = ban.measure(server, 10, 10, Plan(minutes=minutes, loops=1, memory=False))
    assert len(found.times[OURS]) == runs
    assert len(found.times[LOOP]) == 1


def test_only_the_first_signal_interrupts() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def interrupted() -> None:
        with interruptible():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert signal.getsignal(signal.SIGTERM) is before
