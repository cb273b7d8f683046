"""Rehearsals of scripts on practice sites: lists that come and go, copies that nobody removed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.support.command import runbook, started

SCRIPT = """\
from __future__ import print_function
import os, time
def sleeps(m, seconds):
    print(os.getpid())
    time.sleep(float(seconds))
"""


def rehearse(sites: Any, folder: Path, seconds: str) -> subprocess.Popen[str]:
    (folder / "sleeps.py").write_text(SCRIPT)
    (folder / "tmp").mkdir(exist_ok=True)
    child = started(
        sites.spec,
        *("withlist", str(folder / "sleeps.py"), seconds, "--dry-run", "--list", "zuul-jobs"),
        env={"TMPDIR": str(folder / "tmp")},
    )
    sites.started.append(child)
    return child


def begun(child: subprocess.Popen[str]) -> int:
    """The process of the script, once it has a list in hand."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("zuul-jobs: "):
            return int(line.split()[1])
    raise AssertionError("it ended before")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def copies(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder / "tmp") if name.startswith("runbook-")}


def test_copies_that_every_process_was_killed_over_go_with_the_next_run(
    sites: Any, tmp_path: Path
) -> None:
    sites.unlock()
    child = rehearse(sites, tmp_path, "600")
    script = begun(child)
    worker = parent(script)
    all_of_them = [script, worker, parent(worker)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in all_of_them:
            os.kill(pid, number)
    child.wait(timeout=30)
    abandoned = copies(tmp_path)
    assert len(abandoned) == 1
    (tmp_path / "tmp" / "runbook-rehearsal-link").symlink_to(sites.folder)
    living = rehearse(sites, tmp_path, "600")
    begun(living)
    assert not abandoned & copies(tmp_path)
    (own,) = copies(tmp_path) - {"runbook-rehearsal-link"}
    other = rehearse(sites, tmp_path, "0")
    other.communicate(timeout=60)
    assert other.returncode == 0
    # That of a run that goes on stays, and so does what is not a folder.
    assert copies(tmp_path) == {own, "runbook-rehearsal-link"}
    assert sites.list_folder("zuul", "zuul-jobs").is_dir()
    living.kill()


TAKES_AND_MAKES = """\
import shutil
from Mailman import MailList, Utils
def takes_and_makes(m):
    shutil.rmtree(m.fullpath())
    assert not Utils.list_exists(m.internal_name())
    new = MailList.MailList()
    new.Create("brandnew", "a@example.com", "x")
    new.Save()
    new.Unlock()
"""


def withlist(sites: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return runbook(sites.spec, "withlist", *arguments)


def test_a_list_that_a_script_removes_or_makes_is_named(sites: Any, tmp_path: Path) -> None:
    sites.unlock()
    script = tmp_path / "takes_and_makes.py"
    script.write_text(TAKES_AND_MAKES)
    one = ("--list", "zuul-jobs", "--site", "zuul")
    rehearsed = withlist(sites, str(script), *one, "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    assert "config.pck              gone (was a list)" in rehearsed.stdout
    assert "config.pck of brandnew  new: a list" in rehearsed.stdout
    assert "1 list: 1 would change" in rehearsed.stdout
    assert sites.list_folder("zuul", "zuul-jobs").is_dir()
    assert not sites.list_folder("zuul", "brandnew").exists()
    done = withlist(sites, str(script), *one, "--yes")
    assert "1 list: 1 changed" in done.stdout
    assert "warning: its state is gone; that from before stays in " in done.stderr
    assert "somebody else" not in done.stderr
    folder = Path(done.stderr.partition("stays in ")[2].partition(":")[0])
    assert (folder / "config.pck").is_file()


def test_a_state_of_any_size_is_rehearsed_on(any_sites: Any, tmp_path: Path) -> None:
    any_sites.unlock()
    any_sites.code(
        "zuul",
        "from Mailman import MailList\nm = MailList.MailList('zuul-jobs')\n"
        "m.info = 'x' * (21 * 1024 * 1024)\nm.Save(); m.Unlock()",
    )
    rehearsed = withlist(any_sites, "owners.py", "--list", "zuul-jobs", "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    assert "1 list: 1 unchanged" in rehearsed.stdout
