"""The stand-in's locks, between real processes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.waiting import wait_for

# Adds entries to a list's ban list, one by one.
ADD = """
for number in range(int(sys.argv[2])):
    m = MailList.MailList("alpha", lock=1)
    m.ban_list.append("%s-%d" % (sys.argv[1], number))
    m.Save()
    m.Unlock()
"""
HOLD = """
m = MailList.MailList("alpha", lock=1)
print("held")
sys.stdout.flush()
time.sleep(float(sys.argv[1]))
m.Unlock()
"""
BAN_LIST = 'print(" ".join(sorted(MailList.MailList("alpha", lock=0).ban_list)))'


def hold(site, seconds=60.0):
    process = site.start_code(HOLD, str(seconds))
    assert process.stdout.readline() == "held\n"
    return process


def leave_lock(site, expiry):
    """A lock of a process that is gone, which expires so many seconds from now."""
    claim = site.prefix / "locks" / "alpha.lock.elsewhere.99999.0"
    claim.write_text(str(claim))
    os.utime(claim, (time.time() + expiry, time.time() + expiry))
    (site.prefix / "locks" / "alpha.lock").hardlink_to(claim)


def add_at_once(sites, each):
    """Several processes change a list at the same time; what they added."""
    processes = [
        (str(number), site.start_code(ADD, str(number), str(each)))
        for number, site in enumerate(sites)
    ]
    for _, process in processes:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    return " ".join(sorted(f"{name}-{count}" for name, _ in processes for count in range(each)))


def test_processes_exclude_each_other(site):
    site.new_list("alpha")
    added = add_at_once([site] * 4, each=8)
    assert site.code(BAN_LIST).strip() == added
    assert site.locks == []


def test_pythons_exclude_each_other(sites):
    sites[0].new_list("alpha")
    added = add_at_once(sites, each=5)
    for site in sites:
        assert site.code(BAN_LIST).strip() == added
    assert sites[0].locks == []


def test_several_that_break_an_expired_lock_exclude_each_other(site):
    site.new_list("alpha")
    leave_lock(site, expiry=-11)
    added = add_at_once([site] * 4, each=3)
    assert site.code(BAN_LIST).strip() == added
    assert site.locks == []


def test_claim(site):
    site.new_list("alpha")
    holder = hold(site)
    lock, claim = site.locks
    assert lock == "alpha.lock"
    assert claim.startswith("alpha.lock.")
    assert claim.split(".")[-2] == str(holder.pid)
    path = site.prefix / "locks" / claim
    assert path.read_text() == str(path)
    assert path.stat().st_nlink == 2
    assert path.samefile(site.prefix / "locks" / lock)
    assert 17990 < path.stat().st_mtime - time.time() <= 18000


def test_waits_for_as_long_as_the_lock_is_held(site):
    site.new_list("alpha")
    hold(site, seconds=3)
    started = time.monotonic()
    site.code(ADD, "late", "1")
    assert 0.5 < time.monotonic() - started < 30
    assert site.code(BAN_LIST) == "late-0\n"


def test_time_out(site):
    site.new_list("alpha")
    hold(site)
    before = site.locks
    started = time.monotonic()
    said = site.code(
        "m = MailList.MailList('alpha', lock=0)\n"
        "try:\n    m.Lock(timeout=1)\nexcept LockFile.TimeOutError:\n    print('timed out')"
    )
    assert said == "timed out\n"
    assert 1 <= time.monotonic() - started < 30
    assert site.locks == before


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_holder_and_a_killed_waiter_leave_what_they_had(site, signum):
    site.new_list("alpha")
    holder = hold(site)
    waiter = site.start_code(ADD, "never", "1")
    deadline = time.monotonic() + 60
    while len(site.locks) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    before = site.locks
    assert len(before) == 3
    for process in (waiter, holder):
        process.send_signal(signum)
        process.wait(timeout=10)
    assert site.locks == before


def test_not_broken_before_ten_seconds_after_the_expiry(site):
    site.new_list("alpha")
    started = time.monotonic()
    leave_lock(site, expiry=-8.5)
    site.code(ADD, "late", "1")
    assert 1 < time.monotonic() - started < 30
    assert site.code(BAN_LIST) == "late-0\n"
    assert site.locks == []


def test_refresh_pushes_the_expiry(site):
    site.new_list("alpha")
    said = site.code("""
lock = LockFile.LockFile(os.path.join(mm_cfg.LOCK_DIR, "x.lock"), lifetime=100)
for unlocked in (lock.refresh, lock.unlock):
    try:
        unlocked()
    except LockFile.NotLockedError:
        print("NotLockedError")
lock.unlock(unconditionally=True)
lock.lock()
lock.refresh(newlifetime=1000)
left = os.stat(lock.holder()).st_mtime - time.time()
print(990 < left <= 1000, lock.locked())
try:
    lock.lock()
except LockFile.AlreadyLockedError:
    print("AlreadyLockedError")
lock.unlock()
print(lock.locked())
""")
    assert said.splitlines() == [
        "NotLockedError",
        "NotLockedError",
        "True True",
        "AlreadyLockedError",
        "False",
    ]


def test_a_lock_that_cannot_be_loaded_is_let_go(site):
    site.new_list("alpha")
    said = site.code("""
m = MailList.MailList("alpha", lock=0)
open(os.path.join(m.fullpath(), "config.pck"), "w").close()
try:
    m.Lock()
except Errors.MMCorruptListDatabaseError:
    print(m.Locked())
""")
    assert said == "False\n"
    assert site.locks == []


def test_whoever_lost_its_claim_never_gets_the_lock(site):
    """As GNU Mailman: the link fails, then the removal of the claim when the time is over."""
    site.new_list("alpha")
    holder = hold(site)
    waiter = site.start_code(
        "print('waits'); sys.stdout.flush(); MailList.MailList('alpha', lock=0).Lock(timeout=2)"
    )
    assert waiter.stdout is not None
    assert waiter.stdout.readline() == "waits\n"
    wait_for(lambda: any(f".{waiter.pid}." in name for name in site.locks))
    holder.kill()
    holder.wait(timeout=10)
    for name in site.locks:
        (site.prefix / "locks" / name).unlink()
    _, stderr = waiter.communicate(timeout=20)
    assert waiter.returncode == 1
    assert f"No such file or directory: '{site.prefix}/locks/alpha.lock." in stderr
    assert site.locks == []


def test_whoever_takes_a_lock_while_another_finds_it_gone_loses_it(site):
    """As GNU Mailman: to a process that waits, a lock that has gone has expired."""
    site.new_list("alpha")
    said = site.code(
        """
m = MailList.MailList("alpha", lock=0)
path = os.path.join(mm_cfg.LOCK_DIR, "alpha.lock")
stat, other = LockFile._stat, LockFile.LockFile(path)

def gone(path):
    LockFile._stat = stat
    other.unlock()
    found = stat(path)
    m.Lock()
    return found

other.lock()
LockFile._stat = gone
LockFile.LockFile(path)._break_if_expired()
try:
    m.Save()
except LockFile.NotLockedError:
    print("NotLockedError")
"""
    )
    assert said == "NotLockedError\n"
    assert site.locks == []
