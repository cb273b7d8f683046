"""Removers, holders, waiters and breakers at the same time, each a process of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.mailman.locks import Observation, Verdict, examine, removable
from runbooks.onhost import locks as onhost
from tests.support.waiting import wait_for

HOST = socket.gethostname()

#: A program that takes locks as Mailman's programs do, but looks a hundred times as often.
MAILMAN = r"""
import errno, os, socket, sys, time

folder, lifetime, grace = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
lock = os.path.join(folder, "alpha.lock")
claim = "%s.%s.%d.0" % (lock, socket.gethostname(), os.getpid())

def expire_later(path):
    moment = time.time() + lifetime
    os.utime(path, (moment, moment))

def forget(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

def take():
    with open(claim, "w") as f:
        f.write(claim)
    expire_later(claim)
    while True:
        try:
            os.link(claim, lock)
        except FileExistsError:
            pass
        else:
            return
        try:
            if time.time() > os.stat(lock).st_mtime + grace:
                expire_later(lock)
                with open(lock) as f:
                    winner = f.read()
                forget(lock)
                forget(winner)
        except FileNotFoundError:
            pass
        time.sleep(0.002)

def mine():
    try:
        with open(lock) as f:
            return os.stat(lock).st_nlink == 2 and f.read() == claim
    except FileNotFoundError:
        return False

def release():
    if mine():
        os.unlink(lock)
    forget(claim)
"""

#: Takes the lock, says so, and keeps it until the next line.
HOLDER = (
    MAILMAN
    + r"""
for line in sys.stdin:
    take()
    print("taken", flush=True)
    sys.stdin.readline()
    print("kept" if mine() else "lost", flush=True)
    release()
"""
)

#: Takes and releases it as fast as it can, and complains when another is inside.
WORKER = (
    MAILMAN
    + r"""
inside = folder + ".inside"
while True:
    take()
    try:
        with open(inside) as f:
            other = f.read()
    except FileNotFoundError:
        other = ""
    if other:
        try:
            os.kill(int(other), 0)
            with open("/proc/%s/stat" % other) as f:
                dead = f.read().rsplit(") ", 1)[1][0] in "ZX"
        except (OSError, ValueError):
            dead = True
        if not dead:
            with open(folder + ".violations", "a") as f:
                f.write("%d found %s inside\n" % (os.getpid(), other))
    with open(inside + str(os.getpid()), "w") as f:
        f.write(str(os.getpid()))
    os.rename(inside + str(os.getpid()), inside)
    time.sleep(0.003)
    os.unlink(inside)
    with open(folder + ".rounds", "a") as f:
        f.write(".")
    release()
    time.sleep(0.001)
"""
)

#: Removes what it is told, line by line.
REMOVER = r"""
import json, sys
from runbooks.onhost import locks
locks.SETTLE = float(sys.argv[2])
for line in sys.stdin:
    print(json.dumps(list(locks.remove(sys.argv[1], json.loads(line)))), flush=True)
"""

#: Looks and removes what may be removed, all the time.
CLEARER = r"""
import json, sys
from runbooks.mailman.locks import Observation, examine, removable
from runbooks.onhost import locks
while True:
    seen = Observation.from_json(locks.observe(sys.argv[1], 18000))
    told = [lock.order() for lock in examine(seen) if removable(lock)]
    for answer in locks.remove(sys.argv[1], told):
        print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *argv: object, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, argv)],
            stdin=subprocess.PIPE,
            stdout=options.pop("stdout", subprocess.PIPE),
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave_stale(folder: Path, expired: float) -> list[dict[str, object]]:
    """A lock of a process that died, and the order to remove it."""
    died = subprocess.Popen(["true"])
    died.wait()
    path = folder / f"alpha.lock.{HOST}.{died.pid}.0"
    path.write_text(str(path))
    moment = time.time() - expired
    os.utime(path, (moment, moment))
    os.link(path, folder / "alpha.lock")
    found = examine(Observation.from_json(onhost.observe(str(folder), 18000)))
    [lock] = [lock for lock in found if lock.verdict is Verdict.STALE]
    assert removable(lock)
    return [lock.order()]


@pytest.mark.parametrize("expired", [-3600.0, 9.9995, 10.0])
def test_two_removers_and_a_waiting_process_at_once(
    folder: Path, start: Any, expired: float
) -> None:
    """The waiting process gets the lock and keeps it, whoever freed it: it, or one remover."""
    removers = [start(REMOVER, folder, 0.05) for _ in range(2)]
    waiter = start(HOLDER, folder, 3600, 10)
    results: set[tuple[str, ...]] = set()
    for round_ in range(25):
        told = leave_stale(folder, expired - 0.001 * (round_ % 5))
        say(waiter, "take")
        line = json.dumps(told)
        for remover in removers:
            say(remover, line)
        answers = [json.loads(hear(remover))[0] for remover in removers]
        assert hear(waiter) == "taken"
        outcome = tuple(sorted(answer["result"] for answer in answers))
        results.add(outcome)
        assert outcome.count("removed") <= 1
        assert set(outcome) <= {"removed", "gone", "changed"}
        # Held by the waiter, and no file of the dead process is left.
        assert sorted(os.listdir(folder)) == ["alpha.lock", f"alpha.lock.{HOST}.{waiter.pid}.0"]
        say(waiter, "release")
        assert hear(waiter) == "kept"
        wait_until_empty(folder)
    if expired < 0:
        assert all("removed" in outcome for outcome in results)


def wait_until_empty(folder: Path) -> None:
    wait_for(lambda: not os.listdir(folder), 10)


def test_a_process_that_was_waiting_gets_the_lock_at_once(folder: Path, start: Any) -> None:
    told = leave_stale(folder, -3600)
    waiter = start(HOLDER, folder, 3600, 10)
    say(waiter, "take")
    while len(os.listdir(folder)) < 3:
        time.sleep(0.001)
    [answer] = onhost.remove(str(folder), told)
    removed = time.time()
    assert answer["result"] == "removed"
    assert hear(waiter) == "taken"
    assert time.time() - removed < 3


def test_clearing_all_the_time_never_takes_a_lock_from_a_living_process(
    folder: Path, start: Any
) -> None:
    """Processes work under one lock and are killed at random; two clearers never rest."""
    log = [open(folder.parent / f"clearer{number}", "w+") for number in range(2)]  # noqa: SIM115
    clearers = [start(CLEARER, folder, stdout=file) for file in log]
    workers = [start(WORKER, folder, 3600, 10) for _ in range(4)]
    chance = random.Random(4)
    began = time.monotonic()
    stopped: list[subprocess.Popen[str]] = []
    # However long that takes: a busy machine starts fewer workers than are killed.
    while time.monotonic() < began + 8 or not enough(folder, log):
        assert time.monotonic() < began + 240
        time.sleep(0.1)
        for process in stopped:
            os.kill(process.pid, signal.SIGCONT)
        stopped = []
        victim = chance.choice(workers)
        if chance.random() < 0.5:
            os.kill(victim.pid, signal.SIGSTOP)
            stopped.append(victim)
        else:
            victim.kill()
            victim.wait()
            workers.remove(victim)
            workers.append(start(WORKER, folder, 3600, 10))
        assert all(clearer.poll() is None for clearer in clearers)
    for process in stopped:
        os.kill(process.pid, signal.SIGCONT)
    violations = Path(f"{folder}.violations")
    assert not violations.exists(), violations.read_text()
    for process in workers:
        process.kill()
        process.wait()
    wait_until_empty(folder)
    answers = []
    for file in log:
        # Opened anew: a clearer still writes, and would go on where this one is set to read.
        lines = Path(file.name).read_text().splitlines(keepends=True)
        answers += [json.loads(line) for line in lines if line.endswith("\n")]
        file.close()
    results = [answer["result"] for answer in answers]
    assert results.count("removed") >= 10
    assert set(results) <= {"removed", "gone", "changed"}
    assert len(Path(f"{folder}.rounds").read_text()) > 100


def enough(folder: Path, log: list[Any]) -> bool:
    """Whether a test could have failed: there was work, for the workers and for the clearers."""
    rounds = Path(f"{folder}.rounds")
    removed = sum(Path(file.name).read_text().count('"result": "removed"') for file in log)
    return removed >= 10 and rounds.exists() and rounds.stat().st_size > 100
