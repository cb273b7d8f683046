"""The on-host program for locks under every Python that this machine has on its PATH."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks.mailman.locks import Observation, Verdict, examine, removable
from runbooks.onhost import source
from tests.support.processes import start

HOST = socket.gethostname()

#: Runs the program from memory; bytes in text that Python 2 has are those of UTF-8.
RUN = """\
import json, os, sys
def native(value):
    if isinstance(value, dict):
        return dict((native(k), native(v)) for k, v in value.items())
    if isinstance(value, list):
        return [native(item) for item in value]
    if sys.version_info[0] == 2 and isinstance(value, type(u"")):
        return value.encode("utf-8")
    return value
text, parameters = json.load(sys.stdin)
module = {"__name__": "locks"}
exec(compile(text, "<locks>", "exec", 0, True), module)
events = []
module["run"](native(parameters), events.append)
print(json.dumps(events))
"""


def interpreters() -> list[str]:
    found = []
    for name in [
        "python2",
        "python2.7",
        "python3",
        *(f"python3.{minor}" for minor in range(6, 15)),
    ]:
        path = shutil.which(name)
        # A launcher of a version that is not installed is on the PATH as well.
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            found.append(path)
    return found


@pytest.fixture(params=interpreters(), ids=os.path.basename)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


#: A handled signal a hundred times a second.
SIGNALS = """\
import signal
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
events = []
"""


def run(python: str, code: str = RUN, **parameters: object) -> list[dict[str, Any]]:
    done = subprocess.run(
        [python, "-c", code],
        input=json.dumps([source("locks"), parameters]).encode(),
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""
    events = json.loads(done.stdout)
    assert isinstance(events, list)
    return events


def take(folder: Path, lock: str, pid: int, expiry: float = 3600) -> None:
    path = folder / f"{lock}.{HOST}.{pid}.0"
    path.write_text(str(path))
    os.utime(path, (time.time() + expiry,) * 2)
    os.link(path, folder / lock)


def look(python: str, folder: Path) -> Observation:
    [event] = run(python, action="observe", lock_dir=str(folder), lock_lifetime=18000)
    return Observation.from_json(event["observation"])


def test_look_remove_look(python: str, tmp_path: Path) -> None:
    folder = tmp_path / "löcks"
    folder.mkdir()
    dead, stopped = subprocess.Popen(["true"]), start("sleep", "600")
    dead.wait()
    try:
        os.kill(stopped.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        take(folder, "alpha.lock", dead.pid)
        take(folder, "beta.lock", stopped.pid)
        take(folder, "expired.lock", dead.pid, -100)
        with open(os.path.join(os.fsencode(folder), b"\xff.lock"), "wb") as f:
            f.write(b"\xfe\xed\xa0\x80")
        (folder / "ü.lock").write_text("ü")
        seen = look(python, folder)
        locks = {lock.name: lock for lock in examine(seen)}
        assert {name: lock.verdict for name, lock in locks.items()} == {
            "alpha.lock": Verdict.STALE,
            "beta.lock": Verdict.HELD,
            "expired.lock": Verdict.STALE,
            "\\xff.lock": Verdict.MALFORMED,
            "ü.lock": Verdict.MALFORMED,
        }
        real = os.lstat(folder / "alpha.lock")
        entry = locks["alpha.lock"].entry
        assert (entry.inode, entry.nlink, entry.size) == (real.st_ino, 2, real.st_size)
        # Python 2 has times as floating point.
        assert abs(entry.ctime_ns - real.st_ctime_ns) < 1000
        assert abs(entry.mtime_ns - real.st_mtime_ns) < 1000
        holder = locks["beta.lock"].process
        assert holder is not None
        assert (holder.state, holder.command) == ("T", "sleep 600")
        assert seen.lock_dir == str(folder)
        assert seen.set_forward_ns is not None

        told = [lock.order() for lock in locks.values() if removable(lock)]
        answers = run(python, action="remove", lock_dir=str(folder), locks=told)
        assert [(a["lock"], a["result"]) for a in answers] == [
            ("alpha.lock", "removed"),
            ("expired.lock", "removed"),
        ]
        assert answers[0]["content"] == entry.content
        assert [lock.name for lock in examine(look(python, folder))] == [
            "\\xff.lock",
            "beta.lock",
            "ü.lock",
        ]
        answers = run(python, action="remove", lock_dir=str(folder), locks=told)
        assert [a["result"] for a in answers] == ["gone", "gone"]
    finally:
        stopped.kill()
        stopped.wait()


def test_a_lock_in_other_hands_stays(python: str, tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    take(tmp_path, "alpha.lock", dead.pid, -100)
    told = [lock.order() for lock in examine(look(python, tmp_path))]
    for path in tmp_path.iterdir():
        path.unlink()
    take(tmp_path, "alpha.lock", os.getpid())
    [answer] = run(python, action="remove", lock_dir=str(tmp_path), locks=told)
    assert answer["result"] == "changed"
    assert answer["now"]["content"].endswith(f".{os.getpid()}.0")
    assert len(list(tmp_path.iterdir())) == 2


def test_signals_do_not_cut_a_removal_short(python: str, tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    take(tmp_path, "alpha.lock", dead.pid, -100)
    told = [lock.order() for lock in examine(look(python, tmp_path))]
    code = RUN.replace("events = []\n", SIGNALS)
    before = time.monotonic()
    [answer] = run(python, code, action="remove", lock_dir=str(tmp_path), locks=told)
    assert answer["result"] == "removed"
    assert time.monotonic() - before >= 0.5
    assert list(tmp_path.iterdir()) == []
