"""``--steps`` on a practice site: what it takes, what it runs, what it says."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from runbooks.book.plain import plain
from runbooks.mailman.events import StepOnRecord
from runbooks.mailman.journal import Run, StepTold
from runbooks.mailman.stepping import without_passwords
from runbooks.procedures import all_procedures
from runbooks.terminal import stepped
from tests.support.command import run_id, runbook
from tests.support.terminal import Terminal
from tests.unit.conftest import Sites

ADDRESS = "target@example.com"
NEW_LIST = ("add-list", "new", "--admin", "a@example.com", "--description", "x", "--steps")


def steps(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, done.stdout.splitlines()) if "step" in one]


@pytest.fixture
def made(sites: Sites) -> Sites:
    sites.unlock()
    return sites


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ban", ADDRESS, "--steps"], "standard input is not a terminal"),
        (["ban", ADDRESS, "--steps", "--explain"], "choose one"),
        (["ban", ADDRESS, "--steps", "--dry-run", "--yes"], "leave out --dry-run"),
        (["ban", ADDRESS, "--from-step", "ban-one"], "--from-step is for --steps"),
        (["ban", ADDRESS, "--steps", "--yes", "--from-step", "ban-won"], "did you mean ban-one?"),
        (["ban", ADDRESS, "--steps", "--yes", "--from-step", ""], "there is no step ''"),
        (["ban", "^.*", "--steps", "--yes"], "everybody"),
        (["clear-lock", "--stale", "--steps", "--yes"], "the steps by hand are for one list"),
        (["clear-lock", "a", "b", "--steps", "--yes"], "the steps by hand are for one list"),
        (["withlist", "--restore", "20240501", "--steps"], "--restore takes a run and no script"),
        (
            [*NEW_LIST, "--manifest", "mailman.pp"],
            "leave out --manifest",
        ),
        (
            [*NEW_LIST, "--direct", "--yes", "--site", "openstack"],
            "nobody can be asked for the list's password",
        ),
    ],
)
def test_what_will_not_do_is_said_in_one_line(
    any_sites: Sites, arguments: list[str], complaint: str
) -> None:
    before = any_sites.files()
    done = runbook(any_sites.spec, *arguments)
    assert done.returncode == 2, done.stdout
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert any_sites.files() == before


def test_nobody_is_asked_and_all_is_run_and_on_record(made: Sites) -> None:
    done = runbook(made.spec, "ban", ADDRESS, "--steps", "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    printed = runbook(made.spec, "ban", ADDRESS, "--explain", "--json")
    assert [one["command"] for one in steps(done)] == [one["command"] for one in steps(printed)]
    assert {one["differs"] for one in steps(done)} == {""}
    assert ADDRESS in made.bans("openstack", "openstack-foo")
    recorded = [json.loads(line) for line in done.stdout.splitlines() if '"recorded"' in line]
    run = recorded[0]["recorded"]["run"]
    told = runbook(made.spec, "history", run)
    assert re.search(r"#ban-openstack +as on the page", told.stdout)
    assert "what printed steps change is not on record" in told.stdout


def test_a_script_that_nobody_here_knows_is_run_and_not_judged(made: Sites, tmp_path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("import os\ndef mine(m):\n    print(os.environ.get('RUNBOOK_SECRET'))\n")
    secret = tmp_path / "secret"
    secret.write_text("hunter2 hunter3\n")
    secret.chmod(0o600)
    words = ["withlist", str(script), "--secret-file", str(secret), "--steps", "--yes"]
    done = runbook(made.spec, *words, "--list", "openstack-foo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the page does not say what your script prints" in done.stdout
    assert "    ***" in done.stdout
    assert "hunter2" not in done.stdout
    told = runbook(made.spec, "history", run_id(done), "--json")
    assert "hunter2" not in told.stdout
    assert "***" in json.loads(told.stdout)["steps"][-2]["printed"]


def test_a_step_that_fails_is_the_last_one_and_is_taken_up_again(made: Sites) -> None:
    """Somebody holds a list: by hand, too, the others are done."""
    holder = made.hold("openstack", "openstack-foo")
    done = runbook(made.spec, "ban", ADDRESS, "--steps", "--yes", "--timeout", "1")
    assert done.returncode == 1
    assert "printed  openstack-foo: locked by another process" in done.stdout
    assert f"wrong    openstack-foo does not refuse {ADDRESS}" in done.stdout
    assert f"see #{stepped.NOT_DONE} on the page" in done.stdout
    assert ADDRESS in made.bans("openstack", "openstack-announce")
    holder.kill()
    holder.wait()
    again = re.findall(r"to go on: runbook (.+)", done.stdout)[0].split()
    assert again[-2:] == ["--from-step", "ban-openstack"]
    assert runbook(made.spec, "clear-lock", "openstack-foo", "--yes").returncode == 0
    done = runbook(made.spec, *again[: again.index("--host")], *again[again.index("--host") + 2 :])
    assert done.returncode == 0, done.stdout + done.stderr
    assert ADDRESS in made.bans("openstack", "openstack-foo")


def test_quitting_before_anything_was_run_leaves_nothing(any_sites: Sites) -> None:
    before = any_sites.files()
    terminal = Terminal(["ban", ADDRESS, "--steps", "--host", any_sites.spec])
    terminal.until("[?]")
    terminal.type("q")
    terminal.until("nothing was run")
    assert terminal.end() == 2
    assert any_sites.files() == before


def test_the_end_of_input_is_no_answer(any_sites: Sites) -> None:
    terminal = Terminal(["ban", ADDRESS, "--steps", "--host", any_sites.spec])
    terminal.until("[?]")
    terminal.type("\x04")
    terminal.until("nothing was run")
    assert terminal.end() == 2


def test_a_command_that_goes_on_has_the_arguments_that_were_typed(any_sites: Sites) -> None:
    terminal = Terminal(
        ["ban", "--steps", "--from-step=ban-one", "--", ADDRESS],
        RUNBOOK_HOST=any_sites.spec,
        columns=400,
    )
    terminal.until("[?]")
    terminal.type("s")
    terminal.until("[?]")
    terminal.type("q")
    assert terminal.end() == 1
    assert (
        f"to go on: runbook ban --steps --host {any_sites.spec} --from-step ban-check-openstack"
        f" -- {ADDRESS}" in terminal.text
    )


def test_every_trouble_that_is_noticed_by_what_is_printed_can_be() -> None:
    """What the procedures' own steps print when all is well makes nobody look for help."""
    from runbooks.book import expected
    from runbooks.mailman.printed import steps_of

    for procedure in all_procedures():
        shown = "\n".join(expected.as_shown(step.shows) for step in steps_of(procedure))
        for trouble in procedure.troubles:
            if trouble.prints:
                assert not re.search(trouble.prints, shown, re.MULTILINE), trouble


@pytest.mark.parametrize(
    ("printed", "symptom"),
    [
        ("S    Thu Nov 26 12:00:01 2026 /usr/bin/python3 x", "The process runs"),
        ("Ss+  Thu Nov 26 12:00:01 2026 /usr/bin/python3 x", "The process runs"),
        ("T    Thu Nov 26 12:00:01 2026 vi", "The process is stopped (T)"),
        ("left alone", "The claim names another host"),
        ("ls: cannot access '/x/a.lock*': No such file", "There is no lock, and no mail either"),
    ],
)
def test_a_trouble_is_known_by_what_is_printed(printed: str, symptom: str) -> None:
    (procedure,) = [one for one in all_procedures() if one.name == "clear-lock"]
    fitting = [
        plain(one.symptom)
        for one in procedure.troubles
        if one.prints and re.search(one.prints, printed, re.MULTILINE)
    ]
    assert symptom in fitting


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("newlist --password=hunter2 x", "newlist --password=… x"),
        ("newlist --password 'a b' x", "newlist --password … x"),
        ("withlist -r ban pass@word.org", "withlist -r ban pass@word.org"),
    ],
)
def test_a_command_is_kept_without_passwords(command: str, kept: str) -> None:
    assert without_passwords(command) == kept


def test_markup_is_not_shown() -> None:
    text = ":ref:`Ban it <ban>` with ``--x``, see :ref:`locks`. **Stop** here, *claim*; 2 * 3."
    assert plain(text) == "Ban it (#ban) with --x, see #locks. Stop here, claim; 2 * 3."


def test_what_came_of_a_step_is_told_once() -> None:
    def entry(name: str, how: str, differs: str = "") -> StepOnRecord:
        return StepOnRecord(name=name, how=how, differs=differs)

    ran = [entry("a", "begun"), entry("a", "run"), entry("a", "judged", "oops")]
    again = [entry("a", "begun"), entry("a", "run"), entry("a", "judged")]
    rest = [entry("b", "skipped"), entry("c", "by hand"), entry("d", "begun")]
    run = Run.__new__(Run)
    object.__setattr__(run, "steps", (*ran, *again, *rest))
    assert run.steps_told == [
        StepTold(ran[1], "oops"),
        StepTold(again[1], ""),
        StepTold(rest[0]),
        StepTold(rest[1]),
        StepTold(rest[2]),
    ]
