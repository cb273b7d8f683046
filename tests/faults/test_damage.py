"""Lists that are not as they should be: they are reported, and the others are done."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box
from tests.faults import world
from tests.faults.ledger import Ledger, Row
from tests.faults.world import Name

#: In the list's folder, as root. $1 is the list's name.
DAMAGE = {
    "config.pck empty": ": > config.pck",
    "config.pck cut short": "truncate -s $(($(stat -c %s config.pck) / 2)) config.pck",
    "config.pck of another owner": "chown root:root config.pck && chmod 600 config.pck",
    "config.pck a directory": "rm config.pck && mkdir config.pck",
    "config.pck a link to nothing": "rm config.pck && ln -s nothing config.pck && $own",
    "config.pck a link to itself": "rm config.pck && ln -s config.pck config.pck && $own",
    "config.pck a link to a file": "mv config.pck kept.pck && ln -s kept.pck config.pck && $own",
    "config.pck a link to no list": "rm config.pck && ln -s /etc/passwd config.pck && $own",
    "list folder read-only": "chown root:root . && chmod 555 .",
    "list folder unreadable": "chown root:root . && chmod 700 .",
    "disk full": "cp -a . /dev/shm/$1 && cd .. && rm -r $1 && ln -s /dev/shm/$1 $1",
}
LISTS = 2 * len(DAMAGE) + 12
FILL = "cat /dev/zero > /dev/shm/filler 2>/dev/null; ls -l /dev/shm/filler"


@dataclass(frozen=True)
class Victim:
    """A list that is damaged, and how."""

    name: Name
    damage: str
    #: whether it has a config.pck.last
    last: bool


def spoil(box: Box, lists: list[Name], chance: random.Random) -> list[Victim]:
    """Damage one list in each way with a config.pck.last, and one without."""
    chosen = chance.sample(lists, 2 * len(DAMAGE))
    victims = []
    for number, (damage, script) in enumerate([*DAMAGE.items(), *DAMAGE.items()]):
        victim = Victim(chosen[number], damage, number < len(DAMAGE))
        folder = f"{box.prefix(victim.name.site)}/lists/{victim.name.list}"
        last = "" if victim.last else "rm config.pck.last;"
        script = script.replace("$own", "chown -h list:list config.pck")
        done = box.run(["sh", "-ec", f"cd {folder}; {last} {script}", "sh", victim.name.list])
        assert done.rc == 0, done
        victims.append(victim)
    assert box.sh(FILL).rc == 0
    return victims


def refuses(box: Box, name: Name, address: str) -> bool:
    """Whether a list refuses an address, as Mailman's own program has it."""
    done = box.run(
        [f"{PROGRAMS}/{world.ADD_MEMBERS[0]}", *world.ADD_MEMBERS[1:], name.list],
        user="list",
        env=box.environment(name.site),
        stdin=f"{address}\n",
        timeout=20,
    )
    return "Banned address" in done.stdout


@pytest.mark.timeout(300)
def test_damaged_lists_are_reported_and_the_others_done(
    box: Box, chance: random.Random, ledger: Ledger
) -> None:
    lists = world.populate(box, LISTS)
    before = world.see(box).states
    victims = spoil(box, lists, chance)
    address = "target@example.com"
    asked = world.runbook(box.spec, "banned", address)
    dry = world.runbook(box.spec, "ban", address, "--dry-run")
    done = world.runbook(box.spec, "ban", address, "--yes", "--timeout", "3")
    general = ledger.row("lists next to damaged ones")
    for what, run in {"banned": asked, "ban --dry-run": dry, "ban": done}.items():
        if run.rc != 1 or "Traceback" in run.stdout + run.stderr or run.stderr.count("\n") > 60:
            general.lost.append(f"{what}: {run.brief()}")
        if missing := set(lists) - set(run.results):
            general.lost.append(f"{what} says nothing of {missing}")
    rows = {damage: ledger.row(damage) for damage in DAMAGE}
    for victim in victims:
        judge(box, victim, done, address, rows[victim.damage])
    for victim in victims:
        # Root's own look at the others must not fall over these.
        box.run(["rm", "-r", f"{box.prefix(victim.name.site)}/lists/{victim.name.list}"])
    files = world.lock_files(box)
    general.lost += [f"left: {file}" for file in files]
    box.sh("rm /dev/shm/filler")
    after = world.see(box).states
    for name in set(lists) - {victim.name for victim in victims}:
        general.tried += 1
        result = done.results.get(name, {})
        if result.get("outcome") != "banned":
            general.lost.append(f"{name} was not done: {result}")
        elif after[name].rest != before[name].rest or after[name].bans != (
            *before[name].bans,
            address,
        ):
            general.lost.append(f"{name} holds {after[name]} and held {before[name]}")
    lost = [sentence for row in (general, *rows.values()) for sentence in row.lost]
    assert not lost, lost


def judge(box: Box, victim: Victim, done: world.Done, address: str, row: Row) -> None:
    """What is said of a damaged list has to be true, and nothing may be made of it."""
    row.tried += 1
    result = done.results.get(victim.name, {"outcome": "nothing", "detail": ""})
    label = f"{victim.name} ({'with' if victim.last else 'without'} config.pck.last)"
    row.seen[result["outcome"]] += 1
    if result["outcome"] in ("banned", "already"):
        if not refuses(box, victim.name, address):
            row.lost.append(f"{label} was reported as {result['outcome']} and accepts the address")
    elif not result["detail"] or len(result["detail"]) > 300:
        row.lost.append(f"{label}: {result['outcome']} without a usable reason: {result}")


@pytest.mark.timeout(120)
def test_a_lock_folder_without_permission_is_reported(box: Box, ledger: Ledger) -> None:
    """Where there is another site, that one is done."""
    lists = world.populate(box, 10)
    before = world.see(box).states
    shut = list(box.sites)[-1]
    row = ledger.row("lock folder without permission")
    for mode in ("0555", "0000"):
        row.tried += 1
        address = f"mode{mode}@example.com"
        folder = f"{box.prefix(shut)}/locks/."
        box.sh(f"chown root:root {folder} && chmod {mode} {folder}")
        done = world.runbook(box.spec, "ban", address, "--yes", "--timeout", "1")
        if done.rc != 1 or "Traceback" in done.stdout + done.stderr:
            row.lost.append(done.brief())
        for name in lists:
            result = done.results.get(name, {"outcome": "nothing", "detail": ""})
            right = ("error", "locked") if name.site == shut else ("banned",)
            row.seen[result["outcome"]] += 1
            if result["outcome"] not in right or (name.site == shut and not result["detail"]):
                row.lost.append(f"{mode}: {name}: {result}")
        for name, state in world.see(box).states.items():
            expected = before[name].bans + ((address,) if name.site != shut else ())
            if state.bans != expected:
                row.lost.append(f"{mode}: {name} holds {state.bans} and not {expected}")
        before = world.see(box).states
    assert not row.lost, row.lost
