"""A run in a process that has imported everything is what it is when it is started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks.book.whose import VARIABLE
from tests.support import preloaded


def started(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runbooks", *words],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def same(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Both ways; what came of it."""
    done, of_start = preloaded.run(words, **options), started(words, **options)
    assert (done.returncode, done.stdout, done.stderr) == (
        of_start.returncode,
        of_start.stdout,
        of_start.stderr,
    )
    return done


def test_it_prints_and_ends_as_a_start_does(any_sites: Any) -> None:
    assert same(["--version"]).returncode == 0
    assert same(["no-such-command"], stdin=subprocess.DEVNULL).returncode == 2
    assert "Traceback" not in same(["ban", "a@example.com", "--host", "practice:/none"]).stderr
    lists = same(["banned", "a@example.com", "--host", any_sites.spec])
    assert "11" in lists.stdout


def test_it_has_the_environment_the_folder_and_the_input_that_it_is_given(
    any_sites: Any, tmp_path: Path
) -> None:
    host = {**os.environ, "RUNBOOK_HOST": any_sites.spec, "COLUMNS": "60"}
    assert same(["ban", "--help"], env=host).stdout != preloaded.run(["ban", "--help"]).stdout
    assert same(["sites"], env=host).returncode == 0
    refused = same(["ban", "a@example.com"], env=host, input="n\n")
    assert refused.returncode == 2
    os.symlink(any_sites.folder, tmp_path / "here")
    assert same(["sites", "--host", "practice:here"], cwd=tmp_path).returncode == 0


def test_no_run_leaves_anything_to_the_next() -> None:
    there = {**os.environ, "TZ": "XXX-05:30", "RUNBOOK_HOST": "practice:/none"}
    assert same(["sites"], env=there).returncode == 3
    assert "practice:/none" not in same(["ban", "--help"]).stdout


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [(VARIABLE, "/none", "/none"), ("PYTHONVERBOSE", "1", "import 'site'")],
)
def test_what_is_read_when_python_starts_has_it_started(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("not started")

    monkeypatch.setattr(preloaded, "_server", refuse)
    done = preloaded.run(["ban", "--help"], env={**os.environ, name: value})
    assert said in done.stderr
    with pytest.raises(AssertionError, match="not started"):
        preloaded.run(["ban", "--help"])


def test_a_run_that_takes_too_long_is_ended(any_sites: Any, tmp_path: Path) -> None:
    holder = any_sites.hold("zuul", "zuul-jobs")
    words = ["ban", "a@example.com", "--yes", "--timeout", "60", "--host", any_sites.spec]
    mark = f"{tmp_path}:{time.monotonic()}"
    with pytest.raises(subprocess.TimeoutExpired):
        preloaded.run(words, timeout=3, env={**os.environ, "STARTED_FOR": mark})
    assert holder.poll() is None
    deadline = time.monotonic() + 20
    while any(ours(path, mark) for path in Path("/proc").glob("[0-9]*/environ")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ours(path: Path, mark: str) -> bool:
    try:
        return f"STARTED_FOR={mark}".encode() in path.read_bytes()
    except OSError:
        return False
