"""A ban of 200 lists, killed at a random moment, in each of the ways in which a run can die.

After each: every list loads and holds what it held, with or without the new entry; what is
left of locks is cleared by ``clear-lock --stale``; the same command run again completes; and
nothing of it stays on the host.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from runbooks.testing.containers.box import Box
from runbooks.testing.containers.ssh import SshBoxes
from tests.faults import world
from tests.faults.ledger import Ledger, Row
from tests.faults.world import Name, State

LISTS = 200

#: Ways to die: what is killed, and how often compared with the others.
WAYS = {
    "the command": 5,
    "its connection": 3,
    "the first process on the host": 3,
    "the program on the host": 5,
    "a worker": 6,
    "every process but init": 3,
}
ON_HOST = {
    "the first process on the host": "server",
    "the program on the host": "program",
    "a worker": "worker",
    "every process but init": "tree",
}
#: Of how many kills one is at any moment of the run, and not while lists are changed.
ANY_MOMENT = 4

#: All fault tests together are to end within ten minutes, also on a busy machine.
KILL_SECONDS, SSH_SECONDS = 270, 60


@dataclass
class Subject:
    """The lists of one box, and what is known of them before a kill."""

    box: Box
    #: how `runbook` reaches it
    spec: str
    lists: list[Name]
    states: dict[Name, State]
    #: seconds that a whole run takes, and the changes alone
    whole: float
    changes: float


def begin(box: Box, spec: str) -> Subject:
    """Make the lists, and time a run that nothing happens to."""
    lists = world.populate(box, LISTS)
    with world.struck(box, "moment", "change", 0) as moment:
        started = time.monotonic()
        run = world.Run(spec, "ban", "first@example.com", "--yes")
        moment.go()
        moment.answer()
        changing = time.monotonic()
        done = run.end()
        ended = time.monotonic()
    assert done.rc == 0, done.brief()
    seen = world.see(box)
    assert not seen.wrong, seen.wrong
    assert sorted(seen.states, key=str) == sorted(lists, key=str)
    assert all("first@example.com" in state.bans for state in seen.states.values())
    assert not world.left_over(box, lists)
    return Subject(box, spec, lists, seen.states, ended - started, ended - changing)


def strike(subject: Subject, way: str, address: str, chance: random.Random) -> world.Done | None:
    """Kill a run of ``ban``; what the command said. None when the run was over already."""
    within = "run" if chance.randrange(ANY_MOMENT) == 0 else "change"
    length = subject.whole if within == "run" else subject.changes
    seconds = chance.uniform(0, length * 0.95)
    with world.struck(subject.box, ON_HOST.get(way, "moment"), within, seconds) as moment:
        run = world.Run(subject.spec, "ban", address, "--yes", "--timeout", "2")
        moment.go()
        killed = moment.answer()
        if way == "the command":
            hit = run.kill()
        elif way == "its connection":
            hit = run.process.poll() is None and run.cut(outermost=chance.random() < 0.5)
        else:
            hit = bool(killed)
        done = run.end()
    return done if hit else None


def kill(subject: Subject, way: str, address: str, chance: random.Random, row: Row) -> bool:
    """One kill, and everything that has to be true after it. False: it came too late."""
    box = subject.box
    done = strike(subject, way, address, chance)
    if done is None:
        # The machine is faster by now than when it was timed.
        subject.whole, subject.changes = subject.whole * 0.6, subject.changes * 0.6
        assert world.runbook(subject.spec, "ban", address, "--yes").rc == 0
        subject.states = world.see(box).states
        return False

    def lose(sentence: str) -> None:
        row.lost.append(f"{address}: {sentence}")

    row.tried += 1
    for process in world.wait_until_quiet(box):
        lose(f"still runs on the host: {process}")
    seen = world.see(box)
    for sentence in seen.wrong:
        lose(sentence)
    for name, before in subject.states.items():
        now = seen.states.get(name)
        if now is None:
            continue  # it is among the wrong ones
        if now.rest != before.rest or now.bans not in (before.bans, (*before.bans, address)):
            lose(f"{name} holds {now} and held {before}")
    for name, result in done.results.items():
        if result["outcome"] == "banned" and address not in seen.states[name].bans:
            lose(f"{name} was reported as banned and is not")
    row.seen["lists done before"] += sum(address in s.bans for s in seen.states.values())
    if done.rc == 0 and way != "a worker":
        row.seen["runs that had told all"] += 1

    locks = world.lock_files(box)
    row.seen["lock files left"] += len(locks)
    row.seen["unfinished saves left"] += len(seen.strays)
    if locks or chance.randrange(4) == 0:
        cleared = world.runbook(subject.spec, "clear-lock", "--stale", "--yes")
        if cleared.rc:
            lose(f"clear-lock --stale: {cleared.brief()}")
        for file in world.lock_files(box):
            lose(f"clear-lock --stale has left {file}")
    again = world.runbook(subject.spec, "ban", address, "--yes")
    if again.rc or len(again.results) != LISTS:
        lose(f"the same command again: {again.brief()}")
    finish(subject, address, lose)
    return True


def finish(subject: Subject, address: str, lose: Callable[[str], None]) -> None:
    """See that the work is complete, and that nothing stayed."""
    seen = world.see(subject.box)
    # What stays is told once, and not after each of the kills that follow.
    strays = world.left_over(subject.box, subject.lists)
    for path in strays:
        subject.box.run(["rm", "-r", path.partition(" ")[2]])
    for sentence in seen.wrong:
        lose(f"after the repetition: {sentence}")
    for name, before in subject.states.items():
        now = seen.states.get(name)
        if now and (now.rest != before.rest or now.bans != (*before.bans, address)):
            lose(f"after the repetition {name} holds {now} and held {before}")
    for path in strays:
        lose(f"stayed on the host: {path}")
    for process in world.wait_until_quiet(subject.box):
        lose(f"still runs on the host: {process}")
    subject.states = seen.states or subject.states


def kill_often(
    subject: Subject,
    ways: list[str],
    label: str,
    chance: random.Random,
    ledger: Ledger,
    seconds: float,
) -> None:
    """Kill a run in each of `ways`; after `seconds` only in those that are not tried yet."""
    rows = []
    deadline = time.monotonic() + seconds
    for number, way in enumerate(ways):
        if time.monotonic() > deadline and way in ways[:number]:
            ledger.note(f"A busy machine: not all kills were tried on {subject.box}.")
            continue
        row = ledger.row(label.format(way))
        rows.append(row)
        for attempt in range(10):
            if kill(subject, way, f"target{number}.{attempt}@example.com", chance, row):
                break
        else:
            pytest.fail(f"{way} was never hit")
    lost = [sentence for row in rows for sentence in row.lost]
    assert not lost, lost[:5]


@pytest.mark.timeout(1200)
def test_a_ban_that_is_killed_loses_nothing(
    request: pytest.FixtureRequest, box: Box, chance: random.Random, ledger: Ledger, share: int
) -> None:
    number = -(-request.config.getoption("kills", 100) * 85 // (100 * share))
    ways = chance.choices(list(WAYS), list(WAYS.values()), k=number)
    # Each way at least once.
    ways[: len(WAYS)] = chance.sample(list(WAYS), len(WAYS))
    label = "ban of 200 lists, killed: {}"
    kill_often(begin(box, box.spec), ways, label, chance, ledger, KILL_SECONDS / share)


@pytest.mark.timeout(1200)
@pytest.mark.layout("multi")
def test_a_ban_over_ssh_whose_connection_is_lost_loses_nothing(
    request: pytest.FixtureRequest,
    box: Box,
    ssh_boxes: SshBoxes,
    chance: random.Random,
    ledger: Ledger,
    share: int,
) -> None:
    """The same with a real sshd, where the test machine can give the image one."""
    reached = ssh_boxes.get(box)
    if isinstance(reached, str):
        ledger.note(
            f"ssh was not tried: {reached}. The loss of a connection was tried by killing"
            " `docker exec` alone."
        )
        pytest.skip(reached)
    number = max(1, -(-request.config.getoption("kills", 100) * 15 // (100 * share)))
    ways = ["its connection"] * number
    subject = begin(reached.box, reached.spec)
    label = "ban of 200 lists over ssh, killed: {}"
    kill_often(subject, ways, label, chance, ledger, SSH_SECONDS / share)
