"""The pages, built; and what was run of them, written down."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runbooks.book.whose import whose
from runbooks.procedures import all_procedures
from runbooks.sphinxext.verification import VERIFICATION, Record
from tests.page import annotations, recording, walk
from tests.page.counting import Blocks
from tests.page.failure import NotTrueError, Told
from tests.page.pages import Page
from tests.page.parts import Part
from tests.page.updating import Updating
from tests.support.spare import spares as spares
from tests.support.ssh import ssh_boxes as ssh_boxes

# Compose gives it to the containers, which are started when all tests are collected.
os.environ["MAILMAN_HOSTNAME"] = whose().server.hostname

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "doc" / "source"
BUILD = ROOT / "build"

BLOCKS = pytest.StashKey[Blocks]()
UPDATING = pytest.StashKey[Updating]()
RECORDS = pytest.StashKey[list[Record]]()
#: Whether the site was opened in a browser, as it is when it is to be published.
OPENED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BLOCKS] = Blocks()
    config.stash[RECORDS] = []
    config.stash[OPENED] = False
    config.stash[UPDATING] = Updating()
    only = os.environ.get("RUNBOOK_WALK_ONLY", "").split()
    if unknown := set(only) - {procedure.name for procedure in all_procedures()}:
        names = ", ".join(sorted(unknown))
        raise pytest.UsageError(f"RUNBOOK_WALK_ONLY names what is no procedure: {names}")


def sphinx(
    source: Path, output: Path, *options: str, builder: str = "html"
) -> subprocess.CompletedProcess[str]:
    """Build pages with every warning an error."""
    doctrees = output.parent / "doctrees"
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", "-b", builder),
            *("-d", str(doctrees), *options, str(source), str(output)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def built(testrun_uid: str) -> Path:
    """The site in ``build/html``, as it is published. One worker builds it for all."""
    with once("html", testrun_uid) as is_first:
        if is_first:
            build_site(BUILD / "html")
    return BUILD / "html"


@contextmanager
def once(what: str, run: str) -> Iterator[bool]:
    """Lets one worker of a run do something while the others wait: whether it is this one."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{what}.once").open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        is_first = file.read() != run
        yield is_first
        if is_first:
            file.truncate(0)
            file.write(run)


def build_site(output: Path) -> None:
    """The site, in a folder beside ``build/verification.json``: with what that has of it by now."""
    done = sphinx(SOURCE, output)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def lists_page(built: Path) -> Page:
    return Page(built, "lists")


@pytest.fixture
def write_records(
    request: pytest.FixtureRequest, lists_page: Page
) -> Callable[[Sequence[Record]], None]:
    """Adds what a test ran to ``build/verification.json``, whatever becomes of the test.

    Together with what the tests before it have run. With ``--record`` also to
    ``doc/records.json``.
    """
    ran = request.config.stash[RECORDS]

    def write(records: Sequence[Record]) -> None:
        ran.extend(records)
        with (BUILD / f"{VERIFICATION}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            walk.add_records(BUILD / VERIFICATION, ran)
            if request.config.getoption("--record"):
                for line in recording.record(recording.PATH, records, lists_page):
                    # Goes with the test's report to whoever sums up, in whichever process.
                    request.node.user_properties.append((recording.PROPERTY, line))

    return write


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
    return pytestconfig.stash[UPDATING] if pytestconfig.getoption("--update") else None


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What a file makes once (a copy of the project, a build, a browser) one worker makes.
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


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
        report.longrepr = Told(call.excinfo.value)
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """A worker of pytest-xdist has ended: count what it has run."""
    if "blocks" in (sent := getattr(node, "workeroutput", {})):
        node.config.stash[BLOCKS].add(sent["blocks"])
        node.config.stash[OPENED] |= sent["opened"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    blocks = session.config.stash[BLOCKS]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["blocks"] = blocks.sent()
        session.config.workeroutput["opened"] = session.config.stash[OPENED]
    else:
        session.exitstatus = blocks.status(session.exitstatus)
        if session.config.stash[OPENED]:
            # What is left in build/html says what all workers have run of it.
            build_site(BUILD / "html")
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        updating = session.config.stash[UPDATING]
        updating.finish(ROOT)
        if updating.is_left:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was run and recorded, and which procedures have changed since."""
    if config.stash[BLOCKS].are_wanted:
        terminalreporter.write_line(config.stash[BLOCKS].line())
    for line in config.stash[UPDATING].lines:
        terminalreporter.write_line(line)
    if annotations.wanted(os.environ):
        failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        for line in annotations.of_reports(failed, ROOT):
            terminalreporter.write_line(line)
    reports = [report for group in terminalreporter.stats.values() for report in group]
    lines = [
        line
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, line in report.user_properties
        if name == recording.PROPERTY
    ]
    for line in [*lines, *recording.outdated(recording.PATH)]:
        terminalreporter.write_line(line)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package, the pages, and the figures that are on them, to change."""
    for folder in ("runbooks", "doc", "benchmarks"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    return tmp_path


def copy_project(folder: Path) -> None:
    """All of the project that its tests need, with its links as they are."""
    for name in ("runbooks", "doc", "benchmarks", "docker", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("CHANGELOG.md", "conftest.py", "pyproject.toml", "README.md", "tox.ini"):
        shutil.copy(ROOT / name, folder)


def in_copy(copy: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a copy of the project, and of its own code."""
    return subprocess.run(
        [sys.executable, "-B", "-m", *words],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def build_in(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages of a copy, from the package of the copy."""
    return subprocess.run(
        [
            *(sys.executable, "-B", "-m", "sphinx", "-q", "-W", "-n", "--keep-going"),
            *("-b", "html", "-d", "build/doctrees", "doc/source", "build/html"),
        ],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
