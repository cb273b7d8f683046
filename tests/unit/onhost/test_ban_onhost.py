"""Banning on a practice site, under every Python: what is changed, what is read, what is left."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from runbooks.ban import entries as addresses
from runbooks.ban import page as ban_page
from runbooks.ban import run as ban
from runbooks.book.procedure import paste
from runbooks.book.whose import whose
from runbooks.errors import BadInputError
from runbooks.mailman.events import Outcome
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Work
from runbooks.practice.walk import state
from tests.support.processes import descendants, is_running
from tests.support.steps import faults, here
from tests.support.waiting import wait_for

EVIL = addresses.entry("evil@example.com")
LISTS = 11
STALE = "openstack-foo"


def target(sites, *names: str, jobs: int = 2, timeout: float = 10.0) -> Target:
    return Target.of(sites.installation(), names=names, jobs=jobs, timeout=timeout)


def listed(entry: addresses.Entry | list[addresses.Entry]) -> list[addresses.Entry]:
    return entry if isinstance(entry, list) else [entry]


def change(sites, *names: str, action: str = "ban", entry=EVIL, **options) -> Work:
    chosen = target(sites, *names, **options)
    try:
        return ban.look(chosen, listed(entry), ban.ACTIONS[action], people=False).change()
    finally:
        chosen.installation.host.close()


def look(sites, *names: str, entry=EVIL, people: bool = True) -> dict[str, Answer]:
    chosen = target(sites, *names)
    try:
        seen = ban.look(chosen, listed(entry), people=people).seen
        return {one.list: one for one in seen.answers}
    finally:
        chosen.installation.host.close()


def result(report: Work, name: str) -> Answer:
    return next(one for one in report.answers if one.list == name)


def set_bans(sites, site: str, name: str, entries: list[object]) -> None:
    sites.code(
        site,
        "import sys\nfrom Mailman import MailList\n"
        "m = MailList.MailList(sys.argv[1], lock=1)\nm.ban_list = eval(sys.argv[2])\n"
        "m.Save()\nm.Unlock()\n",
        name,
        repr(entries),
    )


def withlist(sites, site: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return mailman(sites, site, "withlist", *arguments)


def mailman(sites, site: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sites.folder / "bin" / program, *arguments],
        env={**os.environ, "MAILMAN_SITE_DIR": str(sites.prefix(site))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def put_ban_py(sites) -> None:
    step = ban_page.steps(sites.installation(), ban_page.PROCEDURE.example)[0]
    subprocess.run(["/bin/sh", "-c", paste(step)], check=True)


def by_hand_faults(sites, *addresses: str, action: str = "ban") -> list[str]:
    """What is wrong with what the steps by hand print."""
    installation = sites.installation()
    arguments = replace(ban_page.PROCEDURE.example, addresses=addresses, action=action)

    def run(step):
        done = subprocess.run(
            ["/bin/sh", "-c", paste(step)], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout

    return faults(installation, here, ban_page.steps(installation, arguments), run)


# -- what it is for -------------------------------------------------------------------------


def test_a_ban_is_on_every_list_of_every_site_and_can_be_lifted(every_sites):
    sites = every_sites
    sites.unlock()
    before = state(sites.site)
    assert change(sites).counts == {Outcome.BANNED: LISTS}
    for site, name in [("openstack", "release-team"), ("zuul", "zuul-jobs")]:
        assert sites.bans(site, name) == ["evil@example.com"]
    banned = state(sites.site)
    assert change(sites).counts == {Outcome.ALREADY: LISTS}
    assert state(sites.site) == banned
    assert change(sites, action="unban").counts == {Outcome.UNBANNED: LISTS}
    assert state(sites.site) == before
    assert change(sites, action="unban").counts == {Outcome.ABSENT: LISTS}


@pytest.mark.parametrize("dies", ["nobody", "a worker", "everybody"])
def test_the_workers_that_looked_make_the_change_unless_they_died(every_sites, tmp_path, dies):
    sites = every_sites
    sites.unlock()
    # The first list of a site, which whoever serves the site begins with, tells who works on it.
    told = tmp_path / "told"
    first = min(os.listdir(sites.prefix("zuul") / "lists"))
    (sites.list_folder("zuul", first) / "extend.py").write_text(
        "import os\ndef extend(m):\n"
        f"    with open({str(told)!r}, 'a') as f:\n        f.write('%d\\n' % os.getpid())\n"
    )
    # One list a site: with more, a worker that has nothing left to do helps with the other site.
    chosen = target(sites, first, "release-team")
    host = chosen.installation.host
    plan = ban.look(chosen, [EVIL])
    # Of the connection: the process of the program, and its workers.
    before = descendants(host._session.child.pid)
    leaves = [pid for pid in before if not descendants(pid)]
    assert 2 <= len(leaves) < len(before)
    killed = {"nobody": [], "a worker": leaves[:1], "everybody": before}[dies]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while is_running(pid) and time.monotonic() < until:
            time.sleep(0.01)
    report = plan.change()
    host.close()
    if dies != "everybody":
        # Nobody is left, not even for process 1 to collect.
        assert [pid for pid in before if Path(f"/proc/{pid}").exists()] == []
    assert report.counts == {Outcome.BANNED: 2}
    looked, changed = map(int, told.read_text().split())
    assert looked in leaves
    assert (changed == looked) == (looked not in killed)
    assert sites.bans("zuul", first) == ["evil@example.com"]


def test_by_hand_and_by_command_end_in_the_same_state(every_sites):
    sites = every_sites
    sites.unlock()
    assert change(sites).is_done
    by_command = state(sites.site)
    assert change(sites, action="unban").is_done
    assert not by_hand_faults(sites, EVIL.text)
    assert state(sites.site) == by_command


def test_only_the_named_lists_are_changed(sites):
    report = change(sites, "zuul-jobs", "release-team")
    assert [(one.site, one.list) for one in report.answers] == [
        ("openstack", "release-team"),
        ("zuul", "zuul-jobs"),
    ]
    assert sites.bans("zuul", "zuul-announce") == []


def test_an_unknown_list_is_refused_with_the_name_that_was_perhaps_meant(sites):
    with pytest.raises(BadInputError, match="did you mean zuul-jobs"):
        change(sites, "zuul-job")
    assert sites.bans("zuul", "zuul-jobs") == []


def test_a_pattern_bans_whom_it_matches(sites):
    sites.unlock()
    pattern = addresses.entry(r"^evil(\+.*)?@example\.com$")
    assert change(sites, entry=pattern).counts == {Outcome.BANNED: LISTS}
    seen = look(sites, "zuul-jobs", entry=addresses.entry("evil+1@example.com"))
    assert seen["zuul-jobs"].said.refused == {pattern.text: "0"}
    seen = look(sites, "zuul-jobs", entry=addresses.entry("evil@example.org"))
    assert seen["zuul-jobs"].said.refused == {}


def test_a_pattern_that_the_hosts_python_does_not_compile_is_refused(sites):
    only_here = addresses.Entry("^(?P<x>a)(?P<x>b)")
    chosen = target(sites)
    with pytest.raises(BadInputError, match="does not compile under the Python of the host"):
        ban.look(chosen, [only_here])
    chosen.installation.host.close()


def test_a_list_that_refuses_it_by_another_entry_is_left_and_named_when_the_ban_is_lifted(sites):
    set_bans(sites, "zuul", "zuul-jobs", [r"^evil@"])
    assert change(sites, "zuul-jobs").counts == {Outcome.ALREADY: 1}
    assert sites.bans("zuul", "zuul-jobs") == [r"^evil@"]
    lifted = change(sites, "zuul-jobs", action="unban").answers[0]
    assert lifted.outcome == Outcome.ERROR
    assert "^evil@" in lifted.detail
    assert lifted.help == ("unban", "^evil@", "--list", "zuul-jobs")


def test_an_entry_is_lifted_however_it_is_spelled(sites):
    set_bans(
        sites, "zuul", "zuul-jobs", [" Evil@Example.com ", "other@example.com", "EVIL@example.com"]
    )
    assert change(sites, "zuul-jobs", action="unban").counts == {Outcome.UNBANNED: 1}
    assert sites.bans("zuul", "zuul-jobs") == ["other@example.com"]


# -- looking --------------------------------------------------------------------------------


def test_looking_changes_nothing_whatever_is_wrong(every_sites):
    sites = every_sites
    set_bans(sites, "zuul", "zuul-jobs", ["^[bad", "^evil@"])
    damaged = sites.list_folder("zuul", "zuul-announce") / "config.pck"
    damaged.write_bytes(damaged.read_bytes()[:500])
    lost = sites.list_folder("zuul", "zuul-security")
    for path in lost.glob("config.pck*"):
        path.write_bytes(b"nonsense")
    before = sites.files()
    for people in (True, False):
        seen = look(sites, people=people)
        assert seen["zuul-jobs"].said.refused == {"^evil@": "0"}
        assert "damaged" in seen["zuul-announce"].detail
        assert seen["zuul-announce"].outcome == "looked"
        assert seen["zuul-security"].outcome == Outcome.CORRUPT
    assert sites.files() == before


def test_whom_a_ban_would_match_is_seen_before(sites):
    seen = look(sites, "zuul-jobs", entry=addresses.entry("target@example.com"))["zuul-jobs"]
    assert (seen.said.subscribed, seen.said.matched) == ("0", {})
    pattern = addresses.entry(r"^member1\d@example\.org$")
    seen = look(sites, "zuul-announce", entry=pattern)["zuul-announce"]
    matched = {0: (2, ("member10@example.org", "member11@example.org"))}
    assert (seen.said.matched, seen.said.of_members) == (matched, 13)
    owner = look(sites, "zuul-jobs", entry=addresses.entry("Admin@example.com"))["zuul-jobs"]
    assert owner.said.people == {0: ("admin@example.com",)}
    host = addresses.entry(f"mailman-owner@{whose().sites[1].domain}")
    assert look(sites, "zuul-jobs", entry=host)["zuul-jobs"].said.people == {0: (host.text,)}


ENTRIES = [
    [],
    ["evil@example.com"],
    ["EVIL@EXAMPLE.COM"],
    [" evil@example.com "],
    ["^evil"],
    ["^[bad"],
    ["x" * 300, "^evil" + ".*" * 150],
    ["another@example.com", "notevil@example.com"],
    ["evil@example.com.au"],
    [".*^evil"],
    ["caf\xe9@example.com"],
]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_quick_look_at_the_bytes_sees_what_a_whole_look_sees(sites, protocol):
    """The states of lists may have been written by either Python, and by any release."""
    places = sorted(map(str, sites.folder.glob("srv/mailman/*/lists/*/config.pck")))
    sites.code(
        "zuul",
        "import pickle, sys\n"
        "for path, entries in zip(*eval(sys.argv[1])):\n"
        "    with open(path, 'rb') as f: held = pickle.loads(f.read())\n"
        "    held['ban_list'] = entries\n"
        "    protocol = min(int(sys.argv[2]), pickle.HIGHEST_PROTOCOL)\n"
        "    with open(path, 'wb') as f: f.write(pickle.dumps(held, protocol))\n",
        repr((places, ENTRIES)),
        str(protocol),
    )
    # Few addresses are looked for in the bytes, more in what they hold.
    others = [addresses.entry(f"nobody{number}@example.com") for number in range(5)]
    for wanted in ([EVIL], [EVIL, *others]):
        quick, whole = look(sites, entry=wanted), look(sites, entry=wanted, people=False)
        assert sum(bool(one.said.refused) for one in whole.values()) == 5
        for name, one in whole.items():
            seen, asked = quick[name].said, one.said
            assert (seen.refused, seen.has) == (asked.refused, asked.has), name


def test_a_pattern_that_takes_for_ever_with_the_members_ends_the_look_of_it(sites):
    slow = addresses.Entry(r"^(\w+)+!$", sample=None)
    name = "zuul-jobs"
    sites.code(
        "zuul",
        "from Mailman import MailList\nm = MailList.MailList('zuul-jobs', lock=1)\n"
        "m.members['member' * 8 + '@example.org'] = 0\nm.Save()\nm.Unlock()\n",
    )
    began = time.monotonic()
    assert "takes more than" in look(sites, name, entry=slow)[name].detail
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("pattern", ["^(.|.|.|.|.|.)*!$", "^(a+)+$"])
def test_a_pattern_that_a_list_s_owner_entered_holds_up_that_list_alone(sites, pattern):
    """The whole ban hung before it printed anything, and its worker burned a processor."""
    sites.unlock()
    victim = addresses.entry("a" * 40 + "@example.com")
    set_bans(sites, "zuul", "zuul-jobs", [pattern])
    assert pattern in look(sites, entry=victim)["zuul-jobs"].detail
    began = time.monotonic()
    report = change(sites, entry=victim)
    assert time.monotonic() - began < 60
    assert report.counts == {Outcome.BANNED: LISTS - 1, Outcome.ERROR: 1}
    assert pattern in result(report, "zuul-jobs").detail
    assert sites.locks("zuul") == []
    # And the way out of it.
    assert change(sites, action="unban", entry=addresses.Entry(pattern)).is_done
    assert sites.bans("zuul", "zuul-jobs") == []


def test_an_entry_that_is_no_text_is_that_list_s_trouble(sites):
    """Mailman itself fails on it, and accepts no subscription."""
    sites.unlock()
    set_bans(sites, "zuul", "zuul-jobs", [42, "^evil"])
    assert "not text, 42" in look(sites)["zuul-jobs"].detail
    report = change(sites)
    assert report.counts == {Outcome.BANNED: LISTS - 1, Outcome.ERROR: 1}
    assert "not text, 42" in result(report, "zuul-jobs").detail


def test_entries_that_are_not_ascii_are_shown(every_sites):
    sites = every_sites
    value = b"caf\xc3\xa9@example.com" if sites.is_python_2 else "café@example.com"
    set_bans(sites, "zuul", "zuul-jobs", [value, "^evil"])
    assert look(sites, "zuul-jobs", people=False)["zuul-jobs"].said.refused == {"^evil": "0"}
    asked = look(sites, "zuul-jobs", entry=addresses.Entry("café@example.com"), people=False)
    assert asked["zuul-jobs"].said.has == "0"


# -- lists in trouble -----------------------------------------------------------------------


def test_a_stale_lock_is_named_with_the_command_that_helps(every_sites):
    sites = every_sites
    report = change(sites, timeout=1)
    assert report.counts == {Outcome.BANNED: LISTS - 1, Outcome.LOCKED: 1}
    stale = result(report, STALE)
    assert re.fullmatch(
        r"locked since .* by process \d+ on .*, which no longer runs(?: \(.*\))?", stale.detail
    )
    assert stale.help == ("clear-lock", STALE)


def test_a_lock_that_is_held_is_named_with_its_process(sites):
    holder = sites.hold("zuul", "zuul-jobs")
    report = change(sites, "zuul-jobs", timeout=1)
    held = result(report, "zuul-jobs")
    assert f"by process {holder.pid} on" in held.detail
    assert "which runs" in held.detail
    assert held.help == ("ban", "evil@example.com", "--list", "zuul-jobs")
    # What waited has left no claim.
    assert len(sites.locks("zuul")) == 2


def test_several_locked_lists_cost_the_time_out_once(sites):
    names = ["zuul-announce", "zuul-discuss", "zuul-jobs", "zuul-security"]
    for name in names:
        sites.hold("zuul", name)
    began = time.monotonic()
    report = change(sites, timeout=3)
    assert 3 <= time.monotonic() - began < 9
    assert report.counts == {Outcome.BANNED: LISTS - 5, Outcome.LOCKED: 5}


def test_a_lock_that_is_let_go_in_time_costs_only_that_time(sites):
    sites.unlock()
    holder = sites.start(
        "zuul",
        "import sys, time\nfrom Mailman import MailList\n"
        "m = MailList.MailList('zuul-jobs', lock=1)\nprint('held')\nsys.stdout.flush()\n"
        "time.sleep(2)\nm.Unlock()\n",
    )
    assert holder.stdout.readline() == "held\n"
    began = time.monotonic()
    assert change(sites, timeout=20).counts == {Outcome.BANNED: LISTS}
    assert time.monotonic() - began < 10


def test_a_lock_that_another_breaks_as_it_is_taken_is_taken_again(sites, tmp_path):
    """A process of Mailman that waits may do that, and Save() would end with NotLockedError."""
    broken = tmp_path / "broken"
    (sites.list_folder("zuul", "zuul-jobs") / "extend.py").write_text(
        f"""
import os
from Mailman import LockFile, mm_cfg
real = LockFile.LockFile.lock

def lock(self, timeout=0):
    real(self, timeout)
    if not os.path.exists({str(broken)!r}):
        for name in os.listdir(mm_cfg.LOCK_DIR):
            if name.startswith("zuul-jobs.lock"):
                os.unlink(os.path.join(mm_cfg.LOCK_DIR, name))
                open({str(broken)!r}, "a").close()

def extend(m):
    LockFile.LockFile.lock = lock
"""
    )
    report = change(sites, "zuul-jobs", timeout=20)
    assert broken.exists()
    assert report.counts == {Outcome.BANNED: 1}
    assert sites.bans("zuul", "zuul-jobs") == ["evil@example.com"]


def test_a_list_that_is_removed_while_its_lock_is_waited_for_is_gone(sites):
    """rmlist asks for no lock, and removes the claims of those who wait for it."""
    sites.unlock()
    sites.hold("zuul", "zuul-jobs")
    with ThreadPoolExecutor() as pool:
        report = pool.submit(change, sites, "zuul-jobs", "zuul-announce", timeout=8)
        wait_for(lambda: len(sites.locks("zuul")) == 3)
        assert mailman(sites, "zuul", "rmlist", "-a", "zuul-jobs").returncode == 0
        done = report.result()
    assert result(done, "zuul-announce").outcome is Outcome.BANNED
    gone = result(done, "zuul-jobs")
    assert (gone.outcome, gone.detail) == (Outcome.ERROR, "the list no longer exists")


def test_a_locked_list_that_refuses_it_already_is_not_waited_for(sites):
    set_bans(sites, "zuul", "zuul-jobs", ["evil@example.com"])
    sites.hold("zuul", "zuul-jobs")
    began = time.monotonic()
    assert change(sites, "zuul-jobs", timeout=20).counts == {Outcome.ALREADY: 1}
    assert time.monotonic() - began < 10


def test_a_lock_whose_process_is_gone_is_not_waited_for(sites):
    """The plan said so, and the ban waited ten seconds all the same."""
    began = time.monotonic()
    report = change(sites, timeout=60)
    assert time.monotonic() - began < 30
    assert report.counts == {Outcome.BANNED: LISTS - 1, Outcome.LOCKED: 1}
    assert "which no longer runs" in result(report, STALE).detail


def test_a_lock_that_was_taken_since_the_plan_was_made_is_waited_for(sites):
    chosen = target(sites, timeout=30)
    plan = ban.look(chosen, [EVIL], people=False)
    assert [answer.list for answer in plan.seen.stale] == [STALE]
    sites.unlock()
    holder = sites.start(
        "openstack",
        "import sys, time\nfrom Mailman import MailList\n"
        "m = MailList.MailList(sys.argv[1], lock=1)\nprint('held')\nsys.stdout.flush()\n"
        "time.sleep(2)\nm.Unlock()\n",
        STALE,
    )
    assert holder.stdout.readline() == "held\n"
    report = plan.change()
    chosen.installation.host.close()
    assert report.counts == {Outcome.BANNED: LISTS}


# -- several addresses ------------------------------------------------------------------------

VICTIMS = [addresses.entry(f"victim{number}@example.com") for number in range(20)]


def test_many_addresses_are_one_load_and_one_save_for_each_list(every_sites):
    sites = every_sites
    sites.unlock()
    before = state(sites.site)
    set_bans(sites, "zuul", "zuul-jobs", ["Victim3@Example.com", "^victim1[0-4]@"])
    set_bans(sites, "zuul", "zuul-discuss", [one.text for one in VICTIMS])
    mixed = state(sites.site)
    report = change(sites, entry=VICTIMS)
    assert report.counts == {Outcome.BANNED: LISTS - 1, Outcome.ALREADY: 1}
    jobs = ["Victim3@Example.com", "^victim1[0-4]@"]
    new = [one.text for n, one in enumerate(VICTIMS) if n != 3 and not 10 <= n <= 14]
    assert sites.bans("zuul", "zuul-jobs") == jobs + new
    assert result(report, "zuul-jobs").said.did == "0-2,4-9,15-19"
    assert sites.bans("openstack", "release-team") == [one.text for one in VICTIMS]
    # Lifted, the entries are gone however they are spelled, and the pattern is named.
    lifted = change(sites, entry=VICTIMS, action="unban")
    assert lifted.counts == {Outcome.UNBANNED: LISTS - 1, Outcome.ERROR: 1}
    left = result(lifted, "zuul-jobs").detail
    assert left.startswith("it still refuses victim10@example.com, by its entry ^victim1[0-4]@; ")
    assert left.endswith("; 2 more")
    assert sites.bans("zuul", "zuul-jobs") == ["^victim1[0-4]@"]
    set_bans(sites, "zuul", "zuul-jobs", [])
    assert state(sites.site) == before != mixed


def test_an_address_that_a_pattern_before_it_refuses_is_not_entered(sites):
    """As by hand, where one comes after the other."""
    both = [addresses.entry(r"^victim\d+@example\.com$"), VICTIMS[0]]
    assert change(sites, "zuul-jobs", entry=both).is_done
    assert sites.bans("zuul", "zuul-jobs") == [both[0].text]
    seen = look(sites, "zuul-jobs", entry=both)["zuul-jobs"].said
    assert (seen.refused, seen.has) == ({"": "0", both[0].text: "1"}, "0")


def test_ten_thousand_addresses_are_banned_and_lifted_in_moments(sites):
    sites.unlock()
    many = [addresses.entry(f"victim{number}@example.com") for number in range(10_000)]
    began = time.monotonic()
    assert change(sites, entry=many).counts == {Outcome.BANNED: LISTS}
    assert change(sites, entry=many).counts == {Outcome.ALREADY: LISTS}
    assert change(sites, entry=many, action="unban").counts == {Outcome.UNBANNED: LISTS}
    assert time.monotonic() - began < 60
    assert sites.bans("zuul", "zuul-jobs") == []


def test_a_worker_that_is_killed_takes_only_its_list_with_it(sites):
    sites.unlock()
    sites.hold("zuul", "zuul-jobs")
    chosen = target(sites, timeout=30)
    plan = ban.look(chosen, [EVIL], people=False)
    killed = []

    class Killer:
        """Kills what waits for the list, whose claim has its id."""

        def advance(self, lists: int) -> None:
            pass

        def waiting(self, lists: int, seconds: float) -> None:
            kill()

    def kill() -> None:
        deadline = time.monotonic() + 10
        mine = f"zuul-jobs.lock.{os.uname().nodename}."
        holder = sites.started[0].pid
        while not killed and time.monotonic() < deadline:
            for claim in sites.locks("zuul"):
                pid = claim.removeprefix(mine).split(".")[0]
                if claim.startswith(mine) and int(pid) != holder:
                    os.kill(int(pid), signal.SIGKILL)
                    killed.append(int(pid))
            time.sleep(0.01)
        # So that the stale lock on another list is not waited for longer than needed.
        sites.unlock()

    report = plan.change(Killer())
    chosen.installation.host.close()
    assert len(killed) == 1
    lost = result(report, "zuul-jobs")
    assert lost.outcome == Outcome.ERROR
    assert "killed by signal 9" in lost.detail
    assert lost.help == ("clear-lock", "zuul-jobs")
    assert report.counts[Outcome.BANNED] == LISTS - 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_while_it_waits_leaves_nothing(sites, number):
    sites.unlock()
    holder = sites.hold("zuul", "zuul-jobs")
    words = ["ban", EVIL.text, "--yes", "--timeout", "60", "--host", sites.spec]
    mark = f"{sites.folder}:{number}:{time.monotonic()}"
    command = subprocess.Popen(
        [sys.executable, "-m", "runbooks", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "STARTED_FOR": mark},
    )
    deadline = time.monotonic() + 30
    # Just after it has been started, it may not show its environment yet.
    while not is_ours(Path(f"/proc/{command.pid}/environ"), mark):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # The lock, its claim, and the claim of what waits for it.
    while sum(name.startswith("zuul-jobs.lock") for name in sites.locks("zuul")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    os.killpg(command.pid, number)
    out, _ = command.communicate(timeout=30)
    if number == signal.SIGINT:
        assert command.returncode == 1
        assert f"{LISTS - 1} lists banned and read back, 1 not done" in out
        assert "interrupted" in out
        assert f"by process {holder.pid} on" in out
    deadline = time.monotonic() + 15
    while ours := [p for p in Path("/proc").glob("[0-9]*/environ") if is_ours(p, mark)]:
        assert time.monotonic() < deadline, ours
        time.sleep(0.05)
    assert time.monotonic() - began < 15
    assert len(sites.locks("zuul")) == 2
    holder.kill()
    sites.unlock()
    assert change(sites).counts == {Outcome.ALREADY: LISTS - 1, Outcome.BANNED: 1}
    assert not list(sites.folder.rglob("config.pck.tmp*"))


def is_ours(path: Path, mark: str) -> bool:
    """Whether a process was started with `mark` in its environment."""
    try:
        return mark.encode() in path.read_bytes()
    except OSError:
        return False


def test_a_damaged_list_is_repaired_by_mailman_or_named_and_the_others_are_done(every_sites):
    sites = every_sites
    sites.unlock()
    set_bans(sites, "zuul", "zuul-announce", [])  # so that there is a config.pck.last
    repaired = sites.list_folder("zuul", "zuul-announce") / "config.pck"
    repaired.write_bytes(repaired.read_bytes()[:500])
    lost = sites.list_folder("zuul", "zuul-jobs")
    for path in lost.glob("config.pck*"):
        path.write_bytes(b"nonsense")
    report = change(sites)
    assert report.counts == {Outcome.BANNED: LISTS - 1, Outcome.CORRUPT: 1}
    assert result(report, "zuul-jobs").detail.startswith("its state does not load: config.pck is")
    assert sites.bans("zuul", "zuul-announce") == ["evil@example.com"]
    assert sites.locks("zuul") == []


def test_a_site_without_its_folder_is_named_and_the_other_is_done(sites):
    sites.unlock()
    (sites.prefix("zuul") / "lists").rename(sites.prefix("zuul") / "moved")
    report = change(sites)
    assert report.counts == {Outcome.BANNED: 7}
    assert "No such file" in report.sites_failed["zuul"]
    assert not report.is_done


def test_odd_things_in_the_folder_of_the_lists_are_no_lists(sites):
    sites.unlock()
    lists = os.fsencode(sites.prefix("zuul") / "lists")
    os.mkdir(os.path.join(lists, b"caf\xe9"))
    os.mkdir(os.path.join(lists, b"a\nb"))
    os.mkdir(os.path.join(lists, b"empty"))
    Path(os.fsdecode(lists), "file").write_text("")
    assert change(sites).counts == {Outcome.BANNED: LISTS}


# -- by hand --------------------------------------------------------------------------------

SEVERAL = ("evil@example.com", "Worse@example.org", r"^worst(\+.*)?@example\.net$")


def test_by_hand_several_addresses_are_banned_in_one_go_and_lifted_again(every_sites):
    sites = every_sites
    sites.unlock()
    set_bans(sites, "zuul", "zuul-jobs", ["worse@example.org", "other@example.com"])
    before = state(sites.site)
    assert not by_hand_faults(sites, *SEVERAL)
    assert sites.bans("zuul", "zuul-announce") == list(SEVERAL)
    assert sites.bans("zuul", "zuul-jobs") == [
        "worse@example.org",
        "other@example.com",
        "evil@example.com",
        SEVERAL[2],
    ]
    # There was one save: what it replaced is the list as it was before all of them.
    kept = pickle.loads(
        (sites.list_folder("zuul", "zuul-announce") / "config.pck.last").read_bytes(),
        encoding="latin1",
    )
    assert kept["ban_list"] == []
    assert not by_hand_faults(sites, *SEVERAL, action="unban")
    set_bans(sites, "zuul", "zuul-jobs", ["worse@example.org", "other@example.com"])
    assert state(sites.site) == before


def test_by_hand_there_is_a_line_for_each_list_and_address(every_sites):
    sites = every_sites
    put_ban_py(sites)
    set_bans(sites, "zuul", "zuul-jobs", ["worse@example.org"])

    def said(function: str, *words: str) -> list[str]:
        done = withlist(sites, "zuul", "-q", "-r", function, "zuul-jobs", *words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    one, two = SEVERAL[:2]
    assert said("ban", one, "5", two) == [f"zuul-jobs: banned {one}", f"zuul-jobs: already {two}"]
    assert said("ban.banned", two, "x@example.com", "x1@example.com") == [
        f"zuul-jobs: refuses {two} (matched {two})",
        "zuul-jobs: accepts x@example.com",
        "zuul-jobs: accepts x1@example.com",
    ]
    assert said("ban.unban", "x@example.com", two) == [
        "zuul-jobs: absent x@example.com",
        f"zuul-jobs: unbanned {two}",
    ]
    # Of one address only what came of it.
    assert said("ban", two, "5") == ["zuul-jobs: banned"]
    assert said("ban", two) == ["zuul-jobs: already"]
    assert said("ban.unban", two) == ["zuul-jobs: unbanned"]
    assert said("ban.unban", two) == ["zuul-jobs: absent"]
    assert sites.bans("zuul", "zuul-jobs") == [one]


def test_by_hand_a_list_in_trouble_has_one_line_however_many_addresses_there_are(every_sites):
    sites = every_sites
    put_ban_py(sites)
    for path in sites.list_folder("openstack", "release-team").glob("config.pck*"):
        path.write_bytes(b"nonsense")
    began = time.monotonic()
    done = withlist(sites, "openstack", "-q", "-a", "-r", "ban", *SEVERAL, "0.5")
    assert time.monotonic() - began < 8
    said = Counter(line.partition(": ")[0] for line in done.stdout.splitlines())
    assert (said.pop(STALE), said.pop("release-team")) == (1, 1)
    assert set(said.values()) == {len(SEVERAL)}
    assert f"{STALE}: locked by another process, not changed" in done.stdout.splitlines()


def test_by_hand_without_an_address_nothing_is_done(sites):
    put_ban_py(sites)
    before = sites.files()
    for words in ((), ("10",)):
        for function in ("ban", "ban.unban", "ban.banned"):
            done = withlist(sites, "zuul", "-q", "-a", "-r", function, *words)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == "Nothing was done: no address was given\n"
    assert sites.files() == before


def test_by_hand_a_damaged_list_does_not_keep_the_others_from_being_visited(sites):
    put_ban_py(sites)
    for path in sites.list_folder("zuul", "zuul-announce").glob("config.pck*"):
        path.write_bytes(b"nonsense")
    done = withlist(sites, "zuul", "-q", "-a", "-r", "ban", EVIL.text)
    assert done.returncode == 0
    said = Counter(line.partition(": ")[2].split(",")[0] for line in done.stdout.splitlines())
    assert said == {"banned": 3, "corrupt": 1}
    assert done.stderr == ""


def test_by_hand_a_locked_list_is_named_and_the_others_are_done(sites):
    put_ban_py(sites)
    done = withlist(sites, "openstack", "-q", "-a", "-r", "ban", EVIL.text, "1")
    lines = done.stdout.splitlines()
    assert f"{STALE}: locked by another process, not changed" in lines
    assert sum(line.endswith(": banned") for line in lines) == 6


def test_by_hand_an_unknown_list_is_a_message_and_not_a_traceback(sites):
    put_ban_py(sites)
    done = withlist(sites, "zuul", "-q", "-r", "ban", "nosuch", EVIL.text)
    assert done.returncode == 1
    assert "nosuch" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_by_hand_the_option_l_is_refused_and_leaves_no_lock(sites):
    """Mailman 2.2 does not unlock what it locked for -l."""
    put_ban_py(sites)
    done = withlist(sites, "zuul", "-l", "-q", "-a", "-r", "ban", EVIL.text)
    assert done.stdout.count("do not use withlist -l") == 4
    assert "Traceback" not in done.stderr
    assert sites.locks("zuul") == []


def test_by_hand_an_entry_that_is_not_ascii_is_printed(sites):
    put_ban_py(sites)
    set_bans(sites, "zuul", "zuul-jobs", ["^evil|caf\xe9", "caf\xe9@example.com"])
    done = withlist(sites, "zuul", "-q", "-r", "ban.banned", "zuul-jobs", EVIL.text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("zuul-jobs: refuses evil@example.com (matched ^evil|caf")


def test_by_hand_a_save_that_fails_leaves_nothing(sites):
    """A disk that is full, as far as a process with a limit on the size of its files sees it."""
    put_ban_py(sites)
    before = state(sites.site)
    folder = sites.list_folder("zuul", "zuul-jobs")
    size = (folder / "config.pck").stat().st_size
    limited = f"trap '' XFSZ; ulimit -f {size // 1024 // 2}; exec \"$@\""
    words = ["-q", "-r", "ban", "zuul-jobs", EVIL.text]
    done = subprocess.run(
        ["/bin/bash", "-c", limited, "-", sites.folder / "bin" / "withlist", *words],
        env={**os.environ, "MAILMAN_SITE_DIR": str(sites.prefix("zuul"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("zuul-jobs: error not changed: "), done
    assert sites.locks("zuul") == []
    assert not list(folder.glob("*.tmp*"))
    assert state(sites.site) == before
