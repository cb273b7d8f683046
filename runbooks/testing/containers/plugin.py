"""The choice of a Mailman to test on, and the `box` that has it.

Nothing of Docker is touched unless a test that needs a container is about to run.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import images, selection
from runbooks.testing.containers.box import SITES, Box, BoxError
from runbooks.testing.containers.running import remove
from runbooks.testing.containers.spare import spares as spares
from runbooks.testing.containers.ssh import ssh_boxes as ssh_boxes


@dataclass
class Run:
    """What this test run uses of Docker."""

    project: str
    engine: engines.Engine | None = None
    subjects: dict[str, selection.Subject] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)

    def header(self) -> list[str]:
        return [subject.describe(self.layouts) for subject in self.subjects.values()]


RUN = pytest.StashKey[Run]()
WORKERS = pytest.StashKey[list[str]]()
REMOVE_SECONDS = 60
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


# Options


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mailman", "the Mailman to test on")
    group.addoption(
        "--mailman-image",
        metavar="packaged|standin|NAME:TAG",
        help="the image of the container tests: Mailman from Ubuntu's package, the stand-in, or "
        "any image with a Mailman 2 in Debian's layout (default: packaged where its base can be "
        "pulled, else standin)",
    )
    group.addoption(
        "--layout",
        choices=selection.LAYOUTS,
        action="append",
        help="run the container tests on this site layout, with each Python; may be repeated "
        "(default: on one layout with one Python, and on the other with the other)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it runs in the background ignore interrupts, and so do the commands
        # that tests start; some of them are interrupted on purpose.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in (
        "container: needs a Docker engine (given to every test that uses `box` or `slot`)",
        "layout(name): is about the site layout `single` or `multi` alone",
        "python(version): is about Mailman's programs on this Python, '2.7' or '3.9', alone",
        "needs(program, ...): is skipped on somebody else's image that lacks one of these",
        "xdist_group(name): runs in the worker of pytest-xdist that has this container",
    ):
        config.addinivalue_line("markers", line)
    run = config.stash[RUN] = Run(project=f"runbooks-test-{os.getpid()}")
    config.stash[WORKERS] = []
    chosen = getattr(config, "workerinput", {}).get("subjects")
    if chosen is not None:
        run.subjects = selection.received(chosen)


# On which containers each container test runs


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "slot" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--layout")
    possible = selection.slots(
        metafunc.config.getoption("--mailman-image"), chosen or selection.LAYOUTS
    )
    if not chosen and not any(map(metafunc.definition.get_closest_marker, ("layout", "python"))):
        possible = selection.crosswise(possible)
    metafunc.parametrize(
        "slot",
        [
            pytest.param(
                slot,
                id=slot.id,
                marks=[pytest.mark.container, pytest.mark.xdist_group(slot.service)],
            )
            for slot in possible
            if wanted(metafunc.definition, slot)
        ],
        indirect=True,
        scope="function",
    )


def wanted(item: pytest.Item, slot: selection.Slot) -> bool:
    """Whether a test's markers allow a container, as far as it is known."""
    layout = item.get_closest_marker("layout")
    python = item.get_closest_marker("python")
    return (layout is None or slot.layout in layout.args) and (
        python is None or slot.python is None or slot.python in python.args
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """When all that is not to run is gone: get what is left its containers' images."""
    needed = [slot for item in items if (slot := slot_of(item)) is not None]
    if not needed or config.option.collectonly:
        return
    run = config.stash[RUN]
    prepare(config, run)
    kept, dropped = [], []
    for item in items:
        slot = slot_of(item)
        if slot is not None:
            subject = selection.subject_of(slot, run.subjects)
            python = item.get_closest_marker("python")
            if subject is None or (python and subject.mailman.python not in python.args):
                dropped.append(item)
                continue
            if slot.service not in run.services:
                run.services.append(slot.service)
            if slot.layout not in run.layouts:
                run.layouts.append(slot.layout)
        kept.append(item)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def slot_of(item: pytest.Item) -> selection.Slot | None:
    callspec = getattr(item, "callspec", None)
    slot = callspec.params.get("slot") if callspec is not None else None
    return slot if isinstance(slot, selection.Slot) else None


def prepare(config: pytest.Config, run: Run) -> None:
    """An engine and the images. Raises UsageError with the one line that helps."""
    for number in INTERRUPTS:
        signal.signal(number, interrupt)
    say = reporter(config)
    try:
        if hasattr(config, "workerinput") and engines.answer() is None:
            # Each worker would install one, and stop it under the others.
            raise engines.EngineError(
                "no Docker engine answers: for parallel tests start one, or give --dist loadgroup"
            )
        run.engine = engines.obtain(say)
        os.environ.update(run.engine.environment)
        if not run.engine.bridge:
            os.environ["MAILMAN_NETWORK"] = "none"
        if not run.subjects:
            run.subjects = selection.choose(config.getoption("--mailman-image"), run.engine, say)
        if config.getoption("--record", False):
            selection.refuse_standin(run.subjects)
    except (engines.EngineError, images.ImageError, BoxError) as problem:
        raise pytest.UsageError(str(problem)) from None
    for variable, subject in run.subjects.items():
        os.environ[variable] = subject.image.id


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Any) -> None:
    """Before pytest-xdist starts its workers: get what they share, if they are for containers.

    No test is known yet; that those of one container are to be kept together says as much.
    """
    if config.option.dist == "loadgroup" and not config.option.collectonly:
        prepare(config, config.stash[RUN])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    subjects = node.config.stash[RUN].subjects
    if subjects:
        node.workerinput["subjects"] = selection.sent(subjects)


def interrupt(number: int, frame: Any) -> None:
    """End the tests and put everything away, without being interrupted in that.

    A second signal is usual: the keyboard sends one to every process, and tox another.
    """
    for further in INTERRUPTS:
        signal.signal(further, signal.SIG_IGN)
    raise KeyboardInterrupt(signal.Signals(number).name)


def reporter(config: pytest.Config) -> Callable[[str], None]:
    terminal = config.pluginmanager.get_plugin("terminalreporter")

    def say(line: str) -> None:
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)

    return say


# What the run says of itself


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    return config.stash[RUN].header()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """A worker of pytest-xdist has ended: keep what it ran on."""
    for line in getattr(node, "workeroutput", {}).get("mailman", []):
        if line not in node.config.stash[WORKERS]:
            node.config.stash[WORKERS].append(line)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash[WORKERS] or config.stash[RUN].header():
        terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["mailman"] = session.config.stash[RUN].header()


# Putting away


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(RUN, None)
    if run is None or run.engine is None:
        return
    interrupted = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    try:
        remove_project(run.project)
        if interrupted:
            # Compose may have been starting a container, and the engine may have gone on.
            time.sleep(1)
            remove_project(run.project)
    finally:
        run.engine.stop()


def remove_project(project: str) -> None:
    """Remove the containers of this run, whatever became of the command that started them."""
    try:
        with engines.reached(REMOVE_SECONDS) as client:
            for label in ("com.docker.compose.project", "mailman2-runbooks.run"):
                filters = {"label": f"{label}={project}"}
                for one in client.containers.list(all=True, sparse=True, filters=filters):
                    remove(one)
    except engines.EngineError as problem:
        print(f"containers of {project} may be left: {problem}", file=sys.stderr)


# Containers, through pytest-docker


@pytest.fixture(scope="session")
def docker_compose_command(pytestconfig: pytest.Config) -> str:
    engine = pytestconfig.stash[RUN].engine
    assert engine is not None
    return " ".join(engine.compose)


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(Path(__file__).with_name("compose.yaml"))


@pytest.fixture(scope="session")
def docker_compose_project_name(pytestconfig: pytest.Config) -> str:
    return pytestconfig.stash[RUN].project


@pytest.fixture(scope="session")
def docker_setup(pytestconfig: pytest.Config) -> list[str]:
    # A worker of pytest-xdist starts the one container that its tests turn out to use. Compose v1
    # has no --wait; a container that sleeps is ready when it runs.
    if hasattr(pytestconfig, "workerinput"):
        return []
    return [f"up -d {' '.join(pytestconfig.stash[RUN].services)}"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    # In pytest_unconfigure, which comes also when a start was interrupted.
    return []


@pytest.fixture(scope="session")
def boxes(
    pytestconfig: pytest.Config, docker_services: Any
) -> Iterator[Callable[[selection.Slot], Box]]:
    """The box of a slot, its layout laid over it when it is first asked for."""
    run = pytestconfig.stash[RUN]
    made: dict[selection.Slot, Box] = {}

    def get(slot: selection.Slot) -> Box:
        if slot not in made:
            subject = selection.subject_of(slot, run.subjects)
            assert subject is not None
            if hasattr(pytestconfig, "workerinput"):
                docker_services._docker_compose.execute(f"up -d {slot.service}")
            label = "com.docker.compose"
            labels = [f"{label}.project={run.project}", f"{label}.service={slot.service}"]
            found = client.containers.list(filters={"label": labels})
            if len(found) != 1:
                raise BoxError(f"no container {slot.service}: {found}")
            made[slot] = Box.prepare(found[0], slot.layout, subject.mailman)
        return made[slot]

    with engines.reached() as client:
        yield get
        for box in made.values():
            box.close()


@pytest.fixture
def slot(request: pytest.FixtureRequest) -> selection.Slot:
    """Which container a test is given, for one that gets it from `boxes` as it was left."""
    chosen: selection.Slot = request.param
    return chosen


@pytest.fixture
def box(
    request: pytest.FixtureRequest,
    slot: selection.Slot,
    boxes: Callable[[selection.Slot], Box],
) -> Box:
    """A container with a Mailman 2 that has no lists, on each Python and each site layout."""
    found = boxes(slot)
    found.reset()
    # The tests of the page lay those over it that the page is about.
    found.sites = dict(SITES[found.layout])
    if (marker := request.node.get_closest_marker("needs")) is not None:
        selection.skip_without(found, marker.args, request.config.getoption("--mailman-image"))
    return found
