"""Ten thousand lock situations by generator, and two hundred with real files and processes."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import hypothesis
import pytest

from runbooks.testing.containers.box import Box
from runbooks.testing.containers.running import Process
from tests.faults import world
from tests.faults.ledger import Ledger, Row
from tests.unit import test_locks_situations as generated

#: Of a folder with four locks at most, so many make at least so many locks.
FOLDERS, GENERATED = 3500, 10_000
REAL = 200
AT_A_TIME = 25

#: What becomes of the lock of a list, and how often compared with the others.
KINDS = {
    "held": 3,
    "stopped": 1,
    "held, expired": 1,
    "held, waiter dead": 2,
    "held, waiter waits": 1,
    "dead": 4,
    "dead, expired": 1,
    "zombie": 2,
    "dead, waiter waits": 2,
    "dead, waiter dead": 2,
    "claim of a dead waiter alone": 1,
    "process id reused": 1,
    "foreign": 1,
    "a folder": 1,
    "empty": 1,
    "a symbolic link": 1,
    "claim missing": 1,
    "claim is another file": 1,
    "claim is another file, lock a link": 1,
}
#: What a waiting process is given to take a lock that has become free.
PATIENCE = 5


@pytest.mark.timeout(300)
def test_generated_situations(seed: int, ledger: Ledger) -> None:
    """The property of the unit tests, on situations of this run's seed."""
    generated.judged.update(dict.fromkeys(generated.judged, 0))
    row = ledger.row("lock situations, generated")
    check = hypothesis.given(generated.situations())(generated.check.hypothesis.inner_test)
    check = hypothesis.settings(
        max_examples=FOLDERS,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(check)
    try:
        hypothesis.seed(seed)(check)()
    except BaseException as problem:
        row.lost.append(str(problem).strip().splitlines()[0] if str(problem) else repr(problem))
        raise
    finally:
        row.tried += generated.judged["locks"]
        row.seen["processes that live"] += generated.judged["live"]
        row.seen["files removed"] += generated.judged["removed"]
    assert row.tried >= GENERATED


class Stage:
    """inside/stage.py in a container: locks with the processes that go with them."""

    def __init__(self, box: Box, site: str, lists: list[str], seed: int) -> None:
        self.process = Process(
            box.container,
            world.python(box, "stage"),
            user="list",
            environment=box.environment(site),
        )
        kinds = [kind for kind, often in KINDS.items() for _ in range(often)]
        order = {"lists": lists, "seed": seed, "kinds": kinds}
        self.situations: list[dict[str, Any]] = self.ask(json.dumps(order))

    def ask(self, line: str) -> Any:
        self.process.send(line.encode("ascii") + b"\n")
        return json.loads(self.process.line())

    def files(self) -> dict[str, list[Any]]:
        """What the lock folder holds."""
        found: dict[str, list[Any]] = self.ask("look")
        return found

    def end(self) -> None:
        self.process.send(b"end\n")
        assert self.process.line(20) == b"", "stage.py goes on"
        self.process.close()


def claims(files: dict[str, list[Any]], name: str, pid: int) -> list[str]:
    return [file for file in files if file.startswith(f"{name}.lock.") and f".{pid}." in file]


def judge(
    found: dict[str, Any], before: dict[str, list[Any]], after: dict[str, list[Any]], row: Row
) -> None:
    """Compare what is left of one situation with what had to be done about it."""
    name, lock = found["list"], f"{found['list']}.lock"
    label = f"{found['kind']}: {name}"
    row.tried += 1
    row.seen[found["kind"]] += 1
    row.lost += [f"{label}: {file} was not removed" for file in found["gone"] if file in after]
    for file in found["kept"]:
        if after.get(file) != before[file]:
            row.lost.append(f"{label}: {file} was {before[file]} and is {after.get(file)}")
    if found["holder"]:
        if not holds(after, name, found["holder"]):
            row.lost.append(f"{label}: process {found['holder']} has lost its lock: {after}")
        for pid in found["waiters"]:
            if not claims(after, name, pid):
                row.lost.append(f"{label}: process {pid} waits and has lost its claim")
    elif found["waiters"]:
        if not holds(after, name, found["waiters"][0]):
            row.lost.append(f"{label}: who waited did not get the lock")
    elif not found["kept"] and lock in after:
        row.lost.append(f"{label}: it is still locked: {after[lock]}")


def holds(files: dict[str, list[Any]], name: str, pid: int) -> bool:
    lock = files.get(f"{name}.lock")
    mine = claims(files, name, pid)
    return bool(lock and mine and lock[1] == 2 and lock[2] and os.path.basename(lock[2]) in mine)


@pytest.mark.timeout(600)
def test_real_situations(box: Box, chance: random.Random, ledger: Ledger, share: int) -> None:
    row = ledger.row("lock situations, with real files and processes")
    lists = world.populate(box, AT_A_TIME * len(box.sites))
    rounds = -(-REAL // (AT_A_TIME * share))
    for number in range(rounds):
        site = list(box.sites)[number % len(box.sites)]
        names = [name.list for name in lists if name.site == site]
        stage = Stage(box, site, names, chance.randrange(10**9))
        try:
            before = stage.files()
            done = world.runbook(box.spec, "clear-lock", "--stale", "--yes")
            if "Traceback" in done.stdout + done.stderr or done.rc not in (0, 1):
                row.lost.append(done.brief())
            waiting = [one for one in stage.situations if one["kind"] == "dead, waiter waits"]
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                after = stage.files()
                if all(holds(after, one["list"], one["waiters"][0]) for one in waiting):
                    break
                time.sleep(0.05)
            for found in stage.situations:
                judge(found, before, after, row)
        finally:
            stage.end()
        box.run(["sh", "-c", f"rm -rf {box.prefix(site)}/locks/*"])
    assert not row.lost, row.lost[:5]
