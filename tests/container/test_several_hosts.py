"""Three list servers over ssh in one run: one of them is down, and another has a stale lock."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from runbooks.testing.containers import running
from runbooks.testing.containers.box import PROGRAMS, Box
from tests.support.command import run_id
from tests.support.command import runbook as runbook_on
from tests.support.lockers import new_list

LISTS = {"openstack": ("openstack-announce", "openstack-foo"), "zuul": ("zuul-discuss",)}
NUMBER = 3
TARGET = "target@example.com"

#: For withlist -l: a process that dies while it has the list.
DIE = "import os\ndef die(m):\n    os.kill(os.getpid(), 9)\n"


def refusing(box: Box) -> set[str]:
    """The lists that ban the target, as Mailman's own program shows them."""
    found = set()
    for site, names in LISTS.items():
        for name in names:
            done = box.run(
                [f"{PROGRAMS}/config_list", "-o", "-", name],
                user="list",
                env=box.environment(site),
            )
            assert done.rc == 0, done
            if re.search(rf"^ban_list = .*{re.escape(TARGET)}", done.stdout, re.MULTILINE):
                found.add(name)
    return found


@pytest.mark.layout("multi")
@pytest.mark.timeout(600)
def test_one_is_down_and_another_has_a_stale_lock(box: Box, ssh_boxes, tmp_path: Path):
    servers = [ssh_boxes.get(box) for _ in range(3)]
    for server in servers:
        assert not isinstance(server, str), server
    one, stale, down = servers
    specs = [
        f"ssh://root@lists{number}?ssh_config={server.config}"
        for number, server in enumerate(servers, 1)
    ]
    for server in (one, stale):
        for site, names in LISTS.items():
            new_list(server.box, site, *names)
    stale.box.put("/tmp/die.py", DIE)
    stale.box.run(
        [f"{PROGRAMS}/withlist", "-q", "-l", "-r", "die.die", "openstack-foo"],
        user="list",
        env={**stale.box.environment("openstack"), "PYTHONPATH": "/tmp"},
    )
    running.remove(down.box.container)

    def runbook(*words: str):
        more = [word for spec in specs[1:] for word in ("--host", spec)]
        return runbook_on(specs[0], *words, *more)

    locks = runbook("locks")
    assert locks.returncode == 1
    (row,) = [line.split() for line in locks.stdout.splitlines() if " stale " in line]
    assert row[:4] == ["lists2", "openstack-foo", "openstack", "stale"]
    assert re.search(r"^ssh://root@lists3\S*: \w", locks.stdout, re.M)

    banned = runbook("ban", TARGET, "--yes")
    assert banned.returncode == 1, banned
    run = run_id(banned)
    assert banned.stdout.count(f"recorded as {run} in lists:") == 2
    assert f"{NUMBER} lists banned and read back" in banned.stdout
    assert f"{NUMBER - 1} lists banned and read back, 1 not done:" in banned.stdout
    assert banned.stdout.splitlines()[-1] == "not all done on 2 of 3 hosts: lists2, lists3"
    everything = {name for names in LISTS.values() for name in names}
    assert refusing(one.box) == everything
    assert refusing(stale.box) == everything - {"openstack-foo"}

    bans = runbook("bans")
    assert bans.returncode == 1
    assert re.search(
        rf"5 of 6 .* {run[-6:]} .* {TARGET}\n +not on: openstack-foo \(lists2:openst", bans.stdout
    )
    assert re.search(r"^ssh://root@lists3\S*: \w", bans.stdout, re.M)

    cleared = runbook("clear-lock", "--stale", "--yes")
    assert "1 stale lock removed and read back" in cleared.stdout
    again = runbook("ban", TARGET, "--yes", "--json")
    told = [json.loads(line) for line in again.stdout.splitlines()]
    outcomes = {(one["host"], one.get("list")): one["outcome"] for one in told if "outcome" in one}
    assert outcomes[specs[1], "openstack-foo"] == "banned"
    assert outcomes[specs[2], None] == "unreachable"
    assert refusing(stale.box) == everything

    # The group of the inventory names the same servers.
    inventory = tmp_path / "hosts.ini"
    ways = (f"ansible_ssh_common_args='-F {server.config}'" for server in servers)
    rows = (f"lists{number} {way}\n" for number, way in enumerate(ways, 1))
    inventory.write_text("[lists]\n" + "".join(rows))
    group = f"ansible://lists?ansible_inventory={inventory}"
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    undone = runbook_on(group, "undo", run, "--yes", env={"PATH": path})
    assert undone.returncode == 1, undone
    assert f"taken back on {NUMBER} lists and read back" in undone.stdout
    assert f"taken back on {NUMBER - 1} lists and read back" in undone.stdout
    assert undone.stdout.splitlines()[-1] == "not all done on 1 of 3 hosts: lists3"
    # What the second ban did is not of this run.
    assert (refusing(one.box), refusing(stale.box)) == (set(), {"openstack-foo"})
