"""The example for Ansible: a ban on two list servers, which are reached over ssh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box
from runbooks.testing.containers.ssh import SshBoxes
from tests.support.lockers import Actor, new_list, play

EXAMPLE = Path(__file__).resolve().parents[2] / "doc" / "example" / "ansible"
SERVERS = ("lists1.example.org", "lists2.example.org")
LISTS = ("first", "second")


@pytest.fixture
def servers(box: Box, ssh_boxes: SshBoxes, tmp_path: Path) -> dict[str, Box]:
    """The servers of the inventory, and an ``ssh`` in `tmp_path` that knows the way to each."""
    found, ways = {}, ""
    for server in SERVERS:
        reached = ssh_boxes.get(box)
        assert not isinstance(reached, str), reached
        found[server] = reached.box
        way = reached.config.read_text(encoding="utf-8")
        assert way.startswith("Host *\n")
        ways += way.replace("Host *", f"Host {server}", 1)
        for site in box.sites:
            new_list(reached.box, site, *(f"{site}-{name}" for name in LISTS))
    (tmp_path / "config").write_text(ways, encoding="utf-8")
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    ssh.chmod(0o755)
    return found


@pytest.fixture
def ban(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs the playbook for an address, with the command that is under test."""

    def run(address: str) -> subprocess.CompletedProcess[str]:
        given = {"address": address, "runbook_folder": sys.prefix, "runbook_timeout": "1"}
        return subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", "ban.yml"),
                *(word for name, value in given.items() for word in ("-e", f"{name}={value}")),
            ],
            cwd=EXAMPLE,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def recap(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[int, int, int]]:
    """By host: how many tasks changed something, did not reach it, and failed."""
    lines = re.findall(
        r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)",
        done.stdout,
        re.MULTILINE,
    )
    found = {host: tuple(map(int, numbers)) for host, *numbers in lines}
    assert found.pop("localhost") == (0, 0, 0), done.stdout
    return found


def banned(box: Box, address: str) -> set[str]:
    """The lists whose ban list, as Mailman itself reads it, has the address."""
    found = set()
    for site in box.sites:
        for name in (f"{site}-{name}" for name in LISTS):
            shown = box.run(
                [f"{PROGRAMS}/config_list", "-o", "-", name], env=box.environment(site)
            ).stdout
            entries = re.search(r"^ban_list = (\[.*?\])", shown, re.MULTILINE | re.DOTALL)
            assert entries, shown
            if repr(address) in entries[1]:
                found.add(name)
    return found


@pytest.mark.layout("multi")
def test_a_list_that_was_not_done_fails_the_play_and_is_named(
    servers: dict[str, Box], ban: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    first, second = SERVERS
    everywhere = {f"{site}-{name}" for site in servers[first].sites for name in LISTS}

    done = ban("evil@example.com")
    assert done.returncode == 0, done.stdout + done.stderr
    assert recap(done) == {first: (1, 0, 0), second: (1, 0, 0)}
    for box in servers.values():
        assert banned(box, "evil@example.com") == everywhere

    done = ban("evil@example.com")
    assert done.returncode == 0, done.stdout + done.stderr
    assert recap(done) == {first: (0, 0, 0), second: (0, 0, 0)}

    site = list(servers[second].sites)[-1]
    play(servers[second], site, [Actor(f"{site}-first", fate="killed")])
    done = ban("worse@example.com")
    assert done.returncode == 2, done.stdout + done.stderr
    assert recap(done) == {first: (1, 0, 0), second: (1, 0, 1)}
    assert f"{site}/{site}-first: locked: " in done.stdout
    for name in (everywhere | {"evil"}) - {f"{site}-first"}:
        assert f"/{name}: " not in done.stdout
    assert banned(servers[first], "worse@example.com") == everywhere
    assert banned(servers[second], "worse@example.com") == everywhere - {f"{site}-first"}
