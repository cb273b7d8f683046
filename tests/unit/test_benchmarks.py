"""The benchmarks' tables say what was not measured, and a measuring ends in its time."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import ban, chart, command, over_ssh, record
from benchmarks.__main__ import FULL, QUICK, expected, step, unfit
from benchmarks.ban import AGAIN, LOOP, MANY, ORIGINAL, OURS, Cell, Plan
from benchmarks.command import Done, MeasureError
from benchmarks.goals import NOT_MEASURED, NOT_MET, Results
from benchmarks.others import HELP, NOTHING
from benchmarks.over_ssh import ANSIBLE, PYINFRA, SSH, Comparison
from benchmarks.record import with_notes
from benchmarks.report import FEWER, Report
from benchmarks.server import Cost
from benchmarks.subjects import interruptible
from runbooks.testing.containers.box import Mailman

SVG = "{http://www.w3.org/2000/svg}"
GNU = Mailman("2.1.39", "Using Mailman version: 2.1.39", ("python2",), "2.7")
STANDIN = Mailman("2.2.0", "Using Mailman version: 2.2.0 (stand-in)", ("python3",), "3.9")


def cell(lists: int, members: int, runs: int, loops: int = 0) -> Cell:
    made = Cell(lists, members, planned=5)
    for what, number in ((OURS, runs), (AGAIN, runs), (ORIGINAL, runs), (LOOP, loops)):
        if number:
            made.times[what] = made.work[what] = [float(lists)] * number
    made.banned = [1.0] * runs
    return made


def measured(*cells: Cell, mailman: Mailman = GNU) -> Results:
    return Results(mailman, cells={(one.lists, one.members): one for one in cells})


def report(*results: Results) -> Report:
    return Report("a machine", "today", (0.0, 1.0), 2, {HELP: 0.1, NOTHING: 0.01}, list(results))


def page(*cells: Cell) -> str:
    return report(measured(*cells)).markdown()


def row(text: str, start: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(start) and "MiB" not in line][
        :1
    ]
    return found


def said(results: Results) -> dict[str, str]:
    """What the table says of each goal."""
    return {one.goal: one.said for one in record.rows(report(results).markdown())}


def whole() -> Results:
    """Of every goal something: each is just met, or just not met."""
    large, small = cell(1000, 1000, 5), cell(100, 10, 5)
    large.times |= {OURS: [0.6], ORIGINAL: [1.0], AGAIN: [0.26], MANY: [0.72]}
    small.times |= {OURS: [1.0], ORIGINAL: [1.0]}
    few, most = cell(10, 10, 5), cell(10_000, 10, 5)
    few.cost = Cost(100, 100, 1, 1, 0, 0)
    most.cost = Cost(106, 125, 1, 7, 0, 0)
    many = cell(1000, 10, 5)
    many.times |= {OURS: [2.0]}
    most.times |= {OURS: [20.0]}
    results = measured(few, small, many, most, large)
    results.locks = {10: 0.1, 10_000: 1.01}
    for hosts, ours in ((1, 0.35), (10, 1.1)):
        times = {OURS: [ours], SSH: [0.2], PYINFRA: [2.0], ANSIBLE: [1.0]}
        results.over_ssh[hosts] = Comparison(hosts, times, dict(times))
    return results


def test_the_steps_are_those_that_were_asked_for() -> None:
    sizes = set(itertools.product((10, 100, 1000, 10_000), (10, 1000)))
    steps = [*FULL.goals, *FULL.growth]
    assert {where for where, plan in steps if plan.runs >= 5} == sizes
    assert {where for where, plan in steps if plan.loops} == sizes - {(10_000, 1000)}
    assert {plan.runs for _, plan in steps} == {0, 5}


@pytest.mark.parametrize("programme", [FULL, QUICK])
def test_a_run_that_is_cut_short_has_the_goals(programme: Any) -> None:
    sizes = programme.sizes
    first = {where for where, _ in programme.goals}
    assert first == {sizes.large, sizes.small, sizes.few, sizes.many, sizes.most}
    assert sizes.files in programme.locks


def test_each_goal_is_judged() -> None:
    assert said(whole()) == {
        "ban": "0.60, met",
        "again": f"0.26, {NOT_MET}",
        "addresses": "1.20, met",
        "small": "1.00, met",
        "ssh": "0.35 s, met",
        "hosts": f"1.10, {NOT_MET}",
        "locks": f"1.01 s, {NOT_MET}",
        "memory": f"1.06, {NOT_MET}",
        "memory there": "1.25, met",
        "commands": f"7, {NOT_MET}",
        "growth": "1.00, met",
        "help": "100 ms, met",
    }


def test_what_was_not_measured_is_neither_met_nor_not() -> None:
    assert {one for goal, one in said(measured()).items() if goal != "help"} == {NOT_MEASURED}


def test_a_quick_run_says_nothing_of_the_goals() -> None:
    results = whole()
    results.sizes = QUICK.sizes
    assert not [one for one in said(results).values() if "met" in one and one != NOT_MEASURED]
    assert "says nothing of the goals" in report(results).markdown()
    assert "says nothing of the goals" not in report(whole()).markdown()


def test_each_server_has_a_column() -> None:
    text = report(whole(), measured(mailman=STANDIN)).markdown()
    found = record.rows(text)
    assert [one.server for one in found[:2]] == [
        "GNU Mailman 2.1.39, Python 2.7",
        "the stand-in for Mailman 2.2.0, Python 3.9",
    ]
    assert [one.said for one in found[:2]] == ["0.60, met", NOT_MEASURED]
    assert record.unmet(text) == ["again", "hosts", "locks", "memory", "commands"]


NOTES = "# What this is\n\n## locks\nIt is\nslow.\n\nA profile.\n\n## ban\nNever.\n"


def test_each_goal_that_is_not_met_is_explained_or_named() -> None:
    text = with_notes(report(whole()).markdown(), NOTES)
    assert "**locks**: It is\nslow.\n\nA profile.\n" in text
    assert "**hosts**: not explained yet." in text
    assert "Never" not in text
    assert record.unexplained(text, NOTES) == ["again", "hosts", "memory", "commands"]
    assert record.unexplained(text, NOTES.replace("It is\nslow.\n\nA profile.\n", ""))[2] == "locks"
    assert with_notes(text, NOTES) == text
    assert "**locks**: Fast." in with_notes(text, "## locks\nFast.\n")


def test_the_record_is_of_gnu_mailman_and_complete() -> None:
    found = record.rows(record.RESULTS.read_text(encoding="utf-8"))
    assert len({one.server for one in found}) >= 2
    assert [one.server for one in found if not one.server.startswith("GNU Mailman 2.")] == []
    assert [one for one in found if "met" not in one.said or one.said == NOT_MEASURED] == []


def test_the_record_explains_what_is_not_met() -> None:
    text = record.RESULTS.read_text(encoding="utf-8")
    notes = record.NOTES.read_text(encoding="utf-8")
    assert record.unexplained(text, notes) == []
    assert with_notes(text, notes) == text, "run: python -m benchmarks.record"


def test_what_the_docs_show_is_the_goals_of_gnu_mailman() -> None:
    assert unfit([whole()]) == ""
    assert "stand-in" in unfit([whole(), measured(mailman=STANDIN)])
    assert "--quick" in unfit([Results(GNU, QUICK.sizes)])


def test_what_there_was_no_time_for_is_in_the_table() -> None:
    text = page(cell(10, 10, 5, 5), Cell(10_000, 1000))
    assert row(text, "| 10,000 | 1,000 ").count(NOT_MEASURED) == 8
    assert NOT_MEASURED not in row(text, "| 10 | 10 | 5 ")
    assert FEWER not in text


def test_fewer_runs_than_planned_are_told() -> None:
    text = page(cell(1000, 10, 5, 1), cell(10_000, 10, 2))
    assert "(1 run)" in row(text, "| 1,000 | 10 | 5 |")
    assert NOT_MEASURED in row(text, "| 10,000 | 10 | 2 of 5 |")
    assert FEWER in text


def test_the_chart_has_each_line_and_can_be_seen_on_a_dark_page() -> None:
    drawn = report(measured(cell(10, 10, 5, 5), cell(100, 10, 5), cell(10, 1000, 5))).chart()
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


def test_the_chart_has_a_row_for_each_server() -> None:
    drawn = report(whole(), measured(cell(10, 10, 5), mailman=STANDIN)).chart()
    for version, members in itertools.product(("2.1.39", "2.2.0"), ("10", "1,000")):
        assert drawn.count(f"Mailman {version}, lists of {members} members<") == 1


def test_the_same_numbers_are_drawn_the_same() -> None:
    one = measured(cell(10, 10, 5))
    assert report(one).chart() == report(one).chart()


class Clock:
    """A server that takes ten seconds for everything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(ban, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("benchmarks.__main__.time", ban.time)

    def have(self, lists: int, members: int) -> None:
        pass

    def processor_time(self) -> float:
        return self.now

    def spend(self, *_: object, **__: object) -> float:
        self.now += 10
        return 10

    ban = original = loop = banned_by_all = spend


@pytest.mark.parametrize(("minutes", "runs"), [(60, 5), (2.5, 2), (0.1, 1)])
@pytest.mark.parametrize("whose", ["the plan's", "the run's"])
def test_no_run_is_begun_that_would_take_too_long(
    monkeypatch: pytest.MonkeyPatch, minutes: float, runs: int, whose: str
) -> None:
    server: Any = Clock(monkeypatch)
    plan = Plan(minutes=minutes if whose == "the plan's" else 60, loops=1, memory=False)
    deadline = minutes * 60 if whose == "the run's" else 1e9
    found = Cell(10, 10)
    ban.measure(server, found, plan, deadline=deadline)
    assert len(found.times[OURS]) == runs
    assert len(found.times[LOOP]) == 1
    assert found.planned == 5


def test_a_step_that_would_not_end_in_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round on 100 lists takes 300 s with `cell`, so that one on 1,000 should take 3,000."""
    server: Any = Clock(monkeypatch)
    plan = Plan(runs=1, memory=False)
    for deadline, runs in ((2999, 0), (3001, 1)):
        results = measured(cell(100, 10, 5))
        server.now = 0
        step(server, results, (1000, 10), plan, deadline)
        found = results.cells[1000, 10]
        assert len(found.times.get(OURS, [])) == runs
    assert found.planned == 1


def test_a_shell_loop_over_ten_thousand_lists_is_begun_only_when_its_time_is_known() -> None:
    plan = Plan(runs=0, loops=1)
    assert expected(measured(cell(1000, 10, 5)), (10_000, 10), plan) == float("inf")
    assert expected(measured(cell(1000, 10, 5, 1)), (10_000, 10), plan) == 10_000
    assert expected(measured(), (10, 10), plan) == 0


def hosts(monkeypatch: pytest.MonkeyPatch, refuse: dict[str, int]) -> Any:
    """Two hosts on which each command succeeds, and after it so many lists refuse its address."""
    made = object.__new__(over_ssh.Hosts)
    made.names, made.config = ["one", "two"], Path("config")
    last = ""

    def run(what: str, argv: list[str]) -> Done:
        nonlocal last
        if what != "runbook banned":
            last = what
            return Done(0, 1.0, 0.1, "", "")
        number = argv.count("--host") * over_ssh.LISTS
        lines = [{"outcome": "refuses"}] * refuse.get(last, number) + [{"summary": {}}]
        return Done(0, 1.0, 0.1, "\n".join(map(json.dumps, lines)), "")

    monkeypatch.setattr(made, "run", run)
    monkeypatch.setattr(over_ssh, "program", lambda name: name)
    return made


def test_over_ssh_each_is_measured_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    found = over_ssh.measure(hosts(monkeypatch, {}), 2, 3, tell=told.append)
    assert {what: len(times) for what, times in found.times.items()} == dict.fromkeys(
        (OURS, SSH, PYINFRA, ANSIBLE), 3
    )
    firsts = [line.split(": ")[1].rsplit(" ", 7)[0] for line in told[::4]]
    assert firsts == [SSH, PYINFRA, ANSIBLE]


@pytest.mark.parametrize("what", [OURS, SSH, PYINFRA, ANSIBLE])
def test_whoever_says_that_it_banned_and_did_not_cannot_win(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    one_short = hosts(monkeypatch, {what: 2 * over_ssh.LISTS - 1})
    with pytest.raises(MeasureError, match=re.escape(f"{what} over ssh: 19 of 20 lists refuse")):
        over_ssh.measure(one_short, 2, 1)


def test_an_interrupt_ends_what_a_command_has_started(tmp_path: Path) -> None:
    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            command.run(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; wait"])
    finally:
        signal.signal(signal.SIGALRM, before)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(") ")[2].startswith("Z"):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it still runs")


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
