"""The records of runs on GNU Mailman: how they are made, what they hold for, what they say."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from runbooks.book import records
from runbooks.book.dates import joined, plain
from runbooks.book.procedure import File, Step
from runbooks.book.records import RealRun, Standing, text_hash
from runbooks.mailman.printed import STATE, by_command, steps_of
from runbooks.procedures import all_procedures
from runbooks.sphinxext.verification import FAILED, PASSED, Record
from runbooks.testing.containers import selection
from runbooks.testing.containers.box import BoxError, Mailman
from runbooks.testing.containers.images import Image
from runbooks.testing.containers.selection import Subject
from runbooks.testing.page import recording
from tests.page.conftest import RECORDS, ROOT, copy_project
from tests.support.written import as_it_is

TODAY = date(2026, 5, 3)
RUN = RealRun("ban", "2.1.39", "2.7", "multi", TODAY, True, "now")
NAMES = [procedure.name for procedure in all_procedures()]


# The check that the records of this repository have to pass


def test_every_procedure_has_a_record_and_the_newest_passed():
    faults = records.faults(records.read(RECORDS), recording.texts())
    if faults:
        pytest.fail(
            "\n".join(
                [
                    "no good record of a run on GNU Mailman:",
                    *faults,
                    "run tox -e page -- --mailman-image NAME:TAG --record on a GNU Mailman",
                ]
            ),
            pytrace=False,
        )


@pytest.mark.parametrize(
    ("runs", "fault"),
    [
        ([], ["ban: never run on GNU Mailman"]),
        ([dataclasses.replace(RUN, procedure="unban")], ["ban: never run on GNU Mailman"]),
        ([RUN], []),
        ([dataclasses.replace(RUN, text="before")], []),
        (
            [RUN, dataclasses.replace(RUN, mailman="2.2.0", python="3.9", passed=False)],
            ["ban: failed in a test container: GNU Mailman 2.2.0 (3 May 2026); do not rely on it"],
        ),
        (
            [RUN, dataclasses.replace(RUN, layout="single", passed=False, text="before")],
            ["ban: failed in a test container: GNU Mailman 2.1.39 (3 May 2026); do not rely on it"],
        ),
    ],
)
def test_what_is_wrong_with_records(runs, fault):
    assert records.faults(runs, {"ban": "now"}) == fault


# Which text a record is of

STEP = Step(
    "name", "Title", "Why.", "cat > /tmp/f", "done: {NUMBER}", creates=File("/tmp/f", "text\n")
)
OTHER = Step("other", "Other", "Why.", "true")


def test_the_hash_is_of_the_content_alone():
    """A record that was made has to be found again by any later version of the package."""
    assert text_hash([STEP], [STEP, OTHER]) == "5f2f553c724168ab"


@pytest.mark.parametrize(
    "change",
    [
        {"command": "cat > /tmp/g"},
        {"creates": File("/tmp/f", "other text\n")},
        {"creates": None},
        {"shows": "done: {NUMBER:3}"},
        {"shows": "done: {TIME}"},
        {"shows": ""},
    ],
)
def test_the_hash_changes_with_what_is_run_and_shown(change):
    changed = dataclasses.replace(STEP, **change)
    found = {
        text_hash(*ways) for ways in (([STEP], [STEP]), ([changed], [STEP]), ([STEP], [changed]))
    }
    assert len(found) == 3


def test_the_hash_changes_with_the_steps_and_their_order():
    ways = [
        ([STEP], [STEP, OTHER]),
        ([STEP], [OTHER, STEP]),
        ([STEP], [STEP]),
        ([STEP], [STEP, OTHER, OTHER]),
        ([STEP, STEP], [OTHER]),
        ([STEP, STEP, OTHER], []),
    ]
    assert len({text_hash(*way) for way in ways}) == len(ways)


def test_the_hash_does_not_change_with_prose():
    told = dataclasses.replace(
        STEP, name="other-name", title="Other", why="Because.", where="There.", asks="password"
    )
    assert text_hash([told], [told]) == text_hash([STEP], [STEP])


def test_each_procedure_has_a_text_of_its_own():
    assert list(recording.texts()) == NAMES
    assert len(set(recording.texts().values())) == len(NAMES)


# The file


def test_the_file_does_not_depend_on_the_order_of_the_runs(tmp_path):
    runs = [
        RUN,
        dataclasses.replace(RUN, mailman="2.2.0", passed=False),
        dataclasses.replace(RUN, procedure="add-list", date=TODAY - timedelta(days=1)),
    ]
    records.write(tmp_path / "a", runs)
    records.write(tmp_path / "b", runs[::-1])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert records.read(tmp_path / "a") == sorted(runs)


def test_the_file_is_replaced_whole(tmp_path):
    path = tmp_path / "records.json"
    records.write(path, [RUN])
    with path.open() as reader:
        records.write(path, [])
        assert json.load(reader)["records"], "whoever was reading lost what they read"
    assert records.read(path) == []
    assert os.listdir(tmp_path) == ["records.json"]


def test_without_a_file_there_are_no_records(tmp_path):
    assert records.read(tmp_path / "records.json") == []


GOOD = {**dataclasses.asdict(RUN), "date": "2026-05-03"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<<<<<<< ours",
        "[]",
        "{}",
        json.dumps({"records": [{**GOOD, "passed": "no"}]}),
        json.dumps({"records": [{**GOOD, "mailman": 2}]}),
        json.dumps({"records": [{**GOOD, "date": "yesterday"}]}),
        json.dumps({"records": [{**GOOD, "more": "1"}]}),
        json.dumps({"records": [{k: v for k, v in GOOD.items() if k != "text"}]}),
        json.dumps({"records": [GOOD, {**GOOD, "passed": False}]}),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "records.json"
    path.write_text(json.dumps({"records": [GOOD]}))
    assert records.read(path) == [RUN]
    path.write_text(content)
    with pytest.raises(ValueError, match=r"records\.json") as caught:
        records.read(path)
    assert "\n" not in str(caught.value)
    assert recording.outdated(path, tmp_path) == [str(caught.value)]


def test_new_records_replace_those_of_the_same_place_and_no_others(tmp_path):
    path = tmp_path / "records.json"
    others = [
        dataclasses.replace(RUN, layout="single"),
        dataclasses.replace(RUN, mailman="2.2.0"),
        dataclasses.replace(RUN, python="3.9"),
        dataclasses.replace(RUN, procedure="unban"),
    ]
    gone = dataclasses.replace(RUN, procedure="gone")
    records.write(path, [RUN, gone, *others])
    new = dataclasses.replace(RUN, passed=False, text="new")
    records.renew(path, [new], ["ban", "unban"])
    assert records.read(path) == sorted([new, *others])


# What is said of them


def said(*runs: RealRun, text: str = "now") -> str:
    return plain(joined(records.said(records.of_procedure(runs, "ban", text)), "; "))


def test_what_is_said():
    newer = dataclasses.replace(RUN, mailman="2.2.0", python="3.9", date=date(2026, 5, 1))
    same_day = dataclasses.replace(newer, date=TODAY)
    present = "run in a test container, not on this server: GNU Mailman 2.1.39"
    changed = "changed since it ran in a test container: GNU Mailman 2.1.39"
    assert said() == "never run on GNU Mailman"
    assert said(RUN) == f"{present} (3 May 2026)"
    assert said(RUN, same_day) == f"{present} and 2.2.0 (3 May 2026)"
    assert said(RUN, newer) == f"{present} (3 May 2026) and 2.2.0 (1 May 2026)"
    assert said(RUN, same_day, text="later") == f"{changed} and 2.2.0 (3 May 2026)"
    assert said(RUN, dataclasses.replace(newer, text="before")) == (
        f"{present} (3 May 2026); changed since it ran in a test container: "
        "GNU Mailman 2.2.0 (1 May 2026)"
    )
    assert said(RUN, dataclasses.replace(newer, passed=False)) == (
        f"{present} (3 May 2026); failed in a test container: "
        "GNU Mailman 2.2.0 (1 May 2026); do not rely on it"
    )


@pytest.mark.parametrize(
    ("single", "standing"),
    [
        ({}, Standing.PASSED),
        ({"text": "before"}, Standing.CHANGED),
        ({"passed": False}, Standing.FAILED),
        ({"passed": False, "text": "before"}, Standing.FAILED),
    ],
)
def test_a_procedure_passed_when_it_passed_with_every_layout(single, standing):
    """And what holds for all is as old as the oldest of those that decide."""
    old = dataclasses.replace(RUN, layout="single", date=date(2026, 1, 1), **single)
    (found,) = records.of_procedure([RUN, old], "ban", "now")
    assert (found.standing, found.date) == (standing, date(2026, 1, 1))


def test_the_summary_names_what_has_changed_since(tmp_path):
    path = tmp_path / "doc" / "records.json"
    runs = [
        dataclasses.replace(RUN, procedure=name, text=text, date=TODAY)
        for name, text in recording.texts().items()
    ]
    records.write(path, runs)
    assert recording.outdated(path, tmp_path) == []
    records.write(path, [dataclasses.replace(runs[0], text="before"), *runs[1:]])
    title, line = recording.outdated(path, tmp_path)
    assert title == "text changed since its record in doc/records.json:"
    assert line.startswith(
        f"  {NAMES[0]}: changed since it ran in a test container: GNU Mailman 2.1.39 ("
    )


# --record

RAN = """
import pytest
from tests.page.test_records import steps

@pytest.mark.parametrize("name", {names!r})
def test_walk(write_records, lists_page, name):
    write_records(steps(name, build=lists_page.build)[{part}])
"""


def steps(name: str, **changes: object) -> list[Record]:
    """What a walk writes down of a procedure that passed."""
    (procedure,) = [one for one in all_procedures() if one.name == name]
    names = [*(step.name for step in (*by_command(procedure), *steps_of(procedure))), STATE]
    one = Record(
        build="0" * 16,
        page="lists",
        procedure=name,
        step="",
        result=PASSED,
        when="2026-05-03T23:59:59+00:00",
        mailman="2.1.39",
        standin=False,
        python="2.7",
        layout="multi",
        image="some/image:tag",
    )
    return [dataclasses.replace(one, step=step, **changes) for step in names]


Run = Callable[..., subprocess.CompletedProcess[str]]

BLOCKS = "runbooks/sphinxext/blocks.py"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project. What one test has built of it, the next need not build again."""
    copy = tmp_path_factory.mktemp("project")
    copy_project(copy)
    return copy


@pytest.fixture
def checkout(copied: Path) -> Iterator[Path]:
    """The copy, without any record, and with the blocks of its pages as they are made here."""
    (copied / "doc" / "records.json").unlink(missing_ok=True)
    yield copied
    shutil.copy(ROOT / BLOCKS, copied / BLOCKS)


@pytest.fixture
def run_tests(checkout: Path) -> Run:
    """Runs tests of the copy, where a walk has written down what it is told to."""

    def run(*options: str, names: list[str], part: str = ":") -> subprocess.CompletedProcess[str]:
        test = checkout / "tests" / "page" / "test_made.py"
        test.write_text(RAN.format(names=names, part=part), encoding="utf-8")
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("--mailman-image", "some/image:tag", *options, str(test)),
            ],
            cwd=checkout,
            env={
                **os.environ,
                "PYTHONPATH": str(checkout),
                "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def made(name: str) -> RealRun:
    return dataclasses.replace(
        RUN, procedure=name, text=recording.texts()[name], date=date(2026, 5, 3)
    )


def test_record_keeps_what_was_run_and_no_more(checkout, run_tests):
    path = checkout / "doc" / "records.json"
    done = run_tests("--record", "-k", "unban", names=["ban", "unban", "clear-lock"])
    assert done.returncode == 0, done.stdout
    assert (
        "\nrecorded as passed: unban on Mailman 2.1.39 on Python 2.7, layout multi\n" in done.stdout
    )
    assert records.read(path) == [made("unban")]
    done = run_tests("--record", "-k", "lock", names=["ban", "unban", "clear-lock"])
    assert records.read(path) == [made("clear-lock"), made("unban")]
    assert "text changed" not in done.stdout


def test_without_record_the_file_is_left_alone(checkout, run_tests):
    path = checkout / "doc" / "records.json"
    done = run_tests(names=["ban"])
    assert done.returncode == 0, done.stdout
    assert "record" not in done.stdout
    assert not path.exists()
    old = dataclasses.replace(made("unban"), text="before", passed=False)
    outdated = dataclasses.replace(made("ban"), text="before")
    records.write(path, [old, outdated])
    before = as_it_is(path)
    done = run_tests(names=["ban", "unban"])
    assert done.returncode == 0, done.stdout
    assert as_it_is(path) == before
    assert (
        "\ntext changed since its record in doc/records.json:\n  ban: changed since" in done.stdout
    )


def test_what_was_left_before_its_end_is_no_record(checkout, run_tests):
    done = run_tests("--record", names=["ban"], part=":-1")
    assert "\nnot recorded, since it was left before its end: ban on Mailman 2.1.39" in done.stdout
    assert records.read(checkout / "doc" / "records.json") == []


def test_nothing_is_recorded_of_a_page_that_prints_something_else(checkout, run_tests):
    """By a line that is changed on its way from the definition to the page."""
    path = checkout / BLOCKS
    text = path.read_text(encoding="utf-8")
    assert text.count("    text = paste(step)\n") == 1
    path.write_text(text.replace("text = paste(step)\n", 'text = paste(step) + " "\n'))
    done = run_tests("--record", names=["clear-lock"])
    assert "\nnothing is recorded: the page does not print the procedures as they" in done.stdout
    assert not (checkout / "doc" / "records.json").exists()


@pytest.mark.parametrize("number", [0, 1, -1])
def test_one_step_that_failed_makes_the_record_a_failure(tmp_path, lists_page, number):
    walked = steps("ban")
    walked[number] = dataclasses.replace(walked[number], result=FAILED)
    path = tmp_path / "records.json"
    recording.record(path, walked, lists_page)
    assert [run.passed for run in records.read(path)] == [False]
    recording.record(path, steps("ban"), lists_page)
    assert [run.passed for run in records.read(path)] == [True]


def test_a_step_that_failed_is_recorded_also_when_what_follows_was_not_run(tmp_path, lists_page):
    path = tmp_path / "records.json"
    first = dataclasses.replace(steps("ban")[0], result=FAILED)
    recording.record(path, [first], lists_page)
    assert [run.passed for run in records.read(path)] == [False]


def test_each_mailman_and_layout_has_a_record_of_its_own(tmp_path, lists_page):
    path = tmp_path / "records.json"
    recording.record(path, steps("ban"), lists_page)
    recording.record(path, steps("ban", mailman="2.2.0", python="3.9"), lists_page)
    recording.record(path, steps("ban", layout="single"), lists_page)
    assert [(run.mailman, run.python, run.layout) for run in records.read(path)] == [
        ("2.1.39", "2.7", "multi"),
        ("2.1.39", "2.7", "single"),
        ("2.2.0", "3.9", "multi"),
    ]


# Not on the stand-in


def test_a_run_on_the_standin_is_no_record(tmp_path, lists_page):
    path = tmp_path / "records.json"
    with pytest.raises(ValueError, match="stand-in"):
        recording.record(path, steps("ban", standin=True), lists_page)
    assert not path.exists()


@pytest.mark.parametrize("options", [[], ["--mailman-image", "standin"]])
def test_record_is_refused_on_the_standin_in_one_line(options):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--record"),
            *(*options, "tests/page/test_commands.py"),
        ],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done
    assert (done.stdout + done.stderr).split("\n\n")[0].strip() == f"ERROR: {selection.NO_RECORD}"


def test_record_is_refused_on_an_image_that_turns_out_to_be_the_standin():
    def subject(output: str) -> Subject:
        return Subject(Image("id", "name:tag"), Mailman("2.1.39", output, ("python",), "2.7"))

    real = subject("Using Mailman version: 2.1.39")
    standin = subject("Using Mailman version: 2.1.39 (stand-in)")
    selection.refuse_standin({"MAILMAN_IMAGE": real})
    with pytest.raises(BoxError, match="the stand-in is not GNU Mailman"):
        selection.refuse_standin({"MAILMAN_IMAGE": real, "MAILMAN_PYTHON3_IMAGE": standin})
