"""Hundreds of locks at once, of processes that live, stopped, died: what goes and what stays."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from runbooks.testing.containers.box import Box
from tests.support.lockers import Actor, Cast, names, objects, play, runbook, until

SITUATIONS = 200

#: What is made of a lock after its processes met their fates, as a script for a shell. The
#: variables: lock, claim (of the first actor), pid.
FORGED = {
    "expired": 'touch -d "-5 seconds" "$lock"',
    "foreign": (
        'other=$(echo "$claim" | sed "s/[.]lists[.]\\([0-9]*[.][0-9]*\\)$/.elsewhere.\\1/")\n'
        'mv "$claim" "$other"; printf %s "$PWD/$other" > "$lock"; touch -d "+1 hour" "$lock"'
    ),
    "no claim": 'rm "$claim"',
    "empty": ': > "$lock"',
    "third name": 'ln "$lock" "$claim.bak"',
    "a folder": 'rm "$lock" "$claim"; mkdir "$lock"',
    "a link": 'rm "$lock"; ln -s "$claim" "$lock"',
    "two files": 'rm "$lock"; cp "$claim" "$lock"',
}


@dataclass(frozen=True)
class Kind:
    """A situation that a lock may be in, and what is right then."""

    actors: tuple[tuple[str, str], ...]
    forge: str = ""
    #: what `locks` says of it; () for what changes from moment to moment
    verdicts: tuple[str, ...] = ()
    #: the actors whose files are removed
    removed: tuple[int, ...] = ()
    #: what is still there under the lock's own name
    lock_stays: bool = True


HOLD, WAIT, DEAD = ("hold", ""), ("wait", ""), ("hold", "killed")
KILLED_WAITING = ("wait", "killed")
KINDS = {
    "held": Kind((HOLD,), verdicts=("held",)),
    "held by a stopped process": Kind((("hold", "stopped"),), verdicts=("held",)),
    "held and wanted": Kind((HOLD, WAIT), verdicts=("held",)),
    "held and refreshed": Kind((("refresh", ""),), verdicts=("held",)),
    "taken and released all the time": Kind((("busy", ""),)),
    "held, with debris": Kind((HOLD, KILLED_WAITING), verdicts=("held", "debris"), removed=(1,)),
    "held beyond its time": Kind((HOLD,), "expired", ("expired",)),
    "stale": Kind((DEAD,), verdicts=("stale",), removed=(0,), lock_stays=False),
    "stale, of a zombie": Kind(
        (("hold", "zombie"),), verdicts=("stale",), removed=(0,), lock_stays=False
    ),
    "stale and expired": Kind((DEAD,), "expired", ("stale",), (0,), False),
    "stale, with debris": Kind(
        (DEAD, KILLED_WAITING, ("wait", "terminated")),
        verdicts=("stale", "debris", "debris"),
        removed=(0, 1, 2),
        lock_stays=False,
    ),
    "debris": Kind((("release", "released"), KILLED_WAITING), verdicts=("debris",), removed=(1,)),
    "foreign": Kind((DEAD,), "foreign", ("foreign",)),
    "without its claim": Kind((DEAD,), "no claim", ("malformed",), (0,), False),
    "emptied": Kind((DEAD,), "empty", ("malformed",)),
    "with a third name": Kind((DEAD,), "third name", ("malformed",)),
    "a folder": Kind((DEAD,), "a folder", ("malformed",)),
    "a link": Kind((DEAD,), "a link", ("malformed", "malformed")),
    "two files": Kind((DEAD,), "two files", ("malformed", "malformed"), (0,), False),
}


@dataclass
class Stage:
    kinds: list[str]
    actors: list[Actor] = field(default_factory=list)
    #: list: the numbers of its actors
    of: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, kind in enumerate(self.kinds):
            name = f"list{number}.{kind.split()[0].strip(',')}"
            self.of[name] = []
            for role, fate in KINDS[kind].actors:
                self.of[name].append(len(self.actors))
                self.actors.append(Actor(name, role, fate))

    def claims(self, cast: Cast, name: str) -> list[str]:
        return [f"{name}.lock.lists.{cast.pids[actor]}.{0}" for actor in self.of[name]]


def test_every_stale_lock_goes_and_no_other(box: Box) -> None:
    seed = random.randrange(10**9)
    print(f"random.seed({seed})")
    chance = random.Random(seed)
    site = next(iter(box.sites))
    kinds = list(KINDS) * 3 + chance.choices(list(KINDS), k=SITUATIONS - 3 * len(KINDS))
    chance.shuffle(kinds)
    stage = Stage(kinds)
    cast = play(box, site, stage.actors)
    scripts = []
    for name, kind in zip(stage.of, kinds, strict=True):
        if KINDS[kind].forge:
            claim = stage.claims(cast, name)[0]
            scripts.append(f"lock={name}.lock claim={claim}\n{FORGED[KINDS[kind].forge]}")
    folder = f"{box.prefix(site)}/locks"
    forged = box.sh(f"set -e; cd {folder}\n" + "\n".join(scripts), user="list")
    assert forged.rc == 0, forged.stderr
    before = names(box, site)

    told: dict[str, list[str]] = {name: [] for name in stage.of}
    for one in objects(runbook(box, "locks", "--json")):
        if "lock" in one:
            told[str(one["lock"]).removesuffix(".lock")].append(one["verdict"])
    for name, kind in zip(stage.of, kinds, strict=True):
        if KINDS[kind].verdicts:
            assert told[name] == list(KINDS[kind].verdicts), (name, kind)
        else:
            assert not {"stale", "debris"} & set(told[name]), (name, kind, told[name])

    begun = time.monotonic()
    cleared = runbook(box, "clear-lock", "--stale", "--yes")
    assert time.monotonic() - begun < 20
    assert cleared.rc == 0, cleared.stdout + cleared.stderr

    expected = set(before)
    for name, kind in zip(stage.of, kinds, strict=True):
        claims = stage.claims(cast, name)
        expected -= {claims[actor] for actor in KINDS[kind].removed}
        if not KINDS[kind].lock_stays:
            expected.discard(f"{name}.lock")
    changing = {name for name, kind in zip(stage.of, kinds, strict=True) if "all the time" in kind}

    def steady(found: set[str]) -> set[str]:
        return {
            one for one in found if not any(one.startswith(f"{name}.lock") for name in changing)
        }

    assert steady(names(box, site)) == steady(expected)
    # Those that were refused block their lists, and so do processes that are stopped.
    left = [one for one in objects(runbook(box, "locks", "--json")) if one.get("blocks")]
    blocking = {
        "held by a stopped process",
        "foreign",
        "emptied",
        "with a third name",
        "a folder",
        "a link",
    }
    assert {str(one["list"]) for one in left} == {
        name for name, kind in zip(stage.of, kinds, strict=True) if kind in blocking
    }
    assert runbook(box, "locks").rc == 1

    # Whoever had a lock has had it all the time.
    said = cast.finish()
    for name, kind in zip(stage.of, kinds, strict=True):
        for actor in stage.of[name]:
            role, fate = stage.actors[actor].role, stage.actors[actor].fate
            if role == "wait" and not fate:
                assert said[actor].startswith("got "), (name, kind)
            elif fate in ("", "stopped"):
                assert said[actor] == "kept", (name, kind, said[actor])


def test_everybody_who_waits_gets_the_lock_in_three_seconds(box: Box) -> None:
    site = next(iter(box.sites))
    lists = [f"list{number}" for number in range(12)]
    actors = [
        actor for name in lists for actor in (Actor(name, fate="killed"), Actor(name, "wait"))
    ]
    cast = play(box, site, actors)
    folder = f"{box.prefix(site)}/locks"
    claims = [f"{name}.lock.lists.{pid}.0" for name, pid in zip(lists, cast.pids[::2], strict=True)]
    assert set(claims) < names(box, site)
    box.sh(
        f"( cd {folder}; for claim in {' '.join(claims)}; do"
        ' while [ -e "$claim" ]; do sleep 0.01; done; done; date +%s.%N > /tmp/cleared ) &'
    )
    cleared = runbook(box, "clear-lock", *lists, "--yes")
    assert cleared.rc == 0, cleared.stdout
    # Some had it and were done before anybody looked.
    seen = cleared.stdout.count("now locked since")
    assert seen + cleared.stdout.count("and nobody waits for it any more") == len(lists)
    assert seen > 0
    until(box, f"[ $(cat /tmp/lockers/*.said | grep -o got | wc -l) -eq {len(lists)} ]")
    got = [float(said.split()[1]) for said in cast.all_said() if said]
    assert len(got) == len(lists)
    until(box, "[ -s /tmp/cleared ]")
    assert max(got) < float(box.read("/tmp/cleared")) + 3
    until(box, f'[ -z "$(ls -A {folder})" ]', 30)
