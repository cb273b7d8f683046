"""A disk with no room, or with room for a part of the work: a ban, and what takes a run back.

Lists, locks and journal are on that disk. Whatever could not be done is named with a reason,
nothing is lost, and the same command completes the work when there is room again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.testing.containers.box import Box
from runbooks.testing.containers.spare import Spares
from tests.faults import world
from tests.faults.ledger import Ledger, Row
from tests.faults.world import Done, Name, Seen

MIB = 1 << 20
LISTS = 30
FILLER = "/srv/mailman/filler"

#: Two of a list's files, which a restore puts back one after the other.
FILES = ("config.pck", "pending.pck")
#: What the script takes away has to find room again.
CHANGES = """\
def changes(m, size):
    m.Lock()
    try:
        m.info = "x" * int(size)
        if not m.info:
            m.pend_new("S", "what")
        m.Save()
    finally:
        m.Unlock()
"""
LARGE, SMALL = "20000", "0"


def small_box(box: Box, spares: Spares, size: int = 4 * MIB) -> Box:
    """A container like `box` with its sites on a disk of that size."""
    return spares.prepare(spares.start(box, tmpfs={"/srv/mailman": f"size={size},mode=755"}), box)


def rooms(chance: random.Random, most: int) -> Iterator[int]:
    """Bytes that are left on the disk: none, a few, and for some of the lists."""
    yield from (0, 0, 4096, 8192, *(chance.randrange(0, most, 4) << 10 for _ in range(4)))


def with_room(small: Box, room: int, *arguments: str) -> Done:
    """Run the command while the disk has so many bytes left."""
    small.sh(f"cat /dev/zero > {FILLER} 2>/dev/null; truncate -s -{room} {FILLER}")
    done = world.runbook(small.spec, *arguments, "--yes", "--timeout", "1")
    small.sh(f"rm {FILLER}")
    return done


def enter(row: Row, done: Done) -> None:
    """Count a run in the table at the end."""
    row.tried += 1
    row.seen += Counter(result["outcome"] for result in done.results.values())
    if not done.results:
        row.seen["refused as a whole"] += 1


def badly_told(done: Done) -> list[str]:
    """What is wrong with how the command ended."""
    bad = "Traceback" in done.stdout + done.stderr or done.rc not in (0, 1)
    return [done.brief()] if bad else []


def is_told(done: Done, finished: set[Name]) -> list[str]:
    """What is wrong with a report when only these lists are done."""
    lost = badly_told(done)
    if (done.rc == 0) != (len(finished) == LISTS):
        lost.append(f"{len(finished)} lists are done: {done.brief()}")
    lost += [f"{name} was done and is not named" for name in finished - set(done.results)]
    for name, result in done.results.items():
        if name not in finished and not result["detail"]:
            lost.append(f"{name} was not done, without a reason: {result}")
    # Where lists are not named, the run as a whole was not begun or did not come to its end.
    if len(done.results) < LISTS and "No space left on device" not in done.stderr + done.stdout:
        lost.append(f"{LISTS - len(done.results)} lists without a reason: {done.brief()}")
    return lost


def damage(box: Box, seen: Seen) -> list[str]:
    """What is wrong with any list, and what was left behind."""
    left = [*seen.strays, *world.lock_files(box)]
    return seen.wrong + [f"left: {file}" for file in left]


def new_run(done: Done) -> str:
    """The run that the command has recorded."""
    assert done.rc == 0, done.brief()
    (recorded,) = [one["recorded"]["run"] for one in done.objects if "recorded" in one]
    return str(recorded)


@pytest.mark.timeout(300)
@pytest.mark.layout("multi")
def test_a_ban_on_a_full_disk(
    box: Box, spares: Spares, chance: random.Random, ledger: Ledger
) -> None:
    small = small_box(box, spares)
    lists = world.populate(small, LISTS)
    states = world.see(small).states
    row = ledger.row("ban on a full disk")
    for number, room in enumerate(rooms(chance, 160)):
        address = f"target{number}@example.com"
        done = with_room(small, room, "ban", address)
        enter(row, done)
        lost = badly_told(done)
        seen = world.see(small)
        lost += damage(small, seen)
        for name, before in states.items():
            now = seen.states.get(name)
            said = done.results.get(name, {"outcome": "nothing"})["outcome"]
            if now is None or now.rest != before.rest:
                lost.append(f"{name} lost something")
            elif now.bans != before.bans + ((address,) if said == "banned" else ()):
                # What could not be put on record is done all the same.
                if said == "nothing" and now.bans == (*before.bans, address):
                    row.seen["done and not told"] += 1
                    continue
                lost.append(f"{name}: {said}, but it holds {now.bans}")
        again = world.runbook(small.spec, "ban", address, "--yes")
        if again.rc or len(again.results) != len(lists):
            lost.append(f"with room again: {again.brief()}")
        states = world.see(small).states
        row.lost += [f"{room >> 10} KiB left: {sentence}" for sentence in lost]
    assert not row.lost, row.lost


@pytest.mark.timeout(300)
@pytest.mark.layout("multi")
def test_an_undo_on_a_full_disk(
    box: Box, spares: Spares, chance: random.Random, ledger: Ledger
) -> None:
    small = small_box(box, spares)
    lists = world.populate(small, LISTS)
    states = world.see(small).states
    row = ledger.row("undo on a full disk")
    for number, room in enumerate(rooms(chance, 160)):
        address = f"target{number}@example.com"
        run = new_run(world.runbook(small.spec, "ban", address, "--yes"))
        done = with_room(small, room, "undo", run)
        enter(row, done)
        seen = world.see(small)
        lost = damage(small, seen)
        finished = {name for name in lists if seen.states.get(name) == states[name]}
        for name in set(lists) - finished:
            now, before = seen.states.get(name), states[name]
            if now is None or now.rest != before.rest or now.bans != (*before.bans, address):
                lost.append(f"{name} holds {now} and held {before}")
        lost += is_told(done, finished)
        again = world.runbook(small.spec, "undo", run, "--yes")
        if again.rc or world.see(small).states != states:
            lost.append(f"with room again: {again.brief()}")
        row.lost += [f"{room >> 10} KiB left: {sentence}" for sentence in lost]
    assert not row.lost, row.lost


def contents(box: Box) -> dict[Name, dict[str, str]]:
    """A hash of each of `FILES` that a list has."""
    found: dict[Name, dict[str, str]] = {}
    for site in box.sites:
        pattern = " ".join(f"*/{file}" for file in FILES)
        folder = f"{box.prefix(site)}/lists"
        listed = box.sh(f"cd {folder} && sha256sum {pattern} 2>/dev/null").stdout
        for line in listed.splitlines():
            digest, path = line.split()
            name, file = path.split("/")
            found.setdefault(Name(site, name), {})[file] = digest
    return found


@pytest.mark.timeout(300)
@pytest.mark.layout("multi")
def test_a_restore_on_a_full_disk(
    box: Box, spares: Spares, chance: random.Random, ledger: Ledger, tmp_path: Path
) -> None:
    # Room for what each run keeps.
    small = small_box(box, spares, 32 * MIB)
    lists = world.populate(small, LISTS)
    script = tmp_path / "changes.py"
    script.write_text(CHANGES)
    new_run(world.runbook(small.spec, "withlist", str(script), LARGE, "--yes"))
    before = contents(small)
    assert set(before) == set(lists)
    row = ledger.row("withlist --restore on a full disk")
    for room in rooms(chance, 640):
        run = new_run(world.runbook(small.spec, "withlist", str(script), SMALL, "--yes"))
        after = contents(small)
        assert all(set(after[name]) == set(FILES) for name in lists), after
        done = with_room(small, room, "withlist", "--restore", run)
        enter(row, done)
        now = contents(small)
        lost = [f"left: {file}" for file in world.lock_files(small)]
        lost += [
            f"left: {stray}" for stray in world.see(small).strays if not stray.endswith(FILES[1])
        ]
        for name in lists:
            for file in FILES:
                held = now.get(name, {}).get(file)
                if held not in (before[name].get(file), after[name][file]):
                    lost.append(f"{name}: {file} is neither the one before nor that of the script")
        lost += is_told(done, {name for name in lists if now.get(name) == before[name]})
        again = world.runbook(small.spec, "withlist", "--restore", run, "--yes")
        if again.rc or contents(small) != before:
            lost.append(f"with room again: {again.brief()}")
        row.lost += [f"{room >> 10} KiB left: {sentence}" for sentence in lost]
    assert not row.lost, row.lost
