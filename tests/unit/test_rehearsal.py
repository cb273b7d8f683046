"""What is left of a rehearsal that nobody could tidy up after, on practice sites."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "runbooks", "withlist", str(folder / "sleeps.py"), seconds),
            *("--dry-run", "--list", "zuul-jobs", "--host", sites.spec),
        ],
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
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
    # That of a run that goes on stays, and so does what is no folder.
    assert copies(tmp_path) == {own, "runbook-rehearsal-link"}
    assert sites.list_folder("zuul", "zuul-jobs").is_dir()
    living.kill()
