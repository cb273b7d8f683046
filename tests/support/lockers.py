"""Processes in a container that take locks, wait for them and die, through Mailman's own code."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbooks.testing.containers.box import PROGRAMS, Box, Result
from tests.support import preloaded

ROOT = Path(__file__).resolve().parents[2]

#: Where the processes write. One process, the parent of all, stays and reaps.
FOLDER = "/tmp/lockers"

# Python 2.7 and 3, with what Mailman 2 and the stand-in both have.
_PROGRAM = r"""
from __future__ import print_function
import json, os, signal, sys, time
sys.path.insert(0, %(programs)r)
import paths
from Mailman import LockFile, mm_cfg

FOLDER = %(folder)r
GO = os.path.join(FOLDER, 'go')

def path(name):
    return os.path.join(mm_cfg.LOCK_DIR, name + '.lock')

def write(name, text):
    temporary = os.path.join(FOLDER, name + '.new')
    with open(temporary, 'w') as f:
        f.write(text)
    os.rename(temporary, os.path.join(FOLDER, name))

def note(actor, text):
    write('%%d.said' %% actor, text)

def wait_to_go():
    while not os.path.exists(GO):
        time.sleep(0.02)

def hold(actor, lock, said):
    lock.lock()
    said()
    wait_to_go()
    note(actor, 'kept' if lock.locked() else 'lost')
    lock.unlock(unconditionally=True)

def refresh(actor, lock, said):
    lock.lock()
    said()
    kept = True
    while not os.path.exists(GO):
        kept = kept and lock.locked()
        lock.refresh(unconditionally=True)
        time.sleep(0.05)
    note(actor, 'kept' if kept and lock.locked() else 'lost')
    lock.unlock(unconditionally=True)

def busy(actor, lock, said):
    lock.lock()
    said()
    kept = True
    while not os.path.exists(GO):
        time.sleep(0.003)
        kept = kept and lock.locked()
        lock.unlock(unconditionally=True)
        lock.lock()
    note(actor, 'kept' if kept and lock.locked() else 'lost')
    lock.unlock(unconditionally=True)

def wait(actor, lock, said):
    said()
    lock.lock()
    note(actor, 'got %%.3f' %% time.time())
    time.sleep(5)  # for as long as a command takes to look
    lock.unlock(unconditionally=True)

def release(actor, lock, said):
    lock.lock()
    said()
    while not os.path.exists(os.path.join(FOLDER, '%%d.release' %% actor)):
        time.sleep(0.01)
    lock.unlock()
    note(actor, 'released')

def start(actor, name, role, lifetime):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        assert os.read(reader, 1) == b'.', (name, role)
        os.close(reader)
        return pid
    try:
        os.close(reader)
        lock = LockFile.LockFile(path(name), lifetime)
        globals()[role](actor, lock, lambda: os.write(writer, b'.'))
    except BaseException as e:
        note(actor, 'failed %%r' %% (e,))
    finally:
        os._exit(0)

actors = json.loads(sys.stdin.read())
pids, unreaped = [], []
for number, actor in enumerate(actors):
    pid = start(number, str(actor['list']), str(actor['role']), actor['lifetime'])
    pids.append(pid)
    if actor['role'] == 'wait':
        # Its claim is there a moment after it said that it is about to wait.
        begun = time.time()
        while not [n for n in os.listdir(mm_cfg.LOCK_DIR) if '.%%d.' %% pid in n]:
            assert time.time() < begun + 10
            time.sleep(0.005)
for number, actor in enumerate(actors):
    fate = actor['fate']
    if fate in ('killed', 'zombie', 'terminated'):
        os.kill(pids[number], signal.SIGTERM if fate == 'terminated' else signal.SIGKILL)
        if fate != 'zombie':
            os.waitpid(pids[number], 0)
    elif fate == 'stopped':
        os.kill(pids[number], signal.SIGSTOP)
for number, actor in enumerate(actors):
    if actor['fate'] == 'released':
        write('%%d.release' %% number, '')
        os.waitpid(pids[number], 0)
write('pids', json.dumps(pids))
wait_to_go()
# Whoever waits for a lock that nobody gives up would wait on.
signal.alarm(90)
for number, actor in enumerate(actors):
    if actor['fate'] == 'stopped':
        os.kill(pids[number], signal.SIGCONT)
    if actor['fate'] in ('', 'stopped'):
        if actor['role'] == 'wait' and not actor['gets']:
            os.kill(pids[number], signal.SIGKILL)
        os.waitpid(pids[number], 0)
write('over', '')
"""


@dataclass(frozen=True)
class Actor:
    """A process that wants the lock of a list."""

    list: str
    #: "hold", "refresh" again and again, be "busy" letting go and taking it, "wait" for it, or
    #: "release" it before the test goes on (with the fate "released")
    role: str = "hold"
    #: "killed", "zombie", "terminated", "stopped", "released", or "": it lives
    fate: str = ""
    #: seconds
    lifetime: int = 18_000
    #: whether one that waits gets the lock in the end
    gets: bool = True


@dataclass
class Cast:
    """Actors at work in a container."""

    box: Box
    pids: list[int]

    def said(self, actor: int) -> str:
        """What an actor noted: "kept", "lost", "got TIME"; "" when nothing."""
        return self.box.sh(f"cat {FOLDER}/{actor}.said 2>/dev/null").stdout

    def all_said(self) -> list[str]:
        return [self.said(actor) for actor in range(len(self.pids))]

    def finish(self) -> list[str]:
        """Let everybody let go, and see what each noted."""
        self.box.run(["touch", f"{FOLDER}/go"])
        until(self.box, f"[ -e {FOLDER}/over ]", 120)
        return self.all_said()


def play(box: Box, site: str, actors: Sequence[Actor]) -> Cast:
    """Start actors, one after the other, and let each meet its fate."""
    box.sh(f"rm -rf {FOLDER}; mkdir -m 777 {FOLDER}")
    program = _PROGRAM % {"programs": PROGRAMS, "folder": FOLDER}
    box.put(f"{FOLDER}/play.py", program)
    box.put(f"{FOLDER}/actors", json.dumps([vars(actor) for actor in actors]))
    interpreter = " ".join(box.mailman.interpreter)
    box.sh(
        f"{interpreter} -B {FOLDER}/play.py < {FOLDER}/actors > {FOLDER}/output 2>&1 &",
        user="list",
        env=box.environment(site),
    )
    try:
        until(box, f"[ -e {FOLDER}/pids ]", 60)
    except AssertionError:
        raise AssertionError(box.read(f"{FOLDER}/output")) from None
    return Cast(box, json.loads(box.read(f"{FOLDER}/pids")))


def until(box: Box, condition: str, seconds: float = 10) -> None:
    """Wait for a shell's condition to be true."""
    tries = int(seconds * 20)
    done = box.sh(
        f"for try in $(seq {tries}); do {condition} && exit 0; sleep 0.05; done; exit 1",
        timeout=seconds + 30,
    )
    assert done.rc == 0, f"not within {seconds} s: {condition}"


def names(box: Box, site: str) -> set[str]:
    """The names in the lock folder of a site."""
    return set(box.run(["ls", "-A", f"{box.prefix(site)}/locks"]).stdout.split())


def runbook(box: Box, *arguments: str, timeout: float = 60) -> Result:
    """Run the command on this machine, against the container."""
    done = preloaded.run(
        list(arguments),
        env={**os.environ, "RUNBOOK_HOST": box.spec},
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def objects(result: Result) -> list[dict[str, Any]]:
    """What a command with --json said, line by line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def new_list(box: Box, site: str, *lists: str) -> None:
    for name in lists:
        done = box.run(
            [f"{PROGRAMS}/newlist", "-q", name, "admin@example.com", "pw"],
            env=box.environment(site),
        )
        assert done.rc == 0, done.stderr
