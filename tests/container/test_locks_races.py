"""What happens between the look and the removal, with Mailman's own processes on the other side."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import pytest

from runbooks.book.procedure import Step, paste
from runbooks.clear_lock import page as clear_lock_page
from runbooks.clear_lock import run as clear_lock
from runbooks.clear_lock.run import Found, Report
from runbooks.host.host import Host
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import Installation, discover
from runbooks.mailman.locks import Verdict
from runbooks.testing.containers.box import PROGRAMS, Box
from tests.support.lockers import Actor, names, new_list, play, runbook, until


def first_site(box: Box) -> str:
    return next(iter(box.sites))


def installation(box: Box) -> Installation:
    return discover(Host(box.spec))


def found(on: Installation, site: str, name: str = "alpha") -> Found:
    """The lock of a list as it is now. One that changes hands is looked at again."""
    for _ in range(100):
        seen = clear_lock.look(on, on.choose_sites([site]))
        for one in seen.all():
            if one.label == name and one.is_lock and one.lock.verdict is not Verdict.MALFORMED:
                return one
    raise AssertionError(f"{name} is not locked")


def clear(on: Installation, one: Found) -> tuple[Report, Outcome]:
    report = clear_lock.clear(on, clear_lock.Plan([one]))
    assert len(report.results) == 1
    return report, report.results[0].outcome


def steps_for(box: Box, name: str) -> dict[str, Step]:
    """The steps by hand for a list of the first site, by their names."""
    arguments = clear_lock_page.ClearArguments(name, first_site(box))
    return {step.name: step for step in clear_lock_page.steps(installation(box), arguments)}


def lock_of(box: Box, site: str) -> str:
    return f"{box.prefix(site)}/locks/alpha.lock"


# -- the lock changes hands ---------------------------------------------------------------


def test_it_is_taken_by_another_after_the_look(box: Box) -> None:
    site = first_site(box)
    play(box, site, [Actor("alpha", fate="killed")])
    on = installation(box)
    stale = found(on, site)
    assert stale.lock.verdict is Verdict.STALE
    box.sh(f"touch /tmp/lockers/go; rm {box.prefix(site)}/locks/*")
    until(box, "[ -e /tmp/lockers/over ]")
    cast = play(box, site, [Actor("alpha")])
    before = names(box, site)
    report, outcome = clear(on, stale)
    # The stale one is no longer in the way; the new one is somebody's.
    assert outcome is Outcome.GONE
    assert report.results[0].next is not None
    assert report.results[0].next.verdict is Verdict.HELD
    assert names(box, site) == before
    assert cast.finish() == ["kept"]


@pytest.mark.parametrize("role", ["hold", "refresh", "busy"])
def test_a_holder_that_was_taken_for_dead_keeps_its_lock(box: Box, role: str) -> None:
    """Whatever was believed when the order was given: the host looks again."""
    site = first_site(box)
    cast = play(box, site, [Actor("alpha", role)])
    on = installation(box)
    for _ in range(5):
        held = found(on, site)
        assert held.lock.verdict is Verdict.HELD
        gone = replace(held.lock.looked_at[0], exists=False)
        wrong = replace(held.lock, verdict=Verdict.STALE, process=gone, looked_at=(gone,))
        _, outcome = clear(on, Found(held.site, wrong))
        assert outcome is not Outcome.CLEARED
        if role == "hold":
            assert outcome is Outcome.REFUSED
    assert cast.finish() == ["kept"]
    assert names(box, site) == set()


def test_the_same_lock_refreshed_after_the_look_is_another_matter(box: Box) -> None:
    """A stale lock whose change time moved was seen by somebody: it is looked at anew."""
    site = first_site(box)
    play(box, site, [Actor("alpha", fate="killed")])
    on = installation(box)
    stale = found(on, site)
    box.run(["touch", "-d", "+1 hour", lock_of(box, site)])
    report, outcome = clear(on, stale)
    assert outcome is Outcome.REFUSED
    assert "taken again, refreshed or changed" in report.results[0].detail
    assert len(names(box, site)) == 2
    _, outcome = clear(on, found(on, site))
    assert outcome is Outcome.CLEARED
    assert names(box, site) == set()


# -- several at once ----------------------------------------------------------------------

#: Takes the lock as often as it is told to, and complains when another is inside.
COUNT = """
from __future__ import print_function
import os, time
def count(m, folder, times):
    inside = os.path.join(folder, 'inside')
    for i in range(int(times)):
        m.Lock()
        try:
            fd = os.open(inside, os.O_CREAT | os.O_EXCL)
        except OSError:
            print('two inside')
        else:
            os.close(fd)
            time.sleep(0.005)
            os.unlink(inside)
        m.Unlock()
    print('done')
"""


def start_workers(box: Box, site: str, number: int, times: int) -> None:
    box.sh("rm -rf /tmp/count; mkdir -m 777 /tmp/count")
    box.put("/tmp/count/count.py", COUNT)
    variables = {
        **box.environment(site),
        "PYTHONPATH": "/tmp/count",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for worker in range(number):
        box.sh(
            f"{PROGRAMS}/withlist -q -r count.count alpha /tmp/count {times}"
            f" > /tmp/count/{worker}.out 2>&1 &",
            user="list",
            env=variables,
        )


# Mailman sleeps up to two seconds when a lock is not to be had: many turns take their time.
def workers_said(box: Box, number: int, seconds: float = 120) -> list[str]:
    until(box, f"[ $(cat /tmp/count/*.out | grep -c done) -eq {number} ]", seconds)
    return [box.read(f"/tmp/count/{worker}.out").strip() for worker in range(number)]


@pytest.mark.parametrize("seconds", [-9.0, -9.5, -10.0, -10.3])
def test_mailman_breaks_the_expired_lock_in_the_same_moment(box: Box, seconds: float) -> None:
    """Ten seconds after the expiry everybody who waits breaks the lock; so do we, just then."""
    site = first_site(box)
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed")])
    on = installation(box)
    lock = lock_of(box, site)
    box.run(["touch", "-d", "+1 hour", lock])
    start_workers(box, site, 3, 8)
    until(box, f"[ $(ls {box.prefix(site)}/locks | wc -l) -eq 5 ]")
    box.run(["touch", "-d", f"{seconds} seconds", lock])
    reports = []
    for _ in range(4):
        seen = clear_lock.look(on, on.choose_sites([site]))
        plan = clear_lock.plan_stale(seen)
        if plan.remove:
            reports.append(clear_lock.clear(on, plan))
    # Nobody was inside together with another, and everybody had his turns.
    assert workers_said(box, 3) == ["done"] * 3
    assert names(box, site) == set()
    assert all(
        result.outcome in (Outcome.CLEARED, Outcome.GONE, Outcome.REFUSED)
        for report in reports
        for result in report.results
    )


def test_several_clear_the_same_lock_at_once(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    clearers = [installation(box) for _ in range(3)]
    chance = random.Random(4)
    for turn in range(4):
        play(box, site, [Actor("alpha", fate="killed")])
        until(box, f"[ $(ls {box.prefix(site)}/locks | wc -l) -eq 2 ]")
        orders = [found(on, site) for on in clearers]
        start_workers(box, site, 2, 6)
        outcomes: list[Outcome] = []

        def go(
            on: Installation, one: Found, delay: float, outcomes: list[Outcome] = outcomes
        ) -> None:
            time.sleep(delay)
            outcomes.append(clear(on, one)[1])

        threads = [
            threading.Thread(target=go, args=(on, one, chance.choice([0, 0, 0.02, 0.1])))
            for on, one in zip(clearers, orders, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count(Outcome.CLEARED) == 1, (turn, outcomes)
        assert outcomes.count(Outcome.GONE) == 2, (turn, outcomes)
        assert workers_said(box, 2) == ["done"] * 2
        assert names(box, site) == set()
        box.run(["touch", "/tmp/lockers/go"])
        until(box, "[ -e /tmp/lockers/over ]")


def test_two_commands_at_once(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed")])
    done = []
    threads = [
        threading.Thread(target=lambda: done.append(runbook(box, "clear-lock", "alpha", "--yes")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.rc for one in done] == [0, 0, 0], [one.stdout for one in done]
    assert sum("1 stale lock removed and read back" in one.stdout for one in done) == 1
    assert names(box, site) == set()


# -- the id of the dead process is somebody else's ----------------------------------------


@pytest.mark.layout("single")
def test_a_process_that_has_the_id_by_reuse(box: Box) -> None:
    """The next ids of a container can be told: a lock is made for one that is given out later."""
    site = first_site(box)
    new_list(box, site, "alpha", "beta")
    folder = f"{box.prefix(site)}/locks"
    made = box.sh(
        f"cd {folder}; sleep 0 & pid=$(($! + 150)); wait\n"
        "for list in alpha beta; do\n"
        f"  printf %s {folder}/$list.lock.lists.$pid.0 > $list.lock.lists.$pid.0\n"
        '  touch -d "+5 hours" $list.lock.lists.$pid.0\n'
        "  ln $list.lock.lists.$pid.0 $list.lock\n"
        "done\n"
        "echo $pid",
        user="list",
    )
    pid = int(made.stdout)
    time.sleep(2.5)
    given = box.sh(
        f"while :; do sleep 600 & [ $! -lt {pid} ] || break; kill $!; wait $! 2>/dev/null; done\n"
        "echo $!"
    )
    assert int(given.stdout) == pid, "another process had that id: not a fault of the code"
    younger = box.sh(
        f"ps -o args= -p {pid}; echo $(($(date +%s) - $(stat -c %Z {folder}/alpha.lock)))"
        f" $(ps -o etimes= -p {pid})"
    ).stdout.split("\n")
    assert younger[0] == "sleep 600"
    age_of_lock, age_of_process = map(int, younger[1].split())
    assert age_of_process < age_of_lock

    shown = runbook(box, "locks").stdout
    assert shown.count("stale") == 2
    cleared = runbook(box, "clear-lock", "alpha", "--yes")
    assert cleared.rc == 0, cleared.stdout
    assert f"the id {pid} is now that of a process that started" in cleared.stdout
    assert "sleep 600" in cleared.stdout
    assert names(box, site) == {"beta.lock", f"beta.lock.lists.{pid}.0"}

    steps = steps_for(box, "beta")
    seen = box.sh(paste(steps["find-holder"])).stdout
    assert seen.splitlines()[1].endswith("sleep 600")
    # By hand it is let be, until the reader leaves out the line.
    remove = paste(steps["remove-lock"])
    assert box.sh(remove).stdout == "left alone\n"
    without = "".join(line for line in remove.splitlines(keepends=True) if "/proc" not in line)
    assert box.sh(without).stdout == "removed\n"
    assert names(box, site) == set()
    # The process that only had the id is none the worse.
    assert box.run(["ps", "-o", "args=", "-p", str(pid)]).stdout == "sleep 600\n"


@pytest.mark.layout("single")
@pytest.mark.parametrize(
    "spoil",
    [
        "other=alpha.lock.elsewhere.7.0; mv $claim $other; printf %s $PWD/$other > alpha.lock",
        "rm $claim",
        ": > alpha.lock",
        "printf %s $PWD/alpha.lock.lists.self.0 > alpha.lock",
        "mv $claim alpha.lock.lists.self.0; printf %s $PWD/alpha.lock.lists.self.0 > alpha.lock",
        "mv $claim alpha.lock.lists.abc.0; printf %s $PWD/alpha.lock.lists.abc.0 > alpha.lock",
        "mv $claim alpha.lock.lists..0; printf %s $PWD/alpha.lock.lists..0 > alpha.lock",
        "printf %s '/etc/passwd' > alpha.lock",
        "printf %s '../../data/x' > alpha.lock",
        "printf %s '$(touch /tmp/pwned).1.0' > alpha.lock",
        "printf %s '-rf / .1.0' > alpha.lock",
        "rm alpha.lock; mkdir alpha.lock",
        "rm alpha.lock $claim",
        "mv alpha.lock beta.lock",
    ],
)
def test_by_hand_what_is_no_lock_of_this_host_is_let_be(box: Box, spoil: str) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha", fate="killed")])
    claim = f"alpha.lock.lists.{cast.pids[0]}.0"
    done = box.sh(f"set -e; cd {box.prefix(site)}/locks; claim={claim}\n{spoil}", user="list")
    assert done.rc == 0, done.stderr
    before = box.sh(f"cd {box.prefix(site)}/locks; stat -c '%n %i %y' *").stdout
    steps = steps_for(box, "alpha")
    shown = box.sh(paste(steps["remove-lock"]))
    assert "removed" not in shown.stdout
    assert box.sh(f"cd {box.prefix(site)}/locks; stat -c '%n %i %y' *").stdout == before
    assert box.sh("[ -e /tmp/pwned ] || [ ! -e /etc/passwd ]").rc == 1


@pytest.mark.layout("single")
def test_by_hand_the_expiry_is_pushed_before_the_removal(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed")])
    box.run(["touch", "-d", "-9 seconds", lock_of(box, site)])
    steps = steps_for(box, "alpha")
    watched = 'rm() { echo $(($(stat -c %Y "$1") - $(date +%s))); command rm "$@"; }\n'
    shown = box.sh(watched + paste(steps["remove-lock"])).stdout.split()
    assert int(shown[0]) > 3000
    assert shown[1] == "removed"
    assert names(box, site) == set()


@pytest.mark.layout("single")
def test_by_hand_a_lock_that_is_another_after_the_push_is_let_be(box: Box) -> None:
    site = first_site(box)
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed")])
    steps = steps_for(box, "alpha")
    # Mailman breaks it and another process takes it, while we push.
    another = 'printf %s "$PWD/alpha.lock.lists.4711.0" > alpha.lock.lists.4711.0'
    between = (
        'touch() { command touch "$@"; rm *; '
        f"{another}; ln alpha.lock.lists.4711.0 alpha.lock; }}\n"
    )
    step = f"cd {box.prefix(site)}/locks\n{between}{paste(steps['remove-lock'])}"
    assert box.sh(step).stdout == "left alone\n"
    assert names(box, site) == {"alpha.lock", "alpha.lock.lists.4711.0"}
