"""One command for several hosts: one plan, one question, one run, one report."""

from __future__ import annotations

import ast
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbooks.errors import BadInputError, HostError
from runbooks.host import inventory
from tests.support.pythons import PYTHONS
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for
from tests.unit.conftest import EXTREMES, Sites, stop
from tests.unit.test_cli import runbook

#: Nobody can reach it, which is known at once. Why, is for the machine to say: there is no such
#: container, no engine, or no `docker`.
DOWN = "docker://no-such-container-at-all"
WHY_DOWN = re.compile(r"^(warning: )?docker://no-such-container-at-all: \S.+$", re.MULTILINE)

LISTS = 11  # of a practice site


@pytest.fixture(params=[PYTHONS[name] for name in EXTREMES], ids=EXTREMES)
def two(
    request: pytest.FixtureRequest, make_sites: Callable[..., Sites]
) -> Iterator[tuple[Sites, Sites]]:
    """Two hosts, which are as they are in practice: one list of each has a stale lock."""
    made = make_sites(request.param, "one"), make_sites(request.param, "two")
    yield made
    for sites in made:
        stop(sites)


@pytest.fixture
def free(two: tuple[Sites, Sites]) -> tuple[Sites, Sites]:
    """The same without the locks."""
    for sites in two:
        sites.unlock()
    return two


def on(*hosts: Sites | str) -> list[str]:
    """The options that name hosts."""
    specs = [host if isinstance(host, str) else host.spec for host in hosts]
    return [word for spec in specs for word in ("--host", spec)]


def bans(sites: Sites) -> set[str]:
    """What all of its lists ban."""
    found = [
        set(of_list)
        for site in ("openstack", "zuul")
        for of_list in ast.literal_eval(
            sites.code(
                site,
                "from Mailman import MailList, Utils\n"
                "print([MailList.MailList(n, lock=0).ban_list for n in Utils.list_names()])",
            )
        )
    ]
    assert len(found) == LISTS
    return set.intersection(*found)


def objects(*words: str) -> list[dict[str, object]]:
    """What the command says to a program."""
    return [json.loads(line) for line in runbook(*words, "--json").stdout.splitlines()]


def runs(text: str) -> list[str]:
    return re.findall(r"recorded as (\S+) in", text)


def test_each_is_done_and_the_one_that_is_down_is_named(free):
    one, other = free
    done = runbook("ban", "evil@example.com", "--yes", *on(one, DOWN, other))
    assert done.returncode == 1, done
    assert "evil@example.com" in bans(one) & bans(other)
    assert done.stdout.count(f"{LISTS} lists banned and read back") == 2
    assert len(WHY_DOWN.findall(done.stdout)) == 1
    assert done.stdout.splitlines()[-1] == (
        "not all done on 1 of 3 hosts: no-such-container-at-all"
    )
    first, second = runs(done.stdout)
    assert first == second
    back = f"to take it back: runbook undo {first} --host {one.spec} --host {other.spec}"
    assert back in done.stdout.splitlines()
    undone = runbook("undo", first, "--yes", *on(one, other))
    assert undone.returncode == 0, undone
    assert undone.stdout.count(f"taken back on {LISTS} lists and read back") == 2
    assert not bans(one) | bans(other)


def test_a_run_is_taken_back_where_it_was(free):
    one, other = free
    run, *_ = runs(runbook("ban", "evil@example.com", "--yes", *on(one)).stdout)
    undone = runbook("undo", run, "--yes", *on(one, other))
    assert undone.returncode == 0, undone
    assert f"there is no run {run} on" in undone.stdout
    assert "evil@example.com" not in bans(one)
    nowhere = runbook("undo", "20240101-000000-abcdef", "--yes", *on(one, other))
    assert nowhere.returncode == 2
    assert nowhere.stderr.startswith("runbook: there is no run 20240101-000000-abcdef")
    assert not nowhere.stdout


def test_nothing_is_changed_anywhere_where_one_host_would_refuse(free):
    one, other = free
    other.code(
        "zuul",
        "from Mailman import MailList\nm = MailList.MailList('zuul-jobs')\n"
        "m.owner.append('boss@example.com')\nm.Save()\nm.Unlock()",
    )
    done = runbook("ban", "boss@example.com", "--yes", *on(one, other))
    assert done.returncode == 2
    assert "boss@example.com would ban somebody who runs a list" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not bans(one) | bans(other)
    assert "nothing is recorded yet" in runbook("history", *on(one)).stdout


def test_a_list_has_to_be_on_one_of_the_hosts(free):
    one, other = free
    for list_file in (other.list_folder("zuul", "zuul-jobs")).iterdir():
        list_file.unlink()
    other.list_folder("zuul", "zuul-jobs").rmdir()
    some = ["--list", "zuul-jobs", "--list", "zuul-discuss"]
    done = runbook("ban", "evil@example.com", "--yes", *some, *on(one, other))
    assert done.returncode == 0, done
    assert [one.bans("zuul", name) for name in some[1::2]] == [["evil@example.com"]] * 2
    assert other.bans("zuul", "zuul-discuss") == ["evil@example.com"]
    done = runbook("ban", "worse@example.com", "--yes", *some[:2], *on(one, other))
    assert done.returncode == 0, done
    assert "there is no list 'zuul-jobs'" in done.stdout
    assert "worse@example.com" in one.bans("zuul", "zuul-jobs")
    for option in ("--list", "--site"):
        words = ["--list", "zuul-discuss"] * (option == "--list") + [option, "nowhere"]
        done = runbook("ban", "worst@example.com", "--yes", *words, *on(one, other))
        assert done.returncode == 2
        assert "'nowhere'" in done.stderr
    assert "worst@example.com" not in one.bans("zuul", "zuul-discuss")


def test_a_host_that_is_named_twice_is_done_once(free, tmp_path):
    one, _ = free
    link = tmp_path / "link"
    link.symlink_to(one.folder)
    done = runbook("ban", "evil@example.com", "--yes", *on(one, one))
    assert (done.returncode, len(runs(done.stdout))) == (0, 1)
    done = runbook("ban", "worse@example.com", "--yes", *on(one, f"practice:{link}"))
    assert (done.returncode, len(runs(done.stdout))) == (1, 1)
    assert "so nothing was changed: two of the hosts are one" in done.stdout
    assert "worse@example.com" in bans(one)


def test_they_are_worked_on_at_the_same_time(two):
    for sites in two:
        sites.unlock()
        sites.hold("zuul", "zuul-jobs")
    began = time.monotonic()
    wait = ["--timeout", "8", "--list", "zuul-jobs"]
    done = runbook("ban", "evil@example.com", "--yes", *wait, *on(*two))
    assert done.returncode == 1
    assert done.stdout.count("1 not done") == 2
    assert time.monotonic() - began < 15


def test_locks_are_in_one_table_and_cleared_by_one_command(two):
    one, other = two
    seen = runbook("locks", *on(one, other, DOWN))
    assert seen.returncode == 1
    rows = [line.split() for line in seen.stdout.splitlines() if " stale " in line]
    assert [row[:4] for row in rows] == [
        [f"practice:{sites.folder}", "openstack-foo", "openstack", "stale"] for sites in two
    ]
    assert f"  → runbook clear-lock openstack-foo --site openstack {' '.join(on(other))}" in (
        seen.stdout.splitlines()
    )
    assert WHY_DOWN.search(seen.stdout)
    told = objects("locks", *on(one, other))
    assert [one.get("host") for one in told] == [one.spec, other.spec, None]
    assert told[-1] == {"summary": {"stale": 2}}
    cleared = runbook("clear-lock", "openstack-foo", "--yes", *on(one, other))
    assert cleared.returncode == 0, cleared
    assert cleared.stdout.count("1 stale lock removed and read back") == 2
    assert [sites.locks("openstack") for sites in two] == [[], []]
    assert "nothing is locked" in runbook("locks", *on(one, other)).stdout


def test_metrics_say_which_host_does_not_answer(free):
    one, _ = free
    done = runbook("locks", "--prometheus", *on(one, DOWN))
    assert done.returncode == 1
    assert f'mailman_host_answered{{host="{one.spec}"}} 1.0' in done.stdout
    assert f'mailman_host_answered{{host="{DOWN}"}} 0.0' in done.stdout
    assert WHY_DOWN.search(done.stderr)


def test_bans_of_all_are_in_one_table(free):
    one, other = free
    runbook("ban", "evil@example.com", "--yes", *on(one, other))
    runbook("ban", "worse@example.com", "--yes", *on(other))
    seen = runbook("bans", *on(one, other))
    assert seen.returncode == 0, seen
    assert re.search(r"on some lists only: 1\n +11 of 22 .* worse@example.com\n", seen.stdout)
    assert re.search(r"on every list: 1\n +22 of 22 .* evil@example.com\n", seen.stdout)
    assert "2 entries on 22 lists" in seen.stdout
    told = objects("bans", *on(one, other))
    (evil,) = [one for one in told if one.get("entry") == "evil@example.com"]
    assert (evil["hosts"], evil["lists"], len(evil["runs"])) == ([one.spec, other.spec], 22, 1)


def test_a_program_is_told_which_host_each_object_is_about(free):
    one, other = free
    told = objects("ban", "evil@example.com", "--yes", *on(one, DOWN, other))
    assert [one["host"] for one in told if "summary" in one] == [one.spec, other.spec]
    assert {one["host"] for one in told if "recorded" in one} == {one.spec, other.spec}
    (down,) = [one for one in told if one["host"] == DOWN]
    assert down["outcome"] == "unreachable"


def test_one_question_is_asked_for_all(free):
    one, other = free
    variables = {"RUNBOOK_HOST": f"{one.spec} {other.spec}"}
    terminal = Terminal(["ban", "evil@example.com"], **variables)
    terminal.until("Ban evil@example.com from 22 lists on 2 hosts? [y/N]")
    terminal.type("n\n")
    assert terminal.end() == 2
    assert "not confirmed; nothing was changed" in terminal.text
    assert not bans(one) | bans(other)
    terminal = Terminal(["ban", "evil@example.com"], **variables)
    terminal.until("on 2 hosts? [y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert "evil@example.com" in bans(one) & bans(other)


def test_nobody_is_asked_without_a_terminal(free):
    done = runbook("ban", "evil@example.com", *on(*free))
    assert done.returncode == 2
    assert "nobody can be asked: add --yes" in done.stderr
    assert not bans(free[0])


def test_an_interrupt_lets_each_host_finish_what_it_has_in_hand(free):
    one, other = free
    other.hold("zuul", "zuul-jobs")
    words = ["ban", "evil@example.com", "--yes", "--timeout", "60", *on(one, other)]
    terminal = Terminal(words)
    terminal.until("waiting for 1 locked list")
    wait_for(lambda: "evil@example.com" in bans(one))  # the other host may be the quicker one
    terminal.interrupt()
    assert terminal.end() == 1
    text = terminal.text
    assert "interrupted: lists not named here were not started" in text, text
    assert "zuul-jobs (zuul)" in terminal.text
    assert "interrupted" in runbook("history", *on(other)).stdout


def test_an_interrupt_before_the_answer_changes_nothing(free):
    terminal = Terminal(["ban", "evil@example.com", *on(*free)])
    terminal.until("[y/N]")
    terminal.interrupt()
    assert terminal.end() == 2
    assert "interrupted; nothing was changed" in terminal.text
    assert not bans(free[0]) | bans(free[1])


def test_a_script_says_of_which_host_a_line_is(free):
    done = runbook("withlist", "owners.py", "--yes", *on(*free))
    assert done.returncode == 0, done
    for sites in free:
        assert f"practice:{sites.folder}: zuul-jobs: admin@example.com" in done.stdout
    assert len(set(runs(done.stdout))) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["ban", "evil@example.com", "--steps", "--yes"],
        ["add-list", "new", "--check"],
        ["verify"],
    ],
    ids=lambda words: words[0],
)
def test_what_is_for_one_host_refuses_several(free, words):
    done = runbook(*words, *on(*free))
    assert done.returncode == 2
    assert "name one host" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_none_that_answers_is_exit_status_3():
    assert runbook("locks", *on(DOWN, f"{DOWN}-either")).returncode == 3
    assert runbook("ban", "a@example.com", "--yes", *on(DOWN, f"{DOWN}-2")).returncode == 3


# -- an inventory ---------------------------------------------------------------------------

#: What `ansible-inventory --list` of ansible-core prints, as recorded, for an inventory with two
#: groups.
INVENTORY = {
    "_meta": {"hostvars": {"lists1": {"ansible_user": "root"}}},
    "all": {"children": ["ungrouped", "lists", "old"]},
    "lists": {"hosts": ["lists1", "lists2"]},
    "old": {"hosts": ["lists9"]},
}


@pytest.fixture
def ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An inventory that Ansible's own program reads."""
    program = tmp_path / "bin" / "ansible-inventory"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(INVENTORY)}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return str(tmp_path / "hosts")


def test_a_group_is_each_of_its_hosts_once(ansible):
    query = f"ansible_inventory={ansible}"
    lists = tuple(f"ansible://{name}?{query}" for name in ("lists1", "lists2"))
    assert inventory.hosts([f"ansible://lists?{query}"]) == lists
    assert inventory.hosts([lists[1], "local://", f"ansible://lists?{query}"]) == (
        lists[1],
        "local://",
        lists[0],
    )
    assert len(inventory.hosts([f"ansible://lists,old?{query}"])) == 3
    with pytest.raises(BadInputError, match="no host and no group 'lists7'"):
        inventory.hosts([f"ansible://lists7?{query}"])


def test_an_inventory_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="ansible-inventory"):
        inventory.hosts([f"ansible://lists?ansible_inventory={tmp_path}/other"])
