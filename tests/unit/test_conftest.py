"""Tests without a container need no engine; with one, a missing engine is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_deselected_container_tests_need_no_engine() -> None:
    done = run_pytest("-m", "not container", "tests/container/test_image.py")
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done
    assert "deselected" in done.stdout
    assert "Docker" not in done.stdout + done.stderr


def test_collecting_container_tests_needs_no_engine() -> None:
    done = run_pytest("--collect-only", "tests/container/test_image.py")
    assert done.returncode == 0, done
    assert "test_the_host_is_called_lists[python3.9-single]" in done.stdout


def test_without_an_engine_container_tests_fail_in_one_line() -> None:
    done = run_pytest("tests/container/test_image.py")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done
    errors = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
    assert len(errors) == 1
    assert errors[0].startswith(
        "ERROR: the Docker engine at DOCKER_HOST=unix:///nonexistent/docker.sock does not answer"
    )


def test_the_docker_package_is_not_imported() -> None:
    code = "import sys, conftest; sys.exit('docker' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
