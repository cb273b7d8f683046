"""The on-host program for locks with real files and real processes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.mailman import locks
from runbooks.mailman.locks import Lock, Observation, Verdict, examine, refusal, removable
from runbooks.onhost import locks as onhost
from tests.support import processes
from tests.support.waiting import wait_for

HOST = socket.gethostname()
HOUR = 3600


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes, and ends them after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
        process = processes.start(*(argv or ("sleep", "600")), **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def claim(folder: Path, lock: str, pid: int, host: str = HOST, seq: int | None = 0) -> Path:
    path = folder / f"{lock}.{host}.{pid}{'' if seq is None else f'.{seq}'}"
    path.write_text(str(path))
    expire_in(path, 5 * HOUR)
    return path


def take(folder: Path, lock: str, pid: int, host: str = HOST, seq: int | None = 0) -> Path:
    os.link(claim(folder, lock, pid, host, seq), folder / lock)
    return folder / lock


def expire_in(path: Path, seconds: float) -> None:
    moment = time.time() + seconds
    os.utime(path, (moment, moment))


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def look(folder: Path) -> list[Lock]:
    # Through JSON, as on the way from the host.
    seen = json.loads(json.dumps(onhost.observe(str(folder), 18000)))
    return examine(Observation.from_json(seen))


def orders(folder: Path) -> list[dict[str, object]]:
    return [lock.order() for lock in look(folder) if removable(lock)]


def remove(folder: Path, told: list[dict[str, object]]) -> list[dict[str, Any]]:
    return list(onhost.remove(str(folder), json.loads(json.dumps(told))))


def forged(folder: Path, name: str, pid: int, **changes: object) -> dict[str, object]:
    """An order for a lock that `examine` would not give: what a wrong decision would send."""
    lock = name
    found = os.lstat(folder / lock)
    content = (folder / lock).read_text()
    return {
        "lock": lock,
        "files": [lock, os.path.basename(content)],
        "inode": found.st_ino,
        "device": found.st_dev,
        "ctime_ns": found.st_ctime_ns,
        "content": content,
        "host": HOST,
        "gone": None,
        "processes": [[pid, None]],
        **changes,
    }


# Observing


def test_a_held_lock_and_the_process_that_holds_it(folder: Path, start: Any) -> None:
    holder = start("sleep", "601")
    take(folder, "alpha.lock", holder.pid)
    waiting = claim(folder, "alpha.lock", os.getpid())
    [lock] = look(folder)
    assert lock.verdict is Verdict.HELD
    assert lock.process is not None
    assert lock.process.command == "sleep 601"
    assert lock.process.uid == os.getuid()
    assert [one.claim.name for one in lock.waiters] == [waiting.name]
    started = lock.observation.started_ns(lock.process)
    assert started is not None
    assert abs(started / 1e9 - time.time()) < 30
    assert abs(lock.taken_ns / 1e9 - time.time()) < 30
    assert lock.observation.host == HOST


def test_observing_changes_nothing(folder: Path) -> None:
    take(folder, "alpha.lock", dead_pid())

    def state() -> list[object]:
        found = [(name, os.lstat(folder / name)) for name in [".", *names(folder)]]
        return [(n, s.st_ino, s.st_nlink, s.st_mtime_ns, s.st_ctime_ns) for n, s in found]

    before = state()
    look(folder)
    assert state() == before


def test_a_stopped_holder_holds_and_a_zombie_does_not(folder: Path, start: Any) -> None:
    stopped, zombie = start(), start()
    take(folder, "alpha.lock", stopped.pid)
    take(folder, "beta.lock", zombie.pid)
    os.kill(stopped.pid, signal.SIGSTOP)
    os.kill(zombie.pid, signal.SIGKILL)
    wait_for(lambda: state(stopped.pid) == "T" and state(zombie.pid) == "Z")
    alpha, beta = look(folder)
    assert (alpha.verdict, beta.verdict) == (Verdict.HELD, Verdict.STALE)
    assert locks.describe(beta).endswith(f"no longer runs (process {zombie.pid} is a zombie)")
    told = forged(folder, "alpha.lock", stopped.pid)
    [answer] = remove(folder, [told])
    assert answer["result"] == "changed"
    assert f"process {stopped.pid} (sleep 600) runs now" in answer["reason"]
    assert (folder / "alpha.lock").exists()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]


def test_a_program_name_with_brackets_is_read_right(start: Any, tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 (b"
    os.symlink("/bin/sleep", program)
    process = start(str(program), "600")
    wait_for(lambda: "a) S 1 (b" in Path(f"/proc/{process.pid}/stat").read_text())
    known = onhost.process(process.pid)
    assert known["state"] in ("S", "R")
    assert known["start_ticks"] == onhost.process(os.getpid())["start_ticks"] or (
        known["start_ticks"] > onhost.process(os.getpid())["start_ticks"]
    )


def test_whatever_lies_in_the_folder_is_told_and_never_raises(folder: Path) -> None:
    (folder / "dir.lock").mkdir()
    os.symlink("/etc/passwd", folder / "link.lock")
    os.mkfifo(folder / "fifo.lock")
    (folder / "empty.lock").write_text("")
    (folder / "big.lock").write_bytes(b"x" * 5000)
    (folder / "bytes.lock").write_bytes(b"\xff\xfe.lock")
    raw = os.path.join(os.fsencode(folder), b"alph\xff.lock")
    with open(raw, "wb") as f:
        f.write(b"x")
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)
    try:
        server.bind("s.lock")
    finally:
        os.chdir(here)
        server.close()
    seen = onhost.observe(str(folder))
    by_name = {entry["name"]: entry for entry in seen["entries"]}
    assert set(by_name) == {
        "dir.lock", "link.lock", "fifo.lock", "empty.lock", "big.lock", "bytes.lock", "s.lock",
        "alph\\xff.lock",
    }  # fmt: skip
    assert by_name["dir.lock"]["type"] == "dir"
    assert by_name["link.lock"]["type"] == "symlink"
    # Where it leads, and not what is there.
    assert by_name["link.lock"]["content"] == "/etc/passwd"
    assert by_name["fifo.lock"]["type"] == "other"
    assert by_name["empty.lock"]["content"] == ""
    assert by_name["big.lock"]["content"] is None
    assert by_name["big.lock"]["trouble"] == "5000 bytes, far too many"
    assert not by_name["bytes.lock"]["content_exact"]
    assert not by_name["alph\\xff.lock"]["exact"]
    found = look(folder)
    assert {lock.verdict for lock in found} == {Verdict.MALFORMED}
    assert len(found) == 8


def test_a_file_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(folder, "alpha.lock", dead_pid())
    real = os.open

    def refuse(path: Any, *args: Any) -> int:
        if os.fsencode(path).endswith(b"alpha.lock"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    [lock] = [lock for lock in look(folder) if lock.name == "alpha.lock"]
    assert lock.verdict is Verdict.MALFORMED
    assert "it cannot be read: Permission denied" in (refusal(lock) or "")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    seen = onhost.observe(str(tmp_path / "nowhere"))
    assert seen["error"] == "No such file or directory"
    assert seen["entries"] == []


def test_a_folder_that_goes_while_we_look_is_one_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an OSError. Who else may hold its locks is not known then: none is called stale."""
    take(folder, "alpha.lock", dead_pid())
    real = onhost.views

    def views(*arguments: Any) -> Any:
        shutil.rmtree(folder)
        return real(*arguments)

    monkeypatch.setattr(onhost, "views", views)
    seen = onhost.observe(str(folder))
    assert seen["error"] == "No such file or directory"
    assert seen["entries"] == []


def test_a_holder_that_finishes_while_we_look_leaves_no_stale_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = dead_pid()
    path = take(folder, "alpha.lock", pid)
    real = onhost.process

    def finish(asked: int) -> Any:
        if asked == pid:
            for name in names(folder):
                (folder / name).unlink()
        return real(asked)

    monkeypatch.setattr(onhost, "process", finish)
    assert look(folder) == []
    assert not path.exists()


def test_a_lock_that_changes_hands_while_we_look_is_shown_in_its_new_hands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    pid, successor = dead_pid(), start()
    take(folder, "alpha.lock", pid)
    real = onhost.process

    def change_hands(asked: int) -> Any:
        if asked == pid and len(names(folder)) == 2 and str(pid) in names(folder)[1]:
            for name in names(folder):
                (folder / name).unlink()
            take(folder, "alpha.lock", successor.pid)
        return real(asked)

    monkeypatch.setattr(onhost, "process", change_hands)
    [lock] = look(folder)
    assert lock.verdict is Verdict.HELD
    assert lock.claim is not None
    assert lock.claim.pid == successor.pid


def test_a_lock_that_a_waiter_breaks_while_we_look_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pushes the expiry, and removes the lock and its claim."""
    path = take(folder, "alpha.lock", dead_pid())
    process, opened, pushed = onhost.process, os.open, []

    def push(asked: int) -> Any:
        if not pushed:
            expire_in(path, 5 * HOUR)
            pushed.append(path)
        return process(asked)

    def break_it(file: Any, *args: Any) -> int:
        fd = opened(file, *args)
        if pushed and os.fsencode(file).endswith(b"alpha.lock"):
            for name in names(folder):
                (folder / name).unlink()
        return fd

    monkeypatch.setattr(onhost, "process", push)
    monkeypatch.setattr(os, "open", break_it)
    assert look(folder) == []
    assert names(folder) == []


def test_without_proc_a_process_that_exists_counts_as_the_holder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(folder, "alpha.lock", os.getpid())
    take(folder, "beta.lock", dead_pid())
    monkeypatch.setattr(onhost, "own_proc", lambda: False)
    alpha, beta = look(folder)
    assert (alpha.verdict, beta.verdict) == (Verdict.HELD, Verdict.STALE)
    assert "cannot be told" in alpha.reason


def test_a_process_of_another_user_in_a_proc_that_hides_it_counts_as_the_holder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = dead_pid()
    take(folder, "alpha.lock", pid)

    def refuse(asked: int, number: int) -> None:
        assert (asked, number) == (pid, 0)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    [lock] = look(folder)
    assert lock.verdict is Verdict.HELD


def test_the_zero_of_starts_is_measured_to_hundredths_of_a_second(start: Any) -> None:
    before = time.time()
    process = start()
    after = time.time()
    seen = onhost.clock()
    ticks = onhost.process(process.pid)["start_ticks"]
    started = seen["boot_ns"] / 1e9 + ticks / seen["ticks_per_second"]
    assert before - 0.1 <= started <= after + 0.1


def test_a_machine_that_stalls_has_no_process_seem_younger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a process that has a lock would seem to have started after the lock was taken."""
    zero, fork = onhost.boot_time(), os.fork

    def stalled() -> int:
        pid = fork()
        if pid:
            time.sleep(0.5)
        return pid

    monkeypatch.setattr(os, "fork", stalled)
    assert onhost.boot_time() - zero < 0.25 * 10**9


def test_an_id_that_was_given_to_a_later_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    # An id cannot be had twice at will: the start is moved instead. Both programs see it.
    process = start()
    take(folder, "alpha.lock", process.pid)
    time.sleep(1)
    real = onhost.process
    later = 80

    def moved(pid: int) -> Any:
        known = dict(real(pid))
        if pid == process.pid:
            known["start_ticks"] += later
        return known

    monkeypatch.setattr(onhost, "process", moved)
    [lock] = look(folder)
    assert lock.verdict is Verdict.STALE
    assert lock.process is not None
    assert lock.process.exists
    told = [lock.order()]
    later += 1  # yet another process
    assert [a["result"] for a in remove(folder, told)] == ["changed"]
    later -= 1
    assert [a["result"] for a in remove(folder, told)] == ["removed"]
    assert names(folder) == []


def test_ten_thousand_files_take_less_than_a_second(folder: Path) -> None:
    for number in range(2500):
        claim(folder, f"list-{number}.lock", 4_000_000 + number)
        claim(folder, f"list-{number}.lock", os.getpid(), seq=number)
        take(folder, f"other-{number}.lock", 4_100_000 + number)
    assert len(names(folder)) == 10_000
    seconds = []
    for _ in range(5):
        # Its own work, whatever else this machine has to do meanwhile.
        before = time.process_time()
        seen = onhost.observe(str(folder), 18000)
        seconds.append(time.process_time() - before)
    assert len(seen["entries"]) == 10_000
    assert min(seconds) < 1


def test_a_file_of_two_names_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alpha.lock", "beta.lock"):
        take(folder, name, dead_pid())
    real, opened = os.open, []

    def count(path: Any, *args: Any) -> int:
        opened.append(os.fsencode(path))
        return real(path, *args)

    monkeypatch.setattr(os, "open", count)
    seen = onhost.observe(str(folder))
    assert len([path for path in opened if b".lock" in path]) == 2
    assert len(seen["entries"]) == 4
    assert all(entry["content"] for entry in seen["entries"])


def test_a_file_that_changes_between_its_names_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = take(folder, "alpha.lock", os.getpid())
    real, changed = os.close, []

    def change(fd: int) -> None:
        real(fd)
        if not changed:
            changed.append(path)
            (folder / "alpha.lock").write_text("something else")

    monkeypatch.setattr(os, "close", change)
    contents: dict[Any, Any] = {}
    names = sorted(os.fsencode(name) for name in os.listdir(folder))
    first, second = (onhost.look(os.fsencode(folder), name, contents) for name in names)
    assert first["content"] != "something else"
    assert second["content"] == "something else"


def test_the_current_folder_is_as_it_was(folder: Path) -> None:
    before = os.getcwd()
    onhost.observe(str(folder))
    assert os.getcwd() == before


def test_a_holder_in_a_container_is_seen_from_the_host(folder: Path, start: Any) -> None:
    script = textwrap.dedent(
        """
        echo LAST > /proc/sys/kernel/ns_last_pid || exit 9
        sleep 600 & echo $!; wait
        """
    ).replace("LAST", str(random.randrange(20_000, 32_000)))
    container = start(
        "unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, stdout=subprocess.PIPE
    )
    assert container.stdout is not None
    line = container.stdout.readline()
    if not line:
        pytest.skip("no process namespaces here")
    inner = int(line)
    try:
        os.kill(inner, 0)
        pytest.skip("the id is taken")
    except ProcessLookupError:
        pass
    take(folder, "alpha.lock", inner)
    wait_for(lambda: "sleep" in _commands(look(folder)))
    [lock] = look(folder)
    inside = subprocess.run(["pgrep", "-P", _child(container.pid)], capture_output=True, text=True)
    os.kill(int(inside.stdout), signal.SIGKILL)
    assert lock.verdict is Verdict.HELD
    assert lock.process is not None
    assert (lock.process.sees_folder, lock.process.command) == (True, "sleep 600")
    wait_for(lambda: [one.verdict for one in look(folder)] == [Verdict.STALE])


def _commands(found: list[Lock]) -> str:
    return " ".join((one.process.command or "?").split()[0] for one in found if one.process)


def _child(pid: int) -> str:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return found.stdout.strip()


# Removing


def test_a_stale_lock_is_removed_with_its_claim_and_what_was_there_is_told(folder: Path) -> None:
    pid = dead_pid()
    path = take(folder, "alpha.lock", pid)
    before = os.lstat(path)
    content = path.read_text()
    [answer] = remove(folder, orders(folder))
    assert names(folder) == []
    assert answer["result"] == "removed"
    assert answer["removed"] == ["alpha.lock", f"alpha.lock.{HOST}.{pid}.0"]
    assert answer["content"] == content
    assert (answer["inode"], answer["mtime_ns"]) == (before.st_ino, before.st_mtime_ns)
    assert answer["ctime_ns"] == before.st_ctime_ns
    assert answer["processes"] == [[pid, None]]
    assert answer["now"] is None


def test_only_what_is_told_is_removed(folder: Path) -> None:
    for name in ("alpha.lock", "alpha.lock.lock", "alpha-2.lock"):
        take(folder, name, dead_pid())
    told = [order for order in orders(folder) if order["lock"] == "alpha.lock"]
    others = [name for name in names(folder) if name not in told[0]["files"]]  # type: ignore[operator]
    remove(folder, told)
    assert names(folder) == others
    assert len(others) == 4


def test_debris_goes_and_the_claim_of_a_waiting_process_stays(folder: Path) -> None:
    alive = take(folder, "alpha.lock", os.getpid())
    claim(folder, "alpha.lock", dead_pid())
    waiting = claim(folder, "alpha.lock", os.getpid(), seq=7)
    empty = claim(folder, "beta.lock", dead_pid())
    empty.write_text("")
    answers = remove(folder, orders(folder))
    assert [answer["result"] for answer in answers] == ["removed", "removed"]
    assert names(folder) == sorted([alive.name, f"alpha.lock.{HOST}.{os.getpid()}.0", waiting.name])
    assert answers[0]["now"]["name"] == "alpha.lock"


def test_much_debris_is_removed_though_few_files_may_be_open(folder: Path) -> None:
    for number in range(300):
        claim(folder, "alpha.lock", 4_100_000 + number)
    assert [a["result"] for a in remove(folder, orders(folder))] == ["removed"] * 300
    assert names(folder) == []


def test_a_lock_whose_expiry_is_ahead_is_not_touched_before_it_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(folder, "alpha.lock", dead_pid())
    told = orders(folder)
    monkeypatch.setattr(os, "utime", lambda *a, **k: pytest.fail("touched"))
    monkeypatch.setattr(onhost, "pause", lambda seconds: pytest.fail("waited"))
    assert [a["result"] for a in remove(folder, told)] == ["removed"]


@pytest.mark.parametrize("expiry", [-3600, -9, 5, 50])
def test_an_expired_lock_is_pushed_forward_before_it_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, expiry: float
) -> None:
    path = take(folder, "alpha.lock", dead_pid())
    expire_in(path, expiry)
    told = orders(folder)
    ahead: list[float] = []
    monkeypatch.setattr(
        onhost, "pause", lambda seconds: ahead.append(os.lstat(path).st_mtime - time.time())
    )
    assert [a["result"] for a in remove(folder, told)] == ["removed"]
    assert len(ahead) == 1
    assert ahead[0] > 50


def test_the_expiry_is_put_back_when_nothing_is_removed_after_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = dead_pid()
    path = take(folder, "alpha.lock", pid)
    expire_in(path, 5)
    before = os.lstat(path).st_mtime
    told = orders(folder)
    real = onhost.process
    looks: list[int] = []

    def come_alive(asked: int) -> Any:
        looks.append(asked)
        return real(os.getpid() if len(looks) > 1 else asked)

    monkeypatch.setattr(onhost, "process", come_alive)
    [answer] = remove(folder, told)
    assert answer["result"] == "changed"
    assert len(looks) == 2
    assert abs(os.lstat(path).st_mtime - before) < 0.001


def test_who_may_write_but_does_not_own_sets_the_expiry_to_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = take(folder, "alpha.lock", dead_pid())
    expire_in(path, -3600)
    told = orders(folder)
    real = os.utime

    class Utime:
        def __call__(self, path: Any, times: Any = None) -> None:
            if times is not None:
                raise PermissionError(errno.EPERM, "Operation not permitted")
            real(path, None)

    utime = Utime()
    monkeypatch.setattr(os, "utime", utime)
    monkeypatch.setattr(os, "supports_fd", {utime})
    ahead: list[float] = []
    monkeypatch.setattr(
        onhost, "pause", lambda seconds: ahead.append(os.lstat(path).st_mtime - time.time())
    )
    assert [a["result"] for a in remove(folder, told)] == ["removed"]
    assert abs(ahead[0]) < 1


def test_a_lock_that_is_gone_or_in_other_hands(folder: Path, start: Any) -> None:
    pid, successor = dead_pid(), start()
    take(folder, "alpha.lock", pid)
    told = orders(folder)
    for name in names(folder):
        (folder / name).unlink()
    [answer] = remove(folder, told)
    assert answer["result"] == "gone"
    take(folder, "alpha.lock", successor.pid)
    [answer] = remove(folder, told)
    assert answer["result"] == "changed"
    assert answer["now"]["content"].endswith(f".{successor.pid}.0")
    assert [lock.verdict for lock in look(folder)] == [Verdict.HELD]


def test_a_holder_that_releases_and_takes_again_keeps_its_lock(folder: Path, start: Any) -> None:
    # The same name, content and process, and mostly the same inode number.
    holder = start()
    take(folder, "alpha.lock", holder.pid)
    told = forged(folder, "alpha.lock", holder.pid, processes=[[dead_pid(), None]])
    for name in names(folder):
        (folder / name).unlink()
    time.sleep(0.02)  # more than the clock of change times is coarse
    take(folder, "alpha.lock", holder.pid)
    told["inode"] = os.lstat(folder / "alpha.lock").st_ino
    [answer] = remove(folder, [told])
    assert answer["result"] == "changed"
    assert len(names(folder)) == 2


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"host": "elsewhere"}, "refused"),
        ({"processes": []}, "refused"),
        ({"files": []}, "refused"),
        ({"files": ["../secret"]}, "refused"),
        ({"files": ["alpha.lock.d/../../secret"]}, "refused"),
        ({"files": ["beta.lock"]}, "refused"),
        ({"files": ["alpha.lock.*"]}, "gone"),
        ({"files": ["alpha.lock"]}, "changed"),
        ({"lock": "", "files": [".x"]}, "refused"),
        ({"inode": 1}, "changed"),
        ({"device": 1}, "changed"),
        ({"ctime_ns": 1}, "changed"),
        ({"content": "x"}, "changed"),
    ],
)
def test_wrong_evidence_removes_nothing(
    folder: Path, change: dict[str, object], result: str
) -> None:
    pid = dead_pid()
    take(folder, "alpha.lock", pid)
    take(folder, "beta.lock", pid)
    (folder.parent / "secret").write_text("")
    (folder / "alpha.lock.d").mkdir()
    before = names(folder)
    [answer] = remove(folder, [forged(folder, "alpha.lock", pid, **change)])
    assert answer["result"] == result
    assert names(folder) == before
    assert (folder.parent / "secret").exists()


def test_a_process_that_ran_when_the_lock_was_taken_is_refused_whatever_is_told(
    folder: Path, start: Any
) -> None:
    holder = start()
    take(folder, "alpha.lock", holder.pid)
    ticks = onhost.process(holder.pid)["start_ticks"]
    told = forged(folder, "alpha.lock", holder.pid, processes=[[holder.pid, ticks]])
    [answer] = remove(folder, [told])
    assert answer["result"] == "refused"
    assert "ran already when the lock was taken" in answer["reason"]
    assert len(names(folder)) == 2


def test_a_lock_that_is_replaced_in_the_last_moment_is_put_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    take(folder, "alpha.lock", dead_pid())
    told = orders(folder)
    successor = start()
    real = os.rename

    def replace_first(source: Any, target: Any) -> None:
        monkeypatch.setattr(os, "rename", real)
        (folder / "alpha.lock").unlink()
        take(folder, "alpha.lock", successor.pid)
        real(source, target)

    monkeypatch.setattr(os, "rename", replace_first)
    [answer] = remove(folder, told)
    assert answer["result"] == "changed"
    assert answer["removed"] == []
    [lock, left] = look(folder)
    assert (lock.verdict, left.verdict) == (Verdict.HELD, Verdict.DEBRIS)
    assert lock.entry.nlink == 2
    assert os.path.basename(answer["now"]["content"]) == f"alpha.lock.{HOST}.{successor.pid}.0"


def test_a_lock_that_cannot_be_put_back_is_kept_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    take(folder, "alpha.lock", dead_pid())
    told = orders(folder)
    second, third = start(), start()
    real = os.rename

    def replace_twice(source: Any, target: Any) -> None:
        monkeypatch.setattr(os, "rename", real)
        (folder / "alpha.lock").unlink()
        take(folder, "alpha.lock", second.pid)
        real(source, target)
        take(folder, "alpha.lock", third.pid)

    monkeypatch.setattr(os, "rename", replace_twice)
    [answer] = remove(folder, told)
    assert answer["result"] == "failed"
    kept = f"alpha.lock.{HOST}.{os.getpid()}.0"
    assert f"it is kept as {kept}" in answer["reason"]
    assert str(second.pid) in (folder / kept).read_text()
    assert str(third.pid) in (folder / "alpha.lock").read_text()


def test_the_name_aside_takes_no_file_that_is_there(folder: Path) -> None:
    mine = claim(folder, "alpha.lock", os.getpid())
    take(folder, "alpha.lock", dead_pid())
    [order] = orders(folder)
    assert [a["result"] for a in remove(folder, [order])] == ["removed"]
    assert names(folder) == [mine.name]


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_remover_that_dies_leaves_what_the_next_one_removes(folder: Path, steps: int) -> None:
    take(folder, "alpha.lock", dead_pid())
    told = json.dumps(orders(folder))
    script = textwrap.dedent(
        """
        import json, os, sys
        from runbooks.onhost import locks
        steps = int(sys.argv[3])
        def counted(real):
            def call(*args):
                global steps
                if steps == 0:
                    os._exit(7)
                steps -= 1
                return real(*args)
            return call
        os.rename, os.unlink = counted(os.rename), counted(os.unlink)
        list(locks.remove(sys.argv[1], json.loads(sys.argv[2])))
        """
    )
    died = subprocess.run([sys.executable, "-c", script, str(folder), told, str(steps)])
    assert died.returncode == 7
    assert len(names(folder)) == (2, 2, 1, 1)[steps]
    assert ("alpha.lock" in names(folder)) == (steps == 0)
    answers = remove(folder, orders(folder))
    assert [answer["result"] for answer in answers] == ["removed"]
    assert names(folder) == []


@pytest.mark.usefixtures("only_mailmanctl")
def test_mailmanctls_lock_stays_while_any_mailmanctl_runs(
    folder: Path, tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []  # those of the test, whatever else runs on this machine
    monkeypatch.setattr(onhost, "all_pids", lambda: [os.getpid(), *pids])
    take(folder, "master-qrunner", dead_pid(), seq=None)
    [lock] = look(folder)
    assert (lock.verdict, removable(lock)) == (Verdict.STALE, True)
    told = [lock.order()]
    program = tmp_path / "mailmanctl"
    program.write_text("import time; time.sleep(600)")
    running = start(sys.executable, str(program), "-q", "start")
    pids.append(running.pid)
    wait_for(lambda: bool(onhost.mailmanctls()))
    [lock] = look(folder)
    assert lock.verdict is Verdict.STALE
    assert f"mailmanctl runs (process {running.pid})" in (refusal(lock) or "")
    [answer] = remove(folder, told)
    assert (answer["result"], answer["reason"]) == (
        "refused",
        f"mailmanctl runs (process {running.pid})",
    )
    running.kill()
    running.wait()
    assert [a["result"] for a in remove(folder, told)] == ["removed"]


@pytest.mark.usefixtures("only_mailmanctl")
def test_mailmanctls_lock_stays_while_a_runner_that_outlived_it_works(
    folder: Path, tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    monkeypatch.setattr(onhost, "all_pids", lambda: [os.getpid(), *pids])
    for program in ("qrunner", "mailmanctl"):
        (tmp_path / program).write_text(
            "import os, subprocess, sys, time\n"
            "if sys.argv[1] == 'start':\n"
            "    runner = [sys.executable, os.path.join(sys.path[0], 'qrunner')]\n"
            "    child = subprocess.Popen([*runner, '--runner=ArchRunner:0:1'])\n"
            "    print(child.pid, flush=True)\n"
            "time.sleep(600)\n"
        )
    master = start(sys.executable, str(tmp_path / "mailmanctl"), "start", stdout=subprocess.PIPE)
    runner = int(master.stdout.readline())
    pids += [master.pid, runner]
    try:
        wait_for(lambda: "qrunner" in str(onhost.process(runner).get("command")))
        # One that has its mailmanctl, of another site perhaps, is no orphan.
        assert (len(onhost.mailmanctls()), onhost.orphans()) == (1, [])
        take(folder, "master-qrunner", master.pid, seq=None)
        master.kill()
        master.wait()
        wait_for(lambda: onhost.mailmanctls() == [])
        [lock] = look(folder)
        assert lock.verdict is Verdict.STALE
        assert f"ArchRunner {runner}" in (refusal(lock) or "")
        [answer] = remove(folder, [forged(folder, "master-qrunner", master.pid)])
        assert (answer["result"], answer["reason"]) == (
            "refused",
            f"a runner of it runs (process {runner})",
        )
    finally:
        os.kill(runner, signal.SIGKILL)
    wait_for(lambda: onhost.orphans() == [])
    assert [a["result"] for a in remove(folder, orders(folder))] == ["removed"]


def test_a_claim_that_a_lock_names_goes_after_that_lock_and_not_without_it(folder: Path) -> None:
    path = take(folder, "alpha.lock", dead_pid())
    copy = folder / "copy"
    copy.write_bytes(path.read_bytes())
    copy.rename(path)
    both = orders(folder)
    assert [told["files"][0] == "alpha.lock" for told in both] == [True, False]  # type: ignore[index]
    [alone] = remove(folder, both[1:])
    assert (alone["result"], alone["reason"]) == ("refused", "alpha.lock names it")
    assert len(names(folder)) == 2
    assert [answer["result"] for answer in remove(folder, both)] == ["removed", "removed"]
    assert names(folder) == []


@pytest.mark.parametrize("link", [True, False])
def test_the_claim_that_a_lock_of_another_type_names_stays(folder: Path, link: bool) -> None:
    path = claim(folder, "alpha.lock", dead_pid())
    told = orders(folder)
    if link:
        (folder / "alpha.lock").symlink_to(path.name)
    else:
        (folder / "alpha.lock").write_bytes(b"x" * 5000)
    assert orders(folder) == []
    [answer] = remove(folder, told)
    assert answer["result"] == "refused"
    assert path.exists()
    (folder / "alpha.lock").unlink()
    assert [answer["result"] for answer in remove(folder, told)] == ["removed"]


def test_a_host_that_is_gone_is_never_this_one(folder: Path) -> None:
    take(folder, "alpha.lock", dead_pid())
    take(folder, "beta.lock", dead_pid(), host="elsewhere")
    [mine, theirs] = [
        forged(folder, name, dead_pid(), **changes)
        for name, changes in (
            ("alpha.lock", {"gone": HOST}),
            ("beta.lock", {"host": "elsewhere"}),
        )
    ]
    before = names(folder)
    assert [(a["result"], a["reason"]) for a in remove(folder, [mine, theirs])] == [
        ("refused", f"{HOST} is this host"),
        ("refused", f"it belongs to the host elsewhere, and this is {HOST}"),
    ]
    assert names(folder) == before
    [answer] = remove(folder, [{**theirs, "gone": "elsewhere"}])
    assert answer["result"] == "removed"
    assert names(folder) == [name for name in before if name.startswith("alpha")]


def test_a_process_of_this_host_may_hold_the_lock_of_a_host_that_is_gone(
    folder: Path, start: Any
) -> None:
    holder = start("sleep", "601")
    take(folder, "alpha.lock", holder.pid, host="oldlists")
    seen = Observation.from_json(onhost.observe(str(folder), 18000))
    [lock] = examine(seen, "oldlists")
    assert not removable(lock)
    assert f"process {holder.pid} (sleep 601)" in (refusal(lock) or "")
    [answer] = remove(
        folder, [forged(folder, "alpha.lock", holder.pid, host="oldlists", gone="oldlists")]
    )
    assert answer["result"] == "changed"
    assert len(names(folder)) == 2


def test_the_terminal_of_a_process(start: Any) -> None:
    ours, theirs = os.openpty()
    inside = start("sleep", "601", stdin=theirs, start_new_session=True, preexec_fn=own_terminal)
    assert onhost.process(inside.pid)["terminal"] == os.ttyname(theirs).removeprefix("/dev/")
    assert onhost.process(start("sleep", "601", start_new_session=True).pid)["terminal"] is None
    os.kill(inside.pid, signal.SIGSTOP)
    wait_for(lambda: onhost.process(inside.pid)["state"] == "T")
    os.close(ours)
    os.close(theirs)


def own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_another_remover_that_does_not_let_go_is_waited_for_and_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    path = take(folder, "alpha.lock", dead_pid())
    told = orders(folder)
    monkeypatch.setattr(onhost, "GUARD", 0.2)
    with open(path) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        [answer] = remove(folder, told)
        assert answer["result"] == "refused"
        assert "another clear-lock" in answer["reason"]
    assert [a["result"] for a in remove(folder, told)] == ["removed"]


def test_a_folder_that_may_not_be_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(folder, "alpha.lock", dead_pid())
    told = orders(folder)

    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    [answer] = remove(folder, told)
    assert answer["result"] == "failed"
    assert answer["reason"] == "alpha.lock cannot be removed: Permission denied"


def test_the_conversation_with_the_command(folder: Path) -> None:
    take(folder, "alpha.lock", dead_pid())
    events: list[dict[str, Any]] = []
    site = {"name": "openstack", "lock_dir": str(folder), "lock_lifetime": 18000}
    onhost.run({"action": "observe", "sites": [site, {**site, "name": "zuul"}]}, events.append)
    assert [(e["event"], e["site"]) for e in events] == [("locks", "openstack"), ("locks", "zuul")]
    [lock] = examine(Observation.from_json(events[0]["observation"]))
    events.clear()
    onhost.run({"action": "remove", "sites": [{**site, "locks": [lock.order()]}]}, events.append)
    assert [(e["event"], e["site"], e["result"]) for e in events] == [
        ("removal", "openstack", "removed")
    ]
    events.clear()
    onhost.run({"action": "observe", "lock_dir": str(folder)}, events.append)
    assert events[0]["observation"]["entries"] == []
    with pytest.raises(ValueError, match="unknown action 'x'"):
        onhost.run({"action": "x", "lock_dir": str(folder)}, events.append)


def test_both_programs_agree_on_constants() -> None:
    assert onhost.HIGHEST_PID == locks.HIGHEST_PID
    assert onhost.MASTER == locks.MASTER
    # While a lock is removed nobody may begin to break it, however slow the settling.
    assert onhost.AHEAD > onhost.SETTLE + 30
