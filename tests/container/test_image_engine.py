"""An engine that is started here comes up, is used, and ends; so does a run that is interrupted."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers.box import Box


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for an engine. Not tmp_path: the name of a socket may have 107 characters."""
    # Not asked before now: the run may have installed it.
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("needs root and dockerd")
    with tempfile.TemporaryDirectory(prefix="engine-") as directory:
        yield Path(directory)


def running(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


def commands_with(word: str) -> list[str]:
    """The command lines of all processes that have a word in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if word in command:
                found.append(command)
    return found


@pytest.mark.container
def test_an_engine_that_was_started_here_is_ended_here(place: Path) -> None:
    said: list[str] = []
    engine = engines.start(said.append, place)
    try:
        assert engine.started
        assert engine.bridge
        assert said == ["starting dockerd"]
        assert engines.answer(engine.environment) == engine.version
        process = int((place / "docker.pid").read_text())
        assert running(process)
    finally:
        engine.stop()
    assert not running(process)
    assert engines.answer(engine.environment) is None
    # Its containerd as well.
    assert commands_with(str(place)) == []
    assert not engine.started
    engine.stop()


@pytest.mark.container
def test_an_engine_that_does_not_start_says_why(place: Path) -> None:
    (place / "data").write_text("not a folder")
    with pytest.raises(engines.EngineError) as failure:
        engines.start(lambda line: None, place)
    message = str(failure.value)
    assert message.startswith("dockerd does not start: ")
    assert f"{place}/data" in message
    assert "\n" not in message


@pytest.mark.container
def test_an_engine_comes_up_where_it_can_have_no_network(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = place / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for program in Path(folder).glob("*"):
            if re.match("docker|containerd|runc$|umount$|unshare$", program.name):
                with contextlib.suppress(FileExistsError):
                    (tools / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))  # there is no iptables
    said: list[str] = []
    engine = engines.start(said.append, place)
    try:
        assert said == ["starting dockerd", "starting dockerd without a network of its own"]
        assert not engine.bridge
    finally:
        engine.stop()


@pytest.mark.container
def test_an_engine_ends_with_a_test_run_that_is_killed(place: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from runbooks.testing.containers import engine\n"
        "engine.start(print, Path(sys.argv[1]))\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(place)],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    try:
        for line in parent.stdout:
            if line == b"up\n":
                break
        process = int((place / "docker.pid").read_text())
        assert running(process)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    deadline = time.monotonic() + 20
    while commands_with(str(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert commands_with(str(place)) == []
    # Nobody was left to do it.
    subprocess.run(["umount", "--lazy", str(place / "data")], capture_output=True, check=False)


def containers(project: str) -> list[str]:
    label = f"com.docker.compose.project={project}"
    with engines.reached() as client:
        found = client.containers.list(all=True, sparse=True, filters={"label": label})
    return [container.id for container in found]


@pytest.mark.layout("single")
@pytest.mark.python("2.7")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_container(
    box: Box, tmp_path: Path, request: pytest.FixtureRequest, number: signal.Signals
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nrunbook_source = source\n")
    waiting = tmp_path / "test_waiting.py"
    waiting.write_text(
        "import time\n"
        "import pytest\n"
        "@pytest.mark.layout('single')\n"
        "@pytest.mark.python('2.7')\n"
        "def test_waiting(box):\n"
        f"    open({str(tmp_path / 'ready')!r}, 'w').close()\n"
        "    time.sleep(300)\n"
    )
    image = request.config.getoption("--mailman-image") or (
        "standin" if box.is_standin else "packaged"
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--mailman-image", image, str(waiting)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 240
        while not (tmp_path / "ready").exists() and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        project = f"runbooks-test-{run.pid}"
        assert len(containers(project)) == 1, run.communicate()[0].decode()
        # The keyboard and tox both send it, and one may arrive while the other is acted upon.
        os.killpg(run.pid, number)
        time.sleep(0.3)
        os.killpg(run.pid, number)
        output = run.communicate(timeout=120)[0].decode()
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()
    assert containers(project) == []
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
