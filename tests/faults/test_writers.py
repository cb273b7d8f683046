"""Twenty writers on the same twenty lists: what was reported as done is there at the end."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from runbooks.testing.containers.box import Box
from tests.faults import world
from tests.faults.ledger import Ledger
from tests.faults.world import Name

LISTS = 20
BANNERS, SCRIPTS, SUBSCRIBERS = 5, 3, 12


@dataclass
class Reported:
    """What the writers were told, as it came."""

    #: the last word on each list and entry: whether it is there
    banned: dict[tuple[Name, str], bool] = field(default_factory=dict)
    appended: set[tuple[Name, str]] = field(default_factory=set)
    subscribed: set[tuple[Name, str]] = field(default_factory=set)
    not_done: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    changes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, run: world.Done, address: str, note: Callable[[Name, str], bool]) -> None:
        """Note what a run says of each list. `note` says whether an outcome is a change."""
        with self.lock:
            if "Traceback" in run.stdout + run.stderr or run.rc not in (0, 1):
                self.wrong.append(run.brief())
            for name, result in run.results.items():
                if note(name, result["outcome"]):
                    self.changes += 1
                elif result["outcome"] in ("locked", "error", "corrupt"):
                    self.not_done.append(f"{address}, {name}: {result['detail']}")


def ban_and_unban(spec: str, writer: int, deadline: float, reported: Reported) -> None:
    """Ban one address after the other, and lift every second ban."""
    for number in itertools.count():
        address = f"writer{writer}.{number}@example.com"
        for action in ("ban", "unban")[: 1 + number % 2]:
            if time.monotonic() > deadline:
                return

            def note(name: Name, outcome: str, address: str = address) -> bool:
                if outcome in ("banned", "unbanned"):
                    reported.banned[name, address] = outcome == "banned"
                elif outcome in ("locked", "error"):
                    # Not done: nothing is known of it any more.
                    reported.banned.pop((name, address), None)
                return outcome in ("banned", "unbanned")

            run = world.runbook(spec, action, address, "--yes", "--timeout", "15", "--jobs", "2")
            reported.hear(run, address, note)


def change_by_script(spec: str, writer: int, deadline: float, reported: Reported) -> None:
    """One scripted change after the other."""
    script = str(world.INSIDE / "append.py")
    for number in itertools.count():
        if time.monotonic() > deadline:
            return
        address = f"script{writer}.{number}@example.com"

        def note(name: Name, outcome: str, address: str = address) -> bool:
            if outcome == "changed":
                reported.appended.add((name, address))
            return outcome == "changed"

        reported.hear(
            world.runbook(spec, "withlist", script, address, "--yes", "--timeout", "15"),
            address,
            note,
        )


def subscribe(
    box: Box, lists: list[Name], writer: int, deadline: float, reported: Reported
) -> None:
    """Subscribe one address after the other, to the lists of one site."""
    site = list(box.sites)[writer % len(box.sites)]
    asked = {
        "lists": [name.list for name in lists if name.site == site],
        "writer": writer,
        "seconds": deadline - time.monotonic(),
    }
    done = box.run(
        world.python(box, "subscribe"),
        user="list",
        env=box.environment(site),
        stdin=json.dumps(asked),
        timeout=asked["seconds"] + 60,
    )
    assert done.rc == 0, done
    told = [(Name(site, name), address) for name, address in json.loads(done.stdout)]
    with reported.lock:
        reported.subscribed.update(told)
        reported.changes += len(told)


@pytest.mark.timeout(600)
@pytest.mark.layout("multi")
def test_what_twenty_writers_were_told_is_true(
    request: pytest.FixtureRequest, box: Box, ledger: Ledger, share: int
) -> None:
    lists = world.populate(box, LISTS)
    before = world.see(box).states
    reported = Reported()
    seconds = request.config.getoption("writers_seconds", 60) / share
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(BANNERS + SCRIPTS + SUBSCRIBERS) as pool:
        writers = [
            *(pool.submit(ban_and_unban, box.spec, n, deadline, reported) for n in range(BANNERS)),
            *(
                pool.submit(change_by_script, box.spec, n, deadline, reported)
                for n in range(SCRIPTS)
            ),
            *(
                pool.submit(subscribe, box, lists, n, deadline, reported)
                for n in range(SUBSCRIBERS)
            ),
        ]
    for writer in writers:
        writer.result()

    row = ledger.row(f"changes by {len(writers)} writers on the same {LISTS} lists at once")
    row.tried += reported.changes
    row.seen["seconds"] += round(seconds)
    row.seen["of them by add_members"] += len(reported.subscribed)
    row.seen["of them by scripts"] += len(reported.appended)
    row.seen["reported as not done"] += len(reported.not_done)
    row.lost += reported.wrong
    seen = world.see(box)
    row.lost += seen.wrong
    row.lost += [f"left: {stray}" for stray in seen.strays]
    row.lost += [f"left: {file}" for file in world.lock_files(box)]
    for (name, address), there in reported.banned.items():
        if (address in seen.states[name].bans) != there:
            row.lost.append(f"{name}: {address} {'was banned' if there else 'was unbanned'}")
    for name, address in reported.appended:
        if address not in seen.states[name].nonmembers:
            row.lost.append(f"{name}: {address} was appended by a script")
    for name, address in reported.subscribed:
        if address not in seen.states[name].members:
            row.lost.append(f"{name}: {address} was subscribed")
    for name in lists:
        old, now = before[name], seen.states[name]
        if gone := {*old.members, *old.bans} - {*now.members, *now.bans}:
            row.lost.append(f"{name} has lost {gone}")
        if len(set(now.bans)) != len(now.bans):
            row.lost.append(f"{name} has an entry twice: {now.bans}")
    assert reported.changes > LISTS, reported
    assert reported.subscribed, reported
    assert reported.appended, reported
    assert not row.lost, row.lost[:5]
