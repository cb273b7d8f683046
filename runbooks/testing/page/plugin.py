"""The page, built; the walk through it; and what was run of it, written down."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.book.whose import whose
from runbooks.procedures import all_procedures
from runbooks.sphinxext.verification import VERIFICATION, Record
from runbooks.testing.containers.box import Box
from runbooks.testing.containers.selection import Slot, skip_without
from runbooks.testing.containers.ssh import SshBoxes
from runbooks.testing.page import annotations as github
from runbooks.testing.page import recording
from runbooks.testing.page.building import build, once
from runbooks.testing.page.counting import Blocks
from runbooks.testing.page.failure import NotTrueError, Told
from runbooks.testing.page.pages import Page
from runbooks.testing.page.parts import Part
from runbooks.testing.page.printing import Reading
from runbooks.testing.page.walk import Walk, add_records, image_of
from runbooks.testing.settings import Settings, settings

if TYPE_CHECKING:
    from runbooks.testing.page.updating import Updating

BLOCKS = pytest.StashKey[Blocks]()
UPDATING = pytest.StashKey["Updating"]()
RECORDS = pytest.StashKey[list[Record]]()
#: Whether the site was built to be read by the tests.
BUILT = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    # Compose gives it to the containers, which are started when all tests are collected.
    os.environ["MAILMAN_HOSTNAME"] = whose().server.hostname
    config.stash[BLOCKS] = Blocks()
    config.stash[RECORDS] = []
    config.stash[BUILT] = False
    if config.getoption("--update"):
        # It needs what is not installed for a page elsewhere, which has nothing to rewrite.
        from runbooks.testing.page.updating import Updating

        config.stash[UPDATING] = Updating()
    only = os.environ.get("RUNBOOK_WALK_ONLY", "").split()
    if unknown := set(only) - {procedure.name for procedure in all_procedures()}:
        names = ", ".join(sorted(unknown))
        raise pytest.UsageError(f"RUNBOOK_WALK_ONLY names what is no procedure: {names}")


# -- the page -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def page_settings(pytestconfig: pytest.Config) -> Settings:
    """Where the project has its page."""
    return settings(pytestconfig)


@pytest.fixture(scope="session")
def built(pytestconfig: pytest.Config, page_settings: Settings, testrun_uid: str) -> Path:
    """The folder with the built pages, as they are published. One worker builds them for all."""
    with once(page_settings, "html", testrun_uid) as is_first:
        if is_first:
            build(page_settings, page_settings.html)
    pytestconfig.stash[BUILT] = True
    return page_settings.html


@pytest.fixture(scope="session")
def lists_page(built: Path, page_settings: Settings) -> Page:
    """The page that has the procedures."""
    return Page(built, page_settings.page)


@pytest.fixture
def write_records(
    request: pytest.FixtureRequest, lists_page: Page, page_settings: Settings
) -> Callable[[Sequence[Record]], None]:
    """Adds what a test ran to ``verification.json``, whatever becomes of the test.

    Together with what the tests before it have run. With ``--record`` also to ``records.json``.
    """
    ran = request.config.stash[RECORDS]

    def write(records: Sequence[Record]) -> None:
        ran.extend(records)
        with (page_settings.build / f"{VERIFICATION}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            add_records(page_settings.build / VERIFICATION, ran)
            if request.config.getoption("--record"):
                for line in recording.record(page_settings.records, records, lists_page):
                    # Goes with the test's report to whoever sums up, in whichever process.
                    request.node.user_properties.append((recording.PROPERTY, line))

    return write


# -- the walk -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def walks(
    lists_page: Page,
    boxes: Callable[[Slot], Box],
    ssh_boxes: SshBoxes,
    tmp_path_factory: pytest.TempPathFactory,
    blocks_run: Blocks,
) -> Callable[[Slot], Walk]:
    """The walk through the page in the container of a slot, begun when it is first asked for."""
    reading = Reading(lists_page, all_procedures())
    made: dict[Slot, Walk] = {}

    def get(slot: Slot) -> Walk:
        if slot not in made:
            box = boxes(slot)
            reached = ssh_boxes.get(box)
            assert not isinstance(reached, str), f"the page's commands need ssh: {reached}"
            folder = tmp_path_factory.mktemp("walk")
            programs, home = folder / "bin", folder / "home"
            programs.mkdir()
            home.mkdir()
            ssh = programs / "ssh"
            ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {reached.config} "$@"\n')
            ssh.chmod(0o755)
            path = f"{programs}:{os.environ['PATH']}"
            made[slot] = Walk(reading, reached.box, image_of(box), home, path, blocks_run.run)
        return made[slot]

    return get


@pytest.fixture
def walk(
    slot: Slot,
    boxes: Callable[[Slot], Box],
    walks: Callable[[Slot], Walk],
    request: pytest.FixtureRequest,
) -> Walk:
    """The walk through the page in a container, skipped where that lacks what the test needs."""
    option = request.config.getoption("--mailman-image")
    for mark in request.node.iter_markers("needs"):
        skip_without(boxes(slot), mark.args, option)
    return walks(slot)


# -- the tests of a walk ------------------------------------------------------------------


def part_of(item: pytest.Item) -> Part | None:
    """What a test of a walk is about; None for any other test."""
    callspec = getattr(item, "callspec", None)
    part = callspec.params.get("part") if callspec is not None else None
    return part if isinstance(part, Part) else None


@pytest.fixture(scope="session")
def blocks_run(pytestconfig: pytest.Config) -> Blocks:
    """The blocks of the page that this run of the tests has run so far."""
    return pytestconfig.stash[BLOCKS]


@pytest.fixture
def updating(pytestconfig: pytest.Config) -> Updating | None:
    """With ``--update``: what is to be rewritten when all tests have been run."""
    return pytestconfig.stash.get(UPDATING, None)


@pytest.fixture
def record_of_part(
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    record_xml_attribute: Callable[[str, object], None],
) -> Callable[[Mapping[str, str]], None]:
    """Tells JUnit where the step of a test is defined, and what is told of it."""
    part = part_of(request.node)
    assert part is not None

    def record(texts: Mapping[str, str]) -> None:
        record_xml_attribute("file", part.defined.path)
        record_xml_attribute("line", part.defined.line)
        record_property("anchor", part.anchor)
        record_property("defined", str(part.defined))
        for name, text in texts.items():
            record_property(name, text)

    return record


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        session.config.stash[BLOCKS].are_wanted = any(map(part_of, session.items))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails is where it is defined, and not in what has found it."""
    report = yield
    if (part := part_of(item)) is not None:
        report.location = (part.defined.path, part.defined.line - 1, report.location[2])
    if call.excinfo is not None and isinstance(call.excinfo.value, NotTrueError):
        # pytest shows whatever has `toterminal`.
        report.longrepr = Told(call.excinfo.value)  # type: ignore[assignment]
    return report


def add_worker(node: Any) -> None:
    """Count what a worker of pytest-xdist has run."""
    node.config.stash[BLOCKS].add(node.workeroutput["blocks"])
    node.config.stash[BUILT] |= node.workeroutput["built"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    blocks = session.config.stash[BLOCKS]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["blocks"] = blocks.sent()
        session.config.workeroutput["built"] = session.config.stash[BUILT]
    else:
        session.exitstatus = blocks.status(session.exitstatus)
        if session.config.stash[BUILT] and blocks.run:
            # What is left to be published says what all workers have run of it.
            page = settings(session.config)
            build(page, page.html)
    updating = session.config.stash.get(UPDATING, None)
    ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if updating is not None and ended:
        updating.finish(session.config.rootpath)
        if updating.is_left:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was run and recorded, and which procedures have changed since."""
    if config.stash[BLOCKS].are_wanted:
        terminalreporter.write_line(config.stash[BLOCKS].line())
    if (updating := config.stash.get(UPDATING, None)) is not None:
        for line in updating.lines:
            terminalreporter.write_line(line)
    if github.wanted(os.environ):
        failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        for line in github.of_reports(failed, config.rootpath):
            terminalreporter.write_line(line)
    reports = [report for group in terminalreporter.stats.values() for report in group]
    lines = [
        line
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, line in report.user_properties
        if name == recording.PROPERTY
    ]
    for line in [*lines, *recording.outdated(settings(config).records, config.rootpath)]:
        terminalreporter.write_line(line)
