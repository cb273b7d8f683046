"""The plugin for pytest: nothing where a project has no page, and what it loads where one has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runbooks.procedures import all_procedures

PAGE = "[pytest]\nrunbook_source = source\naddopts = -p no:pytest11.testinfra\n"

#: Says what is loaded when it is run.
TELL = """
import json, sys

def test_what_is_loaded(pytestconfig):
    options = ("--mailman-image", "--layout", "--record", "--update")
    told = {
        "options": [one for one in options if pytestconfig.getoption(one, "none") != "none"],
        "modules": [name for name in sys.modules if name.startswith("runbooks")],
        "heavy": sorted({"bs4", "docker", "sphinx"} & {*sys.modules}),
    }
    with open("told.json", "w") as file:
        json.dump(told, file)
"""

#: As a project elsewhere has it.
TESTS = "from runbooks.testing.page.tests import *\n"


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, as if the package were installed and nothing else of ours."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_page_there_is_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_tell.py").write_text(TELL)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    modules = {"runbooks", "runbooks.testing", "runbooks.testing.plugin"}
    assert (told["options"], set(told["modules"]), told["heavy"]) == ([], modules, [])
    assert "Mailman" not in done.stdout
    assert "--mailman-image" not in run(tmp_path, "--help").stdout
    done = run(tmp_path, "--mailman-image", "standin")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --mailman-image" in done.stderr


def test_with_a_page_its_options_are_there_and_its_tests_are_not_loaded_for_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "pytest.ini").write_text(PAGE)
    (tmp_path / "test_tell.py").write_text(TELL)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["options"] == ["--mailman-image", "--layout", "--record", "--update"]
    assert "runbooks.testing.containers.plugin" in told["modules"]
    assert "runbooks.testing.page.plugin" not in told["modules"]
    assert told["heavy"] == []


def test_one_line_makes_a_file_the_tests_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(PAGE)
    (tmp_path / "test_page.py").write_text(TESTS)
    done = run(tmp_path, "--collect-only", RUNBOOK_WALK_ONLY="")
    assert done.returncode == 0, done.stdout + done.stderr
    for procedure in all_procedures():
        for way in ("command, by command", "same state"):
            name = f"{procedure.name}{'-' if way[0] == 'c' else ', '}{way}"
            assert f"test_page.py::test_step[python2.7-multi-{name}]" in done.stdout
    assert "test_page.py::test_the_page_prints_every_procedure" in done.stdout
    done = run(tmp_path, "--update", CI="", GITHUB_ACTIONS="")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --update rewrites the procedures of mailman2-runbooks" in done.stderr


def test_what_parallel_workers_run_is_counted_by_a_process_that_loads_no_test(
    tmp_path: Path,
) -> None:
    (tmp_path / "pytest.ini").write_text(PAGE)
    (tmp_path / "test_page.py").write_text(
        "import pytest\n"
        "from runbooks.testing.page.parts import parts\n"
        "from runbooks.testing.page.tests import pytest_plugins\n"
        "@pytest.mark.parametrize('part', parts()[:1], ids=str)\n"
        "def test_step(part, blocks_run):\n    blocks_run.run.add('a')\n"
    )
    done = run(tmp_path, "-n", "2", RUNBOOK_WALK_ONLY="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nblocks run: 1 of " in done.stdout


def test_the_package_imports_nothing_of_our_own_tests() -> None:
    package = Path(__file__).resolve().parents[2] / "runbooks"
    lines = [
        f"{path.relative_to(package)}: {line}"
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("from tests", "import tests"))
    ]
    assert not lines
