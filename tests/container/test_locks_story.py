"""A list whose lock's holder was killed: what ban, locks and clear-lock make of it."""

from __future__ import annotations

import time

import pytest

from runbooks.book.procedure import Step, paste
from runbooks.clear_lock import page as clear_lock
from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.testing.containers.box import Box, shell_of
from tests.support.lockers import Actor, names, new_list, objects, play, runbook, until
from tests.support.steps import faults

ADDRESS = "target@example.com"


def first_site(box: Box) -> str:
    return next(iter(box.sites))


def discovered(box: Box) -> Installation:
    return discover(Host(box.spec))


def label(box: Box, name: str) -> str:
    return f"{name} ({first_site(box)})" if len(box.sites) > 1 else name


def test_a_holder_is_killed_and_the_list_goes_on(box: Box) -> None:
    site = first_site(box)
    for one in box.sites:
        new_list(box, one, f"{one}-beta", f"{one}-gamma")
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha", fate="killed"), Actor("alpha", "wait")])
    holder, waiter = cast.pids
    claim = f"alpha.lock.lists.{holder}.0"
    assert {"alpha.lock", claim} < names(box, site)

    # The ban names the list, and does the others, in its time.
    begun = time.monotonic()
    ban = runbook(box, "ban", ADDRESS, "--yes", "--timeout", "2")
    assert time.monotonic() - begun < 12
    assert ban.rc == 1
    assert f"{2 * len(box.sites)} lists banned and read back, 1 not done:" in ban.stdout
    assert f"by process {holder} on lists, which no longer runs" in ban.stdout
    assert "→ runbook clear-lock alpha" in ban.stdout
    assert box.spec in ban.stdout

    # It shows as stale, and who waits.
    shown = runbook(box, "locks")
    assert shown.rc == 1
    line = next(line for line in shown.stdout.splitlines() if line.split()[:1] == ["alpha"])
    assert "stale" in line
    assert f"process {holder} on lists" in line
    assert f"process {waiter} since" in line
    assert "→ runbook clear-lock alpha" in shown.stdout

    # It is cleared, and who waited has it within three seconds.
    folder = f"{box.prefix(site)}/locks"
    box.sh(f"( while [ -e {folder}/{claim} ]; do sleep 0.01; done; date +%s.%N > /tmp/cleared ) &")
    before = float(box.sh("date +%s.%N").stdout)
    cleared = runbook(box, "clear-lock", "alpha", "--yes")
    assert cleared.rc == 0, cleared.stdout + cleared.stderr
    assert "1 stale lock removed and read back" in cleared.stdout
    assert f"now locked since {time_of(cleared.stdout)} by process {waiter} on lists" in (
        cleared.stdout
    )
    until(box, "[ -s /tmp/cleared ]")
    until(box, "[ -e /tmp/lockers/1.said ]")
    got = float(cast.said(1).split()[1])
    assert before < got < float(box.read("/tmp/cleared")) + 3

    # No file of the dead process is left, nor of the other when it is done.
    until(box, f'[ -z "$(ls -A {folder})" ]', 30)
    assert runbook(box, "locks").rc == 0

    # The ban run again completes.
    again = runbook(box, "ban", ADDRESS, "--yes")
    assert again.rc == 0
    assert f"1 list banned and read back, {2 * len(box.sites)} already refused it" in again.stdout

    # What was done is in the journal.
    history = objects(runbook(box, "history", "--json"))
    run = next(one for one in history if one["command"] == "clear-lock")
    assert run["arguments"] == ["clear-lock", "alpha", "--yes"]
    kept = next(
        one
        for one in objects(runbook(box, "history", run["id"], "--json"))
        if one["id"] == run["id"]
    )["lists"]
    assert [(one["list"], one["outcome"]) for one in kept] == [("alpha", "cleared")]
    assert kept[0]["more"]["files"] == ["alpha.lock", claim]
    assert kept[0]["more"]["content"].endswith(f"/locks/{claim}")
    assert kept[0]["more"]["taken"] < kept[0]["more"]["expires"]
    assert "which no longer runs" in kept[0]["more"]["evidence"][0]
    assert any(f"process {waiter} waited" in line for line in kept[0]["more"]["evidence"])


def pasted(box: Box, step: Step) -> str:
    """What a step prints, pasted as root."""
    done = box.sh(paste(step))
    assert done.rc == 0, step.name
    return done.stdout + done.stderr


def time_of(text: str) -> str:
    """The time that follows the last "now locked since"."""
    return text.rpartition("now locked since ")[2].split(" by ")[0]


def test_by_hand_and_by_command_leave_the_same_folder(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "openstack-foo", "beta")
    installation = discovered(box)
    steps = clear_lock.steps(installation, clear_lock.ClearArguments("openstack-foo", site))
    left = []
    for by_hand in (True, False):
        cast = play(
            box,
            site,
            [
                Actor("openstack-foo", fate="killed"),
                Actor("openstack-foo", "wait", "terminated"),
                Actor("beta"),
                Actor("beta", "wait", gets=False),
            ],
        )
        if by_hand:
            assert not faults(installation, shell_of(box), steps, lambda step: pasted(box, step))
        else:
            done = runbook(box, "clear-lock", "openstack-foo", "--yes")
            assert done.rc == 0, done.stdout + done.stderr
        found = names(box, site)
        for at, pid in enumerate(cast.pids):
            found = {name.replace(f".{pid}.", f".PID{at}.") for name in found}
        left.append(found)
        assert cast.finish()[2] == "kept"
        box.sh(f"rm -f {box.prefix(site)}/locks/*")
    assert (
        left[0]
        == left[1]
        == {
            "openstack-foo.lock.lists.PID1.0",
            "beta.lock",
            "beta.lock.lists.PID2.0",
            "beta.lock.lists.PID3.0",
        }
    )


def test_the_list_may_be_somebody_elses_when_the_last_step_ends(box: Box) -> None:
    """Python 3 then takes the lock object apart when `open` is gone, and complains of that."""
    new_list(box, first_site(box), "alpha")
    folder = f"{box.prefix(first_site(box))}/locks"
    claim = f"{folder}/alpha.lock.elsewhere.1.0"
    took = f"printf %s {claim} > {claim} && ln {claim} {folder}/alpha.lock"
    arguments = clear_lock.ClearArguments("alpha", site=first_site(box))
    last = clear_lock.steps(discovered(box), arguments)[-1]
    code = f'm.Unlock(); import os; os.system("{took}");'
    done = box.sh(paste(last).replace("m.Unlock();", code))
    assert (done.stdout, done.stderr) == ("alpha: can be locked\n", "")
    assert "alpha.lock" in names(box, first_site(box))


@pytest.mark.parametrize("fate", ["", "stopped"])
def test_a_lock_that_a_process_has_is_left_alone(box: Box, fate: str) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha", fate=fate)])
    lock = f"{box.prefix(site)}/locks/alpha.lock"
    before = box.run(["stat", "-c", "%i %h %y %z", lock]).stdout

    by_command = runbook(box, "clear-lock", "alpha", "--yes")
    assert by_command.rc == 1
    assert "1 lock not to be removed:" in by_command.stdout
    told = (
        f"sudo kill -CONT {cast.pids[0]} lets it go on"
        if fate
        else f"Process {cast.pids[0]} on lists runs and holds it since"
    )
    assert told in by_command.stdout
    assert "play.py" in by_command.stdout  # its command line
    assert "recorded as" not in by_command.stdout

    installation = discovered(box)
    steps = {
        step.name: step
        for step in clear_lock.steps(installation, clear_lock.ClearArguments("alpha", site))
    }
    seen = box.sh(paste(steps["find-holder"])).stdout
    assert "play.py" in seen
    assert (seen.splitlines()[1][0] == "T") == (fate == "stopped")
    (fault,) = faults(installation, shell_of(box), [steps["find-holder"]], lambda step: seen)
    assert f"process {cast.pids[0]} has the lock, and runs" in fault
    by_hand = box.sh(paste(steps["remove-lock"]))
    assert by_hand.stdout == "left alone\n"

    shown = runbook(box, "locks")
    assert shown.rc == (1 if fate else 0)  # one that is stopped blocks the list
    assert "held" in shown.stdout
    assert box.run(["stat", "-c", "%i %h %y %z", lock]).stdout == before
    assert cast.finish() == ["kept"]
    assert names(box, site) == set()


def test_nothing_is_changed_by_looking(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed"), Actor("alpha", "wait", "killed")])
    box.run(["touch", "/tmp/lockers/go"])
    until(box, "[ -e /tmp/lockers/over ]")
    script = f"stat -c '%n %i %h %x %y %z' {box.prefix(site)}/locks/*"
    before, changes = box.sh(script).stdout, box.changes()
    assert runbook(box, "locks").rc == 1
    dry = runbook(box, "clear-lock", "alpha", "--dry-run")
    assert dry.rc == 0
    assert "dry run: nothing was changed" in dry.stdout
    assert runbook(box, "clear-lock", "--stale", "--dry-run").rc == 0
    assert runbook(box, "clear-lock", "alpha", "--explain").rc == 0
    refused = runbook(box, "clear-lock", "alpha")
    assert refused.rc == 2
    assert refused.stderr.strip().count("\n") == 0
    assert "add --yes" in refused.stderr
    assert [line.split()[:3] for line in box.sh(script).stdout.splitlines()] == [
        line.split()[:3] for line in before.splitlines()
    ]
    # Everything but the time of the last access.
    assert _without_access(box.sh(script).stdout) == _without_access(before)
    assert box.changes() == changes


def _without_access(text: str) -> list[list[str]]:
    return [line.split()[:3] + line.split()[6:] for line in text.splitlines()]


def test_what_a_dead_process_left_waiting(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    cast = play(
        box,
        site,
        [
            Actor("alpha", "release", "released"),
        ],
    )
    assert names(box, site) == set()
    cast = play(
        box,
        site,
        [Actor("alpha"), Actor("alpha", "wait", "terminated"), Actor("alpha", "wait", "killed")],
    )
    debris = {f"alpha.lock.lists.{pid}.0" for pid in cast.pids[1:]}
    cast.finish()
    assert names(box, site) == debris
    shown = runbook(box, "locks")
    assert shown.rc == 0
    assert "nothing is locked" in shown.stdout
    assert "2 files left behind by processes that no longer run" in shown.stdout
    one = runbook(box, "clear-lock", "alpha", "--yes")
    assert one.rc == 0
    assert "alpha" in one.stdout
    assert "is not locked; dead processes left 2 files of its lock" in one.stdout
    assert names(box, site) == debris
    every = runbook(box, "clear-lock", "--stale", "--yes")
    assert every.rc == 0
    assert "2 files left behind removed and read back" in every.stdout
    assert names(box, site) == set()


def test_a_lock_of_a_list_that_was_removed(box: Box) -> None:
    site = first_site(box)
    play(box, site, [Actor("alpha", fate="killed")])
    done = runbook(box, "clear-lock", "alpha", "--yes")
    assert done.rc == 0
    assert names(box, site) == set()


@pytest.mark.layout("multi")
def test_a_name_on_two_sites_needs_the_site(box: Box) -> None:
    new_list(box, "openstack", "alpha")
    new_list(box, "zuul", "alpha")
    play(box, "zuul", [Actor("alpha", fate="killed")])
    both = runbook(box, "clear-lock", "alpha", "--yes")
    assert both.rc == 2
    assert both.stderr.strip() == (
        "runbook: alpha is on the sites openstack and zuul:"
        " say which, with --site openstack or --site zuul"
    )
    assert len(names(box, "zuul")) == 2
    assert runbook(box, "clear-lock", "alpha", "--site", "openstack", "--yes").rc == 0
    assert len(names(box, "zuul")) == 2
    assert runbook(box, "clear-lock", "alpha", "--site", "zuul", "--yes").rc == 0
    assert names(box, "zuul") == set()


def test_without_a_journal_nothing_is_removed(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed")])
    folder = f"{box.prefix(site)}/runbook"
    box.sh(f"rm -rf {folder}; echo no folder > {folder}")
    before = names(box, site)
    done = runbook(box, "clear-lock", "alpha", "--yes")
    assert done.rc == 1
    assert "nothing was changed" in done.stderr
    assert names(box, site) == before


def test_a_list_that_nobody_knows(box: Box) -> None:
    new_list(box, first_site(box), "alpha")
    done = runbook(box, "clear-lock", "alhpa", "--yes")
    assert done.rc == 2
    assert done.stderr == "runbook: there is no list 'alhpa'; did you mean alpha?\n"
    free = runbook(box, "clear-lock", "alpha", "--yes")
    assert free.rc == 0
    assert f"{label(box, 'alpha')} is not locked" in free.stdout


def test_a_holder_that_is_stopped_is_told_to_go_on(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha", fate="stopped")])
    on = f"sudo kill -CONT {cast.pids[0]}"
    shown = runbook(box, "locks")
    assert shown.rc == 1
    assert f"process {cast.pids[0]} on lists (stopped)" in shown.stdout
    assert f"{on} lets it go on" in shown.stdout
    refused = runbook(box, "clear-lock", "alpha", "--yes")
    assert refused.rc == 1
    assert f"{on} lets it go on" in refused.stdout
    assert len(names(box, site)) == 2
    assert box.sh(on.removeprefix("sudo ")).rc == 0
    assert runbook(box, "locks").rc == 0
    assert cast.finish() == ["kept"]
    assert names(box, site) == set()


def test_a_container_that_was_made_anew(box: Box) -> None:
    """Locks of a host that no longer exists: Mailman would wait for their expiry."""
    site = first_site(box)
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha", fate="killed"), Actor("alpha", "wait"), Actor("beta")])
    renamed = box.sh(
        f"cd {box.prefix(site)}/locks && for pid in {cast.pids[0]} {cast.pids[2]}; do\n"
        'claim=$(ls | grep "[.]$pid[.]") && lock=${claim%%.lists.*} &&\n'
        'other="$lock.oldlists.$pid.0" && mv "$claim" "$other" &&\n'
        'printf %s "$PWD/$other" > "$lock" &&\n'
        'touch -d "+1 hour" "$lock" || exit 1; done',
        user="list",
    )
    assert renamed.rc == 0, renamed.stderr
    before = names(box, site)
    assert runbook(box, "clear-lock", "--stale", "--yes").rc == 0
    assert names(box, site) == before
    own = runbook(box, "clear-lock", "--gone", "lists", "--yes")
    assert (own.rc, own.stderr.split(":")[1]) == (2, " lists is this host")
    done = runbook(box, "clear-lock", "--gone", "oldlists", "--yes")
    # beta's may be held by a process of this host, which was called so when it took the lock.
    assert done.rc == 1
    assert "1 lock of oldlists removed and read back" in done.stdout
    assert "now locked since" in done.stdout
    assert f"process {cast.pids[2]} (" in done.stdout
    assert {f"beta.lock.oldlists.{cast.pids[2]}.0", "beta.lock"} <= names(box, site)
    assert not {name for name in names(box, site) if f".oldlists.{cast.pids[0]}." in name}
    until(box, "grep -q got /tmp/lockers/1.said")
    assert objects(runbook(box, "history", "--json"))[0]["more"] == {"gone": "oldlists"}


def test_a_save_that_a_kill_cut_short(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha", fate="killed"), Actor("beta")])
    folder = f"{box.prefix(site)}/lists/alpha"
    left, being_made = (f"config.pck.tmp.lists.{pid}" for pid in cast.pids)
    box.sh(f"head -c 100 {folder}/config.pck | tee {folder}/{left} > {folder}/{being_made}")
    dry = runbook(box, "clear-lock", "--stale", "--dry-run")
    assert (dry.rc, dry.stdout.count("config.pck.tmp")) == (0, 1)
    assert f"alpha/{left}" in dry.stdout
    done = runbook(box, "clear-lock", "--stale", "--yes")
    assert done.rc == 0
    assert "1 stale lock and 1 file left behind removed and read back" in done.stdout
    found = box.run(["ls", folder]).stdout.split()
    assert being_made in found
    assert left not in found
