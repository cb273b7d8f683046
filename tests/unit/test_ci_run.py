"""`.ci/run` runs the README's own test command, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ci_run(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")

    def run(readme: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "README.md").write_text(readme)
        return subprocess.run(
            [tmp_path / ".ci" / "run"], cwd="/", capture_output=True, text=True, check=False
        )

    return run


def block(*lines: str) -> str:
    return "\n".join(["<!-- test-command: the tests -->", "```console", *lines, "```", ""])


def test_the_command_is_run_in_the_checkout(ci_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    other = "```console\necho other\n```\n"
    done = ci_run(f"# Title\n{other}{block('pwd && echo ran')}{other}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"+ pwd && echo ran\n{tmp_path}\nran\n"


@pytest.mark.parametrize("command", ["exit 7", "true && exit 7"])
def test_its_status_is_the_commands(ci_run, command: str) -> None:  # type: ignore[no-untyped-def]
    assert ci_run(block(command)).returncode == 7


@pytest.mark.parametrize(
    "readme",
    [
        "",
        "```console\necho never\n```\n",
        block(),
        block("echo never", "echo never"),
        block("echo never") + block("echo never"),
    ],
)
def test_no_command_or_several_are_refused(ci_run, readme: str) -> None:  # type: ignore[no-untyped-def]
    done = ci_run(readme)
    assert done.returncode == 1
    assert done.stderr.startswith("README.md: expected one line in a block after")
    assert done.stdout == ""


def test_an_option_for_tox_does_not_replace_what_is_tested() -> None:
    """`tox -e container -- --mailman-image NAME:TAG` is about the container tests alone."""
    assert "{posargs:" not in (ROOT / "tox.ini").read_text(encoding="utf-8")


def test_the_readme_has_the_command_that_is_promised() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"
    after = readme.partition("<!-- test-command")[2]
    assert after.splitlines()[1:4] == ["```console", command, "```"]
