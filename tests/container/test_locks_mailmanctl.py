"""The lock of mailmanctl: shown, and never removed while it runs."""

from __future__ import annotations

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box
from tests.support.lockers import names, new_list, runbook, until

#: Until none is left: one that is just being started has another name in between.
KILL = "while pkill -9 -f '[m]ailmanctl|[b]in.qrunner'; do sleep 0.3; done"


def start(box: Box, site: str, *options: str) -> str:
    done = box.run([f"{PROGRAMS}/mailmanctl", "-q", *options, "start"], env=box.environment(site))
    return done.stdout + done.stderr


def running(box: Box, site: str) -> None:
    new_list(box, site, "mailman")
    assert start(box, site) == ""
    until(box, f"[ -e {box.prefix(site)}/locks/master-qrunner ]")


def claim(box: Box, site: str) -> str:
    return box.read(f"{box.prefix(site)}/locks/master-qrunner").rpartition("/")[2]


def test_while_it_runs(box: Box) -> None:
    site = next(iter(box.sites))
    running(box, site)
    pid = claim(box, site).rpartition(".")[2]
    shown = runbook(box, "locks")
    assert shown.rc == 0
    line = next(line for line in shown.stdout.splitlines() if "master-qrunner" in line)
    assert "held" in line
    assert f"process {pid} on lists: mailmanctl" in line
    done = runbook(box, "clear-lock", "master-qrunner", "--yes")
    assert done.rc == 1
    assert "it holds this lock for as long as it runs; mailmanctl stop ends it" in done.stdout
    assert {"master-qrunner", claim(box, site)} <= names(box, site)
    every = runbook(box, "clear-lock", "--stale", "--yes")
    assert every.rc == 0
    assert {"master-qrunner", claim(box, site)} <= names(box, site)
    assert box.run(["kill", "-0", pid]).rc == 0


def test_after_a_crash(box: Box) -> None:
    site = next(iter(box.sites))
    running(box, site)
    left = claim(box, site)
    box.sh(KILL)
    shown = runbook(box, "locks")
    assert shown.rc == 1
    assert "stale" in shown.stdout
    assert "stale master qrunner lock" in start(box, site).replace("\n", " ")
    done = runbook(box, "clear-lock", "master-qrunner", "--yes")
    assert done.rc == 0, done.stdout
    assert not {"master-qrunner", left} & names(box, site)
    assert start(box, site) == ""
    until(box, f"[ -e {box.prefix(site)}/locks/master-qrunner ]")


def test_runners_that_outlived_it(box: Box) -> None:
    site = next(iter(box.sites))
    running(box, site)
    until(box, "pgrep -f '[b]in.qrunner'")
    left = {"master-qrunner", claim(box, site)}
    box.sh("pkill -9 -f '[m]ailmanctl'; sleep 0.5")
    runners = box.sh("pgrep -f '[b]in.qrunner'").stdout.split()
    assert runners
    for arguments in (["master-qrunner"], ["--stale"]):
        done = runbook(box, "clear-lock", *arguments, "--yes")
        assert done.rc == 1
        assert f"sudo kill {' '.join(runners)})" in done.stdout
        assert f"Runner {runners[0]}, " in done.stdout
        assert left <= names(box, site)
    box.run(["kill", *runners])
    until(box, "! pgrep -f '[b]in.qrunner'")
    assert runbook(box, "clear-lock", "master-qrunner", "--yes").rc == 0
    assert not left & names(box, site)
    assert start(box, site) == ""
    until(box, f"[ -e {box.prefix(site)}/locks/master-qrunner ]")


@pytest.mark.layout("multi")
def test_after_a_crash_while_that_of_another_site_runs(box: Box) -> None:
    running(box, "openstack")
    box.sh(KILL)
    left = {"master-qrunner", claim(box, "openstack")}
    running(box, "zuul")
    done = runbook(box, "clear-lock", "master-qrunner", "--site", "openstack", "--yes")
    assert done.rc == 1
    assert "mailmanctl -s start for this site removes the lock and starts it" in done.stdout
    every = runbook(box, "clear-lock", "--stale", "--yes")
    assert every.rc == 1
    assert left <= names(box, "openstack")
    assert "mailmanctl" in runbook(box, "locks").stdout
    start(box, "openstack", "-s")
    until(box, f"[ ! -e {box.prefix('openstack')}/locks/{sorted(left)[1]} ]")
    assert runbook(box, "locks").rc == 0
