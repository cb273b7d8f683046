"""The replay's own parts: that a difference is seen, and that every rule is about something."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import filters
import pytest
import replay
from filters import Rule, Where
from preparations import PREPARATIONS


@dataclass(frozen=True)
class Done:
    rc: int = 0
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False


def step(**result: Any) -> replay.Step:
    whole = {"rc": 0, "stdout": "", "stderr": "", **result}
    return replay.Step("scenario", 0, ["program"], None, None, whole)


def fields(recorded: replay.Step, output: Done, *rules: Rule) -> list[str]:
    return [found.field for found in replay.differences(recorded, output, list(rules))]


TRACEBACK = replay.TRACEBACK + '  File "x", line 1, in <module>\n'


@pytest.mark.parametrize(
    ("recorded", "output", "expected"),
    [
        (step(), Done(), []),
        (step(), Done(rc=1), ["rc"]),
        (step(), Done(stdout="x\n"), ["stdout"]),
        (step(), Done(stderr="x\n"), ["stderr"]),
        (step(), Done(timed_out=True), ["rc", "timed_out"]),
        (step(rc=None, timed_out=True), Done(timed_out=True), []),
        (step(rc=None, timed_out=True), Done(), ["rc", "timed_out"]),
        (step(stdout="a.lock.b.c.PID.SEQ"), Done(stdout="a.lock.b.c.17.0"), []),
        (step(stdout="a.lock.b.c.PID.SEQ"), Done(stdout="a.lock"), ["stdout"]),
        (step(stderr="x\n", traceback="E: y"), Done(stderr=f"x\n{TRACEBACK}E: y\n"), []),
        (step(stderr="x\n", traceback="E: y"), Done(stderr=f"{TRACEBACK}E: y\n"), ["stderr"]),
        (step(traceback="E: y"), Done(stderr=f"{TRACEBACK}E: z\n"), ["traceback"]),
        (step(traceback="E: y"), Done(), ["traceback"]),
        (step(), Done(stderr=f"{TRACEBACK}E: y\n"), ["traceback"]),
        (step(traceback="end"), Done(stderr=f"{TRACEBACK}E: y\nend\n"), []),
        (
            step(stderr=None, stderr_last_line="bad", stderr_is_usage=True),
            Done(stderr="Usage: program\nbad\n"),
            [],
        ),
        (
            step(stderr=None, stderr_last_line="bad", stderr_is_usage=True),
            Done(stderr="bad\n"),
            ["stderr_is_usage"],
        ),
        (
            step(stderr=None, stderr_last_line="bad", stderr_is_usage=False),
            Done(stderr="Usage: program\nworse\n"),
            ["stderr_last_line"],
        ),
    ],
)
def test_a_difference_is_seen(recorded, output, expected):
    assert fields(recorded, output) == expected


def test_a_rule_is_for_its_own_field_and_step_only():
    rule = Rule("scenario", 0, "stdout", Where.STANDIN, "test", lambda text: "")
    assert fields(step(), Done(stdout="x"), rule) == []
    assert fields(step(), Done(stderr="x"), rule) == ["stderr"]
    elsewhere = Rule("scenario", 1, "stdout", Where.STANDIN, "test", lambda text: "")
    assert fields(step(), Done(stdout="x"), elsewhere) == ["stdout"]


@pytest.mark.parametrize("rule", filters.RULES, ids=str)
@pytest.mark.parametrize("recording", replay.recordings().values(), ids=lambda each: each.version)
def test_a_rule_is_about_a_recorded_step(recording, rule):
    recorded = recording.scenarios[rule.scenario][rule.step]["result"][rule.field]
    assert isinstance(rule.change(recorded), str)


def test_no_order_is_still_the_same_lines():
    assert filters.without_order("b\na\n") == filters.without_order("a\nb\n")
    assert filters.without_order("b\na\n") != filters.without_order("b\nb\n")


@pytest.mark.parametrize("recording", replay.recordings().values(), ids=lambda each: each.version)
def test_what_is_prepared_is_recorded(recording):
    assert set(PREPARATIONS) | set(replay.PUPPET) <= set(recording.scenarios)


def test_what_our_scripts_show_is_behaviour():
    recorded = step(stdout="True\n")
    for script, behaviour in (("inside.names", True), ("show", True), ("ban", False)):
        asked = replace(recorded, argv=["withlist", "-q", "-r", script, "alpha"])
        [difference] = replay.differences(asked, Done(stdout="False\n"), [])
        assert difference.is_behaviour is behaviour


def test_the_standin_has_to_say_what_it_is():
    version = "Using Mailman version: 2.1.39\n"
    assert filters.without_standin_line(version + "something else\n") != version


@pytest.mark.parametrize(
    ("version", "recorded"), [("2.1.39", "2.1.39"), ("2.1.29", "2.1.39"), ("2.2.1", "2.2.0")]
)
def test_which_recording(version, recorded):
    assert replay.recording_for(version).version == recorded


def test_no_recording_of_another_series():
    with pytest.raises(LookupError, match=r"no recording of Mailman 3\.3\.8: there are 2\.1\.39"):
        replay.recording_for("3.3.8")


def test_nothing_recorded_is_left_out():
    known = {"rc", "stdout", "stderr", "traceback", "timed_out"}
    known |= {"stderr_last_line", "stderr_is_usage"}
    for recording in replay.recordings().values():
        assert set(recording.scenarios) == replay.scenario_names() | set(replay.TABLES)
        for scenario in replay.scenario_names():
            for recorded in recording.scenarios[scenario]:
                assert set(recorded) <= {"argv", "user", "stdin", "result"}
                assert set(recorded["result"]) <= known
