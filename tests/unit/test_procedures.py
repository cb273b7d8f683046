"""Which procedures a page has: all of ours, or those that its file names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks.book.whose import VARIABLE
from runbooks.errors import BadInputError
from runbooks.onhost import Program
from runbooks.practice.site import create
from runbooks.procedures import FOLDERS, all_procedures, find, ordered
from tests.support.acme import make_package

ROOT = Path(__file__).resolve().parents[2]
SITE = (ROOT / "doc" / "site.toml").read_text(encoding="utf-8")

Run = Callable[..., subprocess.CompletedProcess[str]]

#: What a test asks of the procedures, as a program of its own: they are loaded once.
SHOW = """
import json
from runbooks.procedures import all_procedures, find
print(json.dumps([[one.name for one in all_procedures()], find("ban").title]))
"""


@pytest.fixture
def run(tmp_path) -> Run:
    """Runs Python with a file that names these procedures, and somebody else's package."""
    make_package(tmp_path)
    file = tmp_path / "site.toml"

    def python(procedures: list[str], *words: str) -> subprocess.CompletedProcess[str]:
        file.write_text(f"procedures = {json.dumps(procedures)}\n{SITE}", encoding="utf-8")
        environment = {**os.environ, VARIABLE: str(file), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
        return subprocess.run(
            [sys.executable, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return python


def names(run: Run, *procedures: str) -> list[str]:
    done = run([*procedures], "-c", SHOW)
    assert done.returncode == 0, done.stderr
    on_page, title = json.loads(done.stdout)
    # What is left out is still there for the command, and for what begins with it.
    assert title == find("ban").title
    return on_page


def test_without_the_key_a_page_has_all_procedures():
    assert [one.name for one in all_procedures()][:2] == ["ban", "ban-pattern"]
    assert len(all_procedures()) == 11


def test_a_page_has_the_procedures_that_are_named_in_that_order(run):
    assert names(run, "clear_lock", "acme.freeze") == ["clear-lock", "freeze"]
    # What would follow a procedure that is not there stands with the others of its folder.
    shown = names(run, "scripted_change", "clear_lock")
    assert shown[:2] == ["scripted-change", "find-address"]
    assert shown[-4:] == ["clear-lock", "close-lists", "reopen-lists", "find-victims"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("bam", "procedures: there is no folder 'bam'; did you mean ban?"),
        ("history", "procedures: there is no folder 'history'; there are: ban, clear_lock,"),
        ("acme.freece", "procedures: acme.freece cannot be imported: No module named"),
        ("acme/freeze", "procedures: 'acme/freeze' is neither a folder of procedures nor a module"),
        ("acme.ban", "acme.ban and runbooks.ban both have 'runbook ban'"),
        ("clear_lock", "procedures: 'clear_lock' is there twice"),
        ("email.mime", "procedures: email.mime has no SUBCOMMANDS"),
    ],
)
def test_a_wrong_name_is_one_line(run, tmp_path, named, said):
    (tmp_path / "acme" / "ban.py").write_text("SUBCOMMANDS = {'ban': 'Ban all.'}\n")
    done = run(["clear_lock", named], "-m", "runbooks", "--help")
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    if said.startswith("procedures: "):
        assert done.stderr.startswith(f"runbook: {tmp_path}/site.toml, line 1: ")


def test_the_command_keeps_its_subcommands_and_gets_those_that_are_taken_in(run):
    done = run(["clear_lock", "acme.freeze"], "-m", "runbooks", "--help")
    assert done.returncode == 0, done.stderr
    for wanted in ("  unban ", "  clear-lock ", "  freeze       Hold every post"):
        assert wanted in done.stdout


def test_the_command_gets_those_of_a_package_that_is_installed(run):
    """Without any file that names them: whoever reads a page has none."""
    done = run([*FOLDERS], "-m", "runbooks", "--help")
    assert "  freeze       Hold every post" in done.stdout
    assert run([*FOLDERS], "-m", "runbooks", "freeze", "--help").returncode == 0
    assert "freeze" not in names(run, *FOLDERS)


def test_a_package_that_is_broken_leaves_our_commands_alone(run, tmp_path):
    (tmp_path / "acme" / "freeze" / "__init__.py").write_text("import nothing\n")
    assert run([*FOLDERS], "-m", "runbooks", "ban", "--help").returncode == 0
    done = run([*FOLDERS], "-m", "runbooks", "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "runbook: acme.freeze cannot be imported: No module named 'nothing'\n"


def test_a_procedure_of_another_package_does_its_work_on_a_host(run, tmp_path):
    spec = create(tmp_path / "practice").spec

    def runbook(*words: str) -> list[dict[str, object]]:
        done = run(["acme.freeze"], "-m", "runbooks", *words, "--host", spec, "--json")
        assert done.returncode in (0, 1), done
        return [json.loads(line) for line in done.stdout.splitlines()]

    first = runbook("freeze", "on", "--yes", "--timeout", "0")
    outcomes = [one["outcome"] for one in first if "list" in one]
    assert outcomes.count("changed") == len(outcomes) - 1  # one list has a stale lock
    again = runbook("freeze", "on", "--yes", "--timeout", "0")
    assert [one["outcome"] for one in again if "list" in one].count("already") == len(outcomes) - 1


def test_a_program_of_another_package_brings_those_of_ours_along(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "freezing.py").write_text("import editing\n")
    (folder / "editing.py").write_text("import os\nimport editing\n")
    monkeypatch.syspath_prepend(tmp_path)
    program = Program("elsewhere.freezing", {})
    assert program.modules[-1] == "elsewhere.freezing"
    assert {"editing", "mailmanlist"} <= {*program.modules}
    sent = json.loads(zlib.decompress(program.parts()[0]))
    assert sent[-1] == ["freezing", "import editing\n"]
    # On the host they have one name each.
    with pytest.raises(ValueError, match=r"elsewhere.editing imports the program of ours"):
        Program("elsewhere.editing", {}).parts()


def test_procedures_that_follow_each_other_are_named():
    a, b = replace(find("ban"), follows="unban"), replace(find("unban"), follows="ban")
    with pytest.raises(BadInputError, match="ban follows unban, which follows it"):
        ordered([a, b])
