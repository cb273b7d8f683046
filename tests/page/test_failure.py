"""How a failure of the page's tests is told: on the terminal, to JUnit, and to GitHub."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from runbooks.mailman.printed import steps_of
from runbooks.procedures import find
from runbooks.testing.page import annotations
from tests.page.conftest import ROOT

STEP = steps_of(find("ban"))[-1]
FILE, LINE = STEP.defined.path, STEP.defined.line

TESTS = """
import pytest
from runbooks.testing.page.failure import NotTrueError, texts
from runbooks.testing.page.parts import parts

PART, *_ = [part for part in parts(["ban"]) if part.step and part.step.name == {step!r}]

@pytest.fixture
def walk():
    {fixture}

@pytest.mark.filterwarnings("ignore:record_xml_attribute is an experimental feature")
@pytest.mark.parametrize("part", [PART], ids=str)
def test_step(part, walk, blocks_run, record_of_part):
    told = texts("true 'a'", "{{LISTS:4}} lists", "five lists, 100%\\n")
    record_of_part(told)
    {test}

def test_of_something_else():
    pass
"""

RUN = "blocks_run.run.add('lists.html#a')"
FAIL = f"{RUN}; raise NotTrueError('lists.html#place', part.defined, 'it is wrong', told)"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_tests(tmp_path: Path) -> Run:
    """Runs a test that is about a step, as those of the walk are."""

    def run(
        *options: str, test: str = FAIL, fixture: str = "pass", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        made = tmp_path / "test_made.py"
        made.write_text(TESTS.format(step=STEP.name, test=test, fixture=fixture), encoding="utf-8")
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("-c", "pyproject.toml", "--rootdir", str(ROOT)),
                *("-p", "conftest", "-p", "tests.page.conftest", *options, str(made)),
            ],
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"},
                "DOCKER_HOST": "unix:///nonexistent/docker.sock",
                "COLUMNS": "200",
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_it_names_the_place_the_definition_the_command_and_both_outputs(run_tests):
    done = run_tests()
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stderr
    assert (
        f"lists.html#place\n{FILE}:{LINE}: it is wrong\n"
        "  the command\n    | true 'a'\n"
        "  the page shows\n    | 4 lists\n"
        "  and it printed\n    | five lists, 100%\n"
    ) in done.stdout
    assert f"by hand] - {FILE}:{LINE}: it is wrong" in done.stdout
    assert "test_made.py:" not in done.stdout.replace("test_made.py::", "")


@pytest.mark.parametrize(("test", "failures"), [(FAIL, 1), (RUN, 0)])
def test_junit_has_it_too(run_tests, tmp_path, test, failures):
    run_tests("--junitxml", str(tmp_path / "junit.xml"), test=test)
    case, other = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")
    assert case.get("name") == f"test_step[ban-{STEP.name}, by hand]"
    assert (case.get("file"), case.get("line")) == (FILE, str(LINE))
    assert {one.get("name"): one.get("value") for one in case.iter("property")} == {
        "anchor": f"ban-{STEP.name}",
        "defined": f"{FILE}:{LINE}",
        "command": "true 'a'",
        "expected": "4 lists",
        "printed": "five lists, 100%\n",
    }
    told = [(one.get("message"), one.text) for one in case.iter("failure")]
    assert len(told) == failures
    for message, text in told:
        assert message == f"{FILE}:{LINE}: it is wrong"
        assert "    | five lists, 100%" in text
    assert other.get("file") != FILE


def test_github_is_told_the_line_of_each_failure(run_tests):
    done = run_tests(GITHUB_ACTIONS="true")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert line.startswith(
        f"::error file={FILE},line={LINE},title=test_step[ban-{STEP.name}%2C by hand]::"
        f"lists.html#place%0A{FILE}:{LINE}: it is wrong%0A  the command%0A    | true 'a'%0A"
    )
    assert line.endswith("    | five lists, 100%25")


def test_github_is_told_of_a_fixture_that_failed(run_tests):
    done = run_tests(fixture="raise OSError('no engine')", GITHUB_ACTIONS="true")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert line.startswith(f"::error file={FILE},line={LINE},title=test_step[")
    assert "no engine" in line


@pytest.mark.parametrize(("test", "value"), [(FAIL, ""), (FAIL, "false"), (RUN, "true")])
def test_nothing_else_is_told_to_github(run_tests, test, value):
    done = run_tests(test=test, GITHUB_ACTIONS=value)
    assert "::error" not in done.stdout


def test_what_github_reads_is_escaped():
    assert annotations.error("a,b:c.py", 3, "50%: x,\r\ny", "1,2: 100%\r\n::error::z") == (
        "::error file=a%2Cb%3Ac.py,line=3,title=50%25%3A x%2C%0D%0Ay::1,2: 100%25%0D%0A::error::z"
    )


def test_a_failure_of_any_other_test_is_at_the_line_where_it_failed(tmp_path):
    at = SimpleNamespace(path=str(ROOT / "tests/page/test_failure.py"), lineno=7, message="no")
    report = SimpleNamespace(
        location=("tests/page/test_x.py", 4, "test_x"),
        longrepr=SimpleNamespace(reprcrash=at),
        longreprtext="E   no",
    )
    [line] = annotations.of_reports([report], ROOT)
    assert line == "::error file=tests/page/test_failure.py,line=7,title=test_x::E   no"
    at.path = "/usr/lib/python3/somewhere.py"
    [line] = annotations.of_reports([report], ROOT)
    assert line == "::error file=tests/page/test_x.py,line=5,title=test_x::E   no"


# How many blocks were run


def test_the_blocks_that_were_run_are_counted(run_tests):
    done = run_tests(test=RUN)
    assert done.returncode == 0, done.stdout
    assert "\nblocks run: 1 of " in done.stdout


@pytest.mark.parametrize(
    ("test", "fixture"), [("pass", "pass"), (RUN, "pytest.skip('the image has no puppet')")]
)
def test_a_run_that_was_to_run_blocks_and_ran_none_is_red(run_tests, test, fixture):
    done = run_tests(test=test, fixture=fixture)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "\nblocks run: 0 of " in done.stdout


@pytest.mark.parametrize("options", [("-k", "something_else"), ("--collect-only",)])
def test_a_run_that_was_to_run_none_is_not(run_tests, options):
    done = run_tests(*options, test="pass")
    assert done.returncode == 0, done.stdout
    assert "blocks run" not in done.stdout


@pytest.mark.parametrize(("test", "status"), [(RUN, 0), ("pass", 1)])
def test_the_blocks_that_parallel_workers_ran_are_counted(run_tests, test, status):
    done = run_tests("-n", "2", test=test)
    assert done.returncode == status, done.stdout + done.stderr
    assert f"\nblocks run: {1 - status} of " in done.stdout


# What --update is not for


@pytest.mark.parametrize(
    ("options", "variables", "why"),
    [
        ((), {"CI": "true"}, "not where CI is set"),
        ((), {"GITHUB_ACTIONS": "true"}, "not where GITHUB_ACTIONS is set"),
        (("--record", "--mailman-image", "a:b"), {}, "--record"),
    ],
)
def test_update_is_refused_in_one_line(run_tests, options, variables, why):
    done = run_tests("--update", *options, test=RUN, **{"CI": "", **variables})
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done
    [line] = (done.stdout + done.stderr).strip().splitlines()
    assert line.startswith("ERROR: --update ")
    assert why in line


@pytest.mark.parametrize("update", [True, False])
def test_update_rewrites_what_one_process_has_seen(run_tests, update):
    options = ("-n", "2", *(["--update"] if update else []))
    done = run_tests(*options, test=RUN, CI="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("bringing up nodes" in done.stdout) is not update


def test_tox_hands_on_what_update_is_refused_by():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini", encoding="utf-8")
    assert {"CI", "GITHUB_ACTIONS"} <= {*settings["testenv:page"]["pass_env"].split()}
