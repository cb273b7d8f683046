"""*Unsubscribing an Address from All Lists*, on a Mailman 2 in a container."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from runbooks.book.procedure import paste
from runbooks.host.host import Host
from runbooks.mailman.installation import discover
from runbooks.testing.containers.box import PROGRAMS, Box
from runbooks.unsubscribe import page
from tests.support import subscriptions
from tests.support.command import run_id
from tests.support.lockers import Actor, new_list, objects, play, runbook

ADDRESS = "target@example.com"
#: As somebody may have typed it. What is before the @ keeps its capitals.
SPELLED = "Tar.GET@example.com"


@pytest.fixture
def lists(box: Box) -> list[tuple[str, str]]:
    """On each site: one where it is a member, one where it gets digests, one where it waits, and
    one that does not know it. A stranger is everywhere."""
    box.put(f"{PROGRAMS}/{subscriptions.NAME}.py", subscriptions.PROGRAM)
    made = []
    for site in box.sites:
        regular, digest, waits, nobody = (
            f"{site}-{name}" for name in ("regular", "digest", "waits", "nobody")
        )
        new_list(box, site, regular, digest, waits, nobody)
        for name in (regular, digest, waits, nobody):
            script(box, site, "member", name, "stranger@example.com")
            script(box, site, "wait", name, "stranger@example.com")
            made.append((site, name))
        script(box, site, "member", regular, SPELLED)
        script(box, site, "wait", regular, SPELLED.upper())
        script(box, site, "digest", digest, SPELLED.lower())
        script(box, site, "wait", waits, SPELLED, "3")
    return made


def script(box: Box, site: str, function: str, name: str, *arguments: str) -> str:
    done = box.run(
        [f"{PROGRAMS}/withlist", "-q", "-r", f"subscriptions.{function}", name, *arguments],
        user="list",
        env=box.environment(site),
    )
    assert (done.rc, done.stderr) == (0, ""), done
    return done.stdout


def state(box: Box) -> dict[str, Any]:
    """All that is in the files of every list."""
    found: dict[str, Any] = {}
    for site in box.sites:
        done = box.run(
            [f"{PROGRAMS}/withlist", "-q", "-a", "-r", "subscriptions.show"],
            user="list",
            env=box.environment(site),
        )
        assert (done.rc, done.stderr) == (0, "")
        for line in done.stdout.splitlines():
            found.update(json.loads(line))
    return found


def having(found: dict[str, Any], address: str = SPELLED) -> set[str]:
    """The lists in whose files the address is, wherever."""
    return {name for name, files in found.items() if address.lower() in json.dumps(files).lower()}


def queued(box: Box) -> int:
    site = next(iter(box.sites))
    return int(script(box, site, "told", f"{site}-nobody"))


def test_nothing_is_left_of_it_and_undo_brings_all_of_it_back(
    box: Box, lists: list[tuple[str, str]]
) -> None:
    before, messages = state(box), queued(box)
    known = {name for _, name in lists if not name.endswith("-nobody")}
    assert having(before) == known
    sites = len(box.sites)

    dry = runbook(box, "unsubscribe", SPELLED.lower(), "--dry-run")
    assert (dry.rc, dry.stderr) == (0, "")
    numbers = f"member of {2 * sites} lists, {6 * sites} confirmations and {2 * sites} held"
    assert f"{SPELLED.lower()}  {numbers} requests waiting" in dry.stdout
    assert state(box) == before

    done = runbook(box, "unsubscribe", SPELLED.lower(), "nobody@example.com", "--yes")
    assert (done.rc, done.stderr) == (0, ""), done.stdout
    assert f"unsubscribed from {3 * sites} lists and read back" in done.stdout
    assert "nobody@example.com   on no list" in done.stdout
    gone = state(box)
    assert having(gone) == set()
    assert having(gone, "stranger@example.com") == {name for _, name in lists}
    assert queued(box) == messages
    for site, name in lists:
        if name.endswith("-nobody"):
            assert gone[name] == before[name]
            assert f"{name}.lock" not in box.run(["ls", f"{box.prefix(site)}/locks"]).stdout

    again = runbook(box, "unsubscribe", SPELLED, "--yes")
    assert again.rc == 0
    assert f"{4 * sites} lists did not have it" in again.stdout
    assert "recorded" not in again.stdout

    run = run_id(done)
    planned = runbook(box, "undo", run, "--dry-run")
    assert f"{2 * sites} members to subscribe again, as before" in planned.stdout
    assert f"{6 * sites} confirmations and {2 * sites} held requests to wait again" in (
        planned.stdout
    )
    assert state(box) == gone
    undone = runbook(box, "undo", run, "--yes")
    assert (undone.rc, undone.stderr) == (0, ""), undone.stdout
    assert state(box) == before
    assert "nothing is left to take back" in runbook(box, "undo", run, "--yes").stdout

    # The undo is a run of its own.
    assert runbook(box, "undo", run_id(undone), "--yes").rc == 0
    assert state(box) == gone


def test_mailman_goes_on_with_what_was_put_back(box: Box, lists: list[tuple[str, str]]) -> None:
    """It finds the request, and confirms the subscription, as if nothing had been."""
    site = next(iter(box.sites))
    name = f"{site}-waits"
    run = run_id(runbook(box, "unsubscribe", SPELLED, "--yes"))
    assert runbook(box, "undo", run, "--yes").rc == 0
    box.put(
        f"{PROGRAMS}/decide.py",
        "from __future__ import print_function\n"
        "import pickle, os\n"
        "from Mailman import mm_cfg\n"
        "def decide(m, address):\n"
        "    m.Lock()\n"
        "    m.admin_immed_notify = 0\n"
        "    with open(os.path.join(m.fullpath(), 'pending.pck'), 'rb') as f:\n"
        "        cookies = [c for c, e in pickle.load(f).items() if type(e) is tuple"
        " and e[0] == 'S' and e[1].address == address]\n"
        "    print([m.pend_confirm(c)[1].address for c in cookies])\n"
        "    ids = [i for i in m.GetSubscriptionIds() if m.GetRecord(i)[1] == address]\n"
        "    for i in ids: m.HandleRequest(i, mm_cfg.SUBSCRIBE)\n"
        "    m.HoldSubscription('later@example.com', '', 'pw', 0, 'en')\n"
        "    m.Save()\n"
        "    print(m.isMember(address), m.getMemberOption(address, mm_cfg.Digests))\n"
        "    m.Unlock()\n",
    )
    done = box.run(
        [f"{PROGRAMS}/withlist", "-q", "-r", "decide", name, SPELLED],
        user="list",
        env=box.environment(site),
    )
    assert done.rc == 0, done.stderr
    assert done.stdout.splitlines()[0] == str([SPELLED] * 3)
    assert done.stdout.splitlines()[1].split() in (["(1,", "True)"], ["1", "True"])


def test_nothing_secret_is_in_the_journal_or_printed(
    box: Box, lists: list[tuple[str, str]]
) -> None:
    done = runbook(box, "unsubscribe", SPELLED, "--yes", "--json")
    (run,) = [one["recorded"]["run"] for one in objects(done) if "recorded" in one]
    told = done.stdout + runbook(box, "history", run).stdout
    told += runbook(box, "undo", run, "--dry-run", "--json").stdout
    folder = f"{box.prefix(next(iter(box.sites)))}/runbook"
    told += box.read(f"{folder}/journal.jsonl")
    assert "s3cret" not in told
    # What undo needs is beside it, for Mailman's user alone.
    kept = box.sh(f"grep -lr s3cret {folder} | xargs stat -c '%a %U'").stdout.splitlines()
    assert kept == ["600 list"] * 3 * len(box.sites)
    folders = box.sh(f"find {folder} -type d | xargs stat -c '%a %U'").stdout.splitlines()
    assert set(folders) == {"700 list"}


def test_by_hand_it_ends_in_the_same_state(box: Box, lists: list[tuple[str, str]]) -> None:
    before = state(box)
    done = runbook(box, "unsubscribe", SPELLED, ADDRESS, "--yes")
    assert done.rc == 0
    by_command = state(box)
    assert runbook(box, "undo", run_id(done), "--yes").rc == 0
    assert state(box) == before
    arguments = page.UnsubscribeArguments((SPELLED, ADDRESS))
    host = Host(box.spec)
    for step in page.steps(discover(host), arguments):
        ran = box.sh(paste(step))
        assert (ran.rc, ran.stderr) == (0, ""), step.name
        if step.name.startswith("check-waiting"):
            assert {line.partition(": ")[2] for line in ran.stdout.splitlines()} == {
                "nothing waits"
            }
        elif step.name.startswith("check"):
            assert ran.stdout == ""
    host.close()
    assert state(box) == by_command


def test_what_is_explained_for_some_lists_does_those(
    box: Box, lists: list[tuple[str, str]]
) -> None:
    before = state(box)
    site = list(box.sites)[-1]
    name = f"{site}-regular"
    shown = runbook(box, "unsubscribe", SPELLED, "--explain", "--list", name)
    assert shown.rc == 0
    assert box.sh(shown.stdout).rc == 0
    by_hand = state(box)
    assert having(before) - having(by_hand) == {name}


def test_it_is_told_where_that_is_asked_for(box: Box, lists: list[tuple[str, str]]) -> None:
    """As by remove_members without its options: the list says who is told."""
    if box.is_standin:
        pytest.skip("the stand-in sends no mail")
    site = next(iter(box.sites))
    name = f"{site}-regular"
    script(box, site, "set", name, "admin_notify_mchanges", "1")
    script(box, site, "set", name, "send_goodbye_msg", "1")
    before = queued(box)
    done = runbook(box, "unsubscribe", SPELLED, "--list", name, "--tell", "--yes")
    assert (done.rc, done.stderr) == (0, ""), done.stdout
    assert queued(box) == before + 2
    assert name not in having(state(box))


def test_lists_in_trouble_are_named_and_the_others_done(
    box: Box, lists: list[tuple[str, str]]
) -> None:
    site = next(iter(box.sites))
    locked, damaged, waits = f"{site}-regular", f"{site}-digest", f"{site}-waits"
    folder = f"{box.prefix(site)}/lists"
    before = state(box)
    for name, file in ((damaged, "pending.pck"), (waits, "request.pck")):
        box.sh(f"cp -p {folder}/{name}/{file} /tmp/{file}; echo nonsense > {folder}/{name}/{file}")
    cast = play(box, site, [Actor(locked), Actor(f"{site}-nobody")])
    rest = 3 * (len(box.sites) - 1)
    done = runbook(box, "unsubscribe", SPELLED, "--yes", "--timeout", "1", "--json")
    assert done.rc == 1
    outcomes = {one["list"]: one for one in objects(done) if "list" in one}
    assert outcomes[locked]["outcome"] == "locked"
    assert f"by process {cast.pids[0]} on lists, which runs" in outcomes[locked]["detail"]
    # Nothing is to be done to it, whoever holds its lock.
    assert outcomes[f"{site}-nobody"]["outcome"] == "absent"
    for name, file in ((damaged, "pending.pck"), (waits, "request.pck")):
        assert outcomes[name]["outcome"] == "corrupt"
        assert outcomes[name]["detail"].startswith(f"its {file} is damaged (")
        assert box.read(f"{folder}/{name}/{file}") == "nonsense\n"
        assert box.sh(f"cp -p /tmp/{file} {folder}/{name}/{file}").rc == 0
    assert sum(one["outcome"] == "unsubscribed" for one in outcomes.values()) == rest
    assert cast.finish() == ["kept", "kept"]
    after = state(box)
    assert having(after) == {locked, damaged, waits}
    for name in (locked, damaged, waits):
        assert after[name] == before[name]
    assert runbook(box, "unsubscribe", SPELLED, "--yes").rc == 0
    assert having(state(box)) == set()


def test_a_lock_of_a_dead_process_is_cleared_first(box: Box, lists: list[tuple[str, str]]) -> None:
    site = next(iter(box.sites))
    play(box, site, [Actor(f"{site}-regular", fate="killed")])
    done = runbook(box, "unsubscribe", SPELLED, "--yes", "--clear-stale")
    assert (done.rc, done.stderr) == (0, ""), done.stdout
    assert having(state(box)) == set()


def test_who_subscribed_again_since_is_left_so(box: Box, lists: list[tuple[str, str]]) -> None:
    before = state(box)
    site = next(iter(box.sites))
    name = f"{site}-regular"
    run = run_id(runbook(box, "unsubscribe", SPELLED, "--yes"))
    script(box, site, "digest", name, SPELLED.lower())
    there = state(box)[name]["config.pck"]
    undone = runbook(box, "undo", run, "--yes")
    assert undone.rc == 1
    assert f"subscribed or changed since, and left so: {SPELLED.lower()}" in undone.stdout
    now = state(box)
    assert now[name]["config.pck"] == there
    # What waited, waits again, and so does everything elsewhere.
    assert now[name]["pending.pck"] == before[name]["pending.pck"]
    assert {n: s for n, s in now.items() if n != name} == {
        n: s for n, s in before.items() if n != name
    }


def test_a_run_that_was_killed_is_taken_back_by_what_it_kept(
    box: Box, lists: list[tuple[str, str]]
) -> None:
    before = state(box)
    site = next(iter(box.sites))
    run = run_id(runbook(box, "unsubscribe", SPELLED, "--yes"))
    # As a kill leaves it: two lists were begun, and what became of them is not on record.
    path = f"{box.prefix(site)}/runbook/journal.jsonl"
    lines = []
    for line in box.read(path).splitlines(keepends=True):
        entry = json.loads(line)
        if "end" in entry:
            continue
        if "done" in entry.get("lists", {}):
            killed = (f"{site}-regular", f"{site}-nobody")
            entry["lists"]["done"] = [d for d in entry["lists"]["done"] if d[1] not in killed]
            line = f'{{"run": "{run}", "lists": {json.dumps(entry["lists"])}}}\n'
        lines.append(line)
    box.put(path, "".join(lines), mode=0o600, owner="list:list")
    undone = runbook(box, "undo", run, "--yes")
    assert (undone.rc, undone.stderr) == (0, ""), undone.stdout
    assert state(box) == before


def test_what_was_kept_and_is_gone_is_said(box: Box, lists: list[tuple[str, str]]) -> None:
    site = next(iter(box.sites))
    run = run_id(runbook(box, "unsubscribe", SPELLED, "--yes"))
    gone = state(box)
    kept = f"{box.prefix(site)}/runbook/saved/{run}/{site}/{site}-digest/subscribers.pck"
    for command in (f"echo nonsense > {shlex.quote(kept)}", f"rm {shlex.quote(kept)}"):
        assert box.sh(command).rc == 0
        undone = runbook(box, "undo", run, "--dry-run")
        assert undone.rc == 1
        assert f"what was kept of it is damaged or gone: {kept}" in undone.stdout.replace("\n", "")
    assert state(box) == gone


def test_twenty_victims_at_once_take_one_save_a_list(
    box: Box, lists: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Thousands of confirmations wait: Mailman itself would write the file anew for each."""
    site = next(iter(box.sites))
    name = f"{site}-nobody"
    victims = [f"victim{n}@example.com" for n in range(20)]
    script(box, site, "plain", name, *victims)
    assert box.sh(f"rm {box.prefix(site)}/lists/{name}/pending.pck").rc == 0
    script(box, site, "pend", name, victims[0], "5000")
    before = state(box)
    file = tmp_path / "victims"
    file.write_bytes("".join(f"Victim <{one.upper()}>\r\n" for one in victims).encode())
    done = runbook(box, "unsubscribe", "--from", str(file), "--yes", timeout=30)
    assert (done.rc, done.stderr) == (0, ""), done.stdout
    assert "5,001 confirmations waiting" in done.stdout
    assert not having(state(box), "victim")
    assert runbook(box, "undo", run_id(done), "--yes", timeout=30).rc == 0
    assert state(box) == before
