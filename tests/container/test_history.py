"""The record of what was changed, and taking it back, on a list server."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runbooks.terminal.console import many
from runbooks.testing.containers.box import Box
from tests.support.command import run_id, started
from tests.support.lockers import ROOT, Actor, new_list, objects, play, runbook, until

ADDRESS = "target@example.com"


def lists(box: Box) -> list[tuple[str, str]]:
    """Two lists on each site."""
    made = []
    for site in box.sites:
        new_list(box, site, f"{site}-alpha", f"{site}-beta")
        made += [(site, f"{site}-alpha"), (site, f"{site}-beta")]
    return made


def folder(box: Box) -> str:
    return f"{box.prefix(next(iter(box.sites)))}/runbook"


def ban_list(box: Box, site: str, name: str) -> list[str]:
    data = box.read_bytes(f"{box.prefix(site)}/lists/{name}/config.pck")
    found: list[str] = pickle.loads(data, encoding="latin1")["ban_list"]
    return found


def set_ban_list(box: Box, site: str, name: str, entries: list[str]) -> None:
    box.put("/tmp/entries", f"ban_list = {entries!r}\n")
    done = box.run(["config_list", "-i", "/tmp/entries", name], env=box.environment(site))
    assert done.rc == 0, done.stderr


def history(box: Box, *arguments: str) -> list[dict[str, Any]]:
    result = runbook(box, "history", "--json", *arguments)
    assert result.rc == 0, result.stderr
    return objects(result)


def test_a_ban_is_recorded_where_it_was_made(box: Box) -> None:
    made = lists(box)
    result = runbook(box, "ban", ADDRESS, "--yes")
    assert result.rc == 0
    path = f"{folder(box)}/journal.jsonl"
    assert f"in lists:{path}" in result.stdout
    (one,) = history(box)
    assert one["id"] == run_id(result)
    assert one["path"] == path
    assert one["arguments"] == ["ban", ADDRESS, "--yes"]
    assert one["state"] == "done"
    assert one["counts"] == {"banned": len(made)}
    assert one["sites"] == list(box.sites)
    assert one["login"]
    assert one["machine"]
    (one,) = history(box, run_id(result))
    found = {(entry["site"], entry["list"]): entry for entry in one["lists"]}
    assert sorted(found) == sorted(made)
    for entry in found.values():
        assert (entry["outcome"], entry["added"]) == ("banned", [ADDRESS])
    shown = box.run(["stat", "-c", "%a %U", folder(box), path]).stdout.split("\n")
    assert shown[:2] == ["700 list", "600 list"]
    assert box.run(["cat", path], user="nobody").rc != 0


def test_looking_asking_and_rehearsing_record_nothing(box: Box) -> None:
    lists(box)
    before = box.changes()
    for command in (
        ("ban", ADDRESS, "--dry-run"),
        ("ban", ADDRESS),
        ("banned", ADDRESS),
        ("unban", ADDRESS, "--yes"),
        ("history",),
        ("withlist", "owners.py", "--dry-run"),
        ("withlist", "owners.py"),
    ):
        runbook(box, *command)
    assert box.changes() == before
    assert "nothing is recorded yet" in runbook(box, "history").stdout
    result = runbook(box, "undo", "20240501-120301-4f9a1c", "--yes")
    assert result.rc == 2
    assert "there is no run 20240501-120301-4f9a1c on lists" in result.stderr


def test_undoing_a_ban_leaves_alone_who_refused_it_before(box: Box) -> None:
    (first_site, first), *others = lists(box)
    set_ban_list(box, first_site, first, ["a@example.org", ADDRESS])
    run = run_id(runbook(box, "ban", ADDRESS, "--yes"))
    planned = runbook(box, "undo", run, "--dry-run")
    assert planned.rc == 0
    assert "dry run: nothing was changed" in planned.stdout
    assert all(ban_list(box, *one) == [ADDRESS] for one in others)
    refused = runbook(box, "undo", run)
    assert refused.rc == 2
    assert "add --yes" in refused.stderr
    result = runbook(box, "undo", run, "--yes")
    assert result.rc == 0, result.stderr
    assert f"taken back on {many(len(others), 'list')} and read back" in result.stdout
    assert ban_list(box, first_site, first) == ["a@example.org", ADDRESS]
    assert all(ban_list(box, *one) == [] for one in others)
    # Twice is harmless, and said.
    again = runbook(box, "undo", run, "--yes")
    assert again.rc == 0
    assert f"nothing is left to take back (taken back by {run_id(result)})" in again.stdout
    assert len(history(box)) == 2
    # The undo can be undone.
    back = runbook(box, "undo", run_id(result), "--yes")
    assert back.rc == 0
    assert all(ban_list(box, *one) == [ADDRESS] for one in others)


def test_undoing_an_unban_puts_back_what_was_there_to_the_letter(box: Box) -> None:
    one, other, *_ = lists(box)
    set_ban_list(box, *one, ["Target@Example.COM", "keep@example.org"])
    set_ban_list(box, *other, [ADDRESS, " target@example.com"])
    result = runbook(box, "unban", ADDRESS, "--yes")
    assert result.rc == 0, result.stdout
    assert ban_list(box, *one) == ["keep@example.org"]
    assert ban_list(box, *other) == []
    undone = runbook(box, "undo", run_id(result), "--yes")
    assert undone.rc == 0
    assert sorted(ban_list(box, *one)) == ["Target@Example.COM", "keep@example.org"]
    assert sorted(ban_list(box, *other)) == [" target@example.com", ADDRESS]


def test_a_list_that_is_locked_or_gone_is_named(box: Box) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha", "beta", "gamma")
    run = run_id(runbook(box, "ban", ADDRESS, "--yes"))
    cast = play(box, site, [Actor("alpha", fate="killed")])
    assert box.run(["rmlist", "-a", "gamma"], env=box.environment(site)).rc == 0
    result = runbook(box, "undo", run, "--yes", "--timeout", "1")
    assert result.rc == 1
    assert "taken back on 1 list and read back, 1 not done:" in result.stdout
    assert f"by process {cast.pids[0]} on lists, which no longer runs" in result.stdout
    assert "→ runbook clear-lock alpha" in result.stdout
    assert ban_list(box, site, "beta") == []
    assert ban_list(box, site, "alpha") == [ADDRESS]
    cleared = runbook(box, "clear-lock", "alpha", "--yes")
    assert cleared.rc == 0
    again = runbook(box, "undo", run, "--yes")
    assert again.rc == 0, again.stdout
    assert ban_list(box, site, "alpha") == []


def test_what_cannot_be_taken_back_says_why(box: Box) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha")
    play(box, site, [Actor("alpha", fate="killed")])
    cleared = runbook(box, "clear-lock", "alpha", "--yes")
    assert cleared.rc == 0
    (one,) = history(box)
    result = runbook(box, "undo", one["id"], "--yes")
    assert result.rc == 2
    assert f"run {one['id']} cannot be taken back: a lock whose process is gone" in result.stderr


def test_a_journal_that_cannot_be_written_stops_everything_before_it_begins(box: Box) -> None:
    made = lists(box)
    box.put(folder(box), "in the way")
    before = box.changes()
    for command in (("ban", ADDRESS), ("withlist", "closing.py", "--function", "close")):
        result = runbook(box, *command, "--yes")
        assert result.rc == 1
        assert f"the journal cannot be written, so nothing was changed: {folder(box)}" in (
            result.stderr
        )
        assert result.stderr.count("\n") == 1
    assert box.changes() == before
    assert all(ban_list(box, *one) == [] for one in made)


# -- runs that come to no end ------------------------------------------------------------------

SLOW = """
from __future__ import print_function
import os, time
def slow(m):
    m.Lock()
    m.info = "changed"
    m.Save()
    m.Unlock()
    print("%d slept" % os.getpid())
    time.sleep(0.2 if m.internal_name() == "four" else SECONDS)
"""


def slow(folder: Path, seconds: int) -> str:
    """A script that takes its time for the second list, in the order of names."""
    path = folder / "slow.py"
    path.write_text(SLOW.replace("SECONDS", str(seconds)))
    return str(path)


def begun(box: Box, *arguments: str) -> Any:
    """A command whose script has printed something about a second list."""
    child = started(box.spec, *arguments)
    assert child.stdout is not None
    number = 0
    for line in child.stdout:
        number += " slept" in line
        if number == 2:
            child.line = line  # type: ignore[attr-defined]
            return child
    raise AssertionError("it ended before")


def parent(box: Box, pid: int) -> int:
    return int(box.run(["ps", "-o", "ppid=", "-p", str(pid)]).stdout)


def four(box: Box) -> str:
    site = next(iter(box.sites))
    new_list(box, site, "one")
    for name in ("three", "four", "two"):
        done = box.sh(f"cd {box.prefix(site)}/lists && cp -a one {name}")
        assert done.rc == 0
    return site


def test_a_laptop_that_goes_to_sleep_leaves_the_record(box: Box, tmp_path: Path) -> None:
    site = four(box)
    child = begun(box, "withlist", slow(tmp_path, 10), "--yes")
    child.kill()
    child.wait()
    child.stdout.close()
    until(box, f"grep -q '\"end\"' {folder(box)}/journal.jsonl", 60)
    (one,) = history(box)
    assert one["state"] == "interrupted"
    # The list in hand was finished, and no other was begun.
    assert one["counts"] == {"changed": 2}
    (one,) = history(box, one["id"])
    assert [entry["list"] for entry in one["lists"]] == ["four", "one"]
    restored = runbook(box, "withlist", "--restore", one["id"], "--yes")
    assert "2 lists put back and read back" in restored.stdout
    assert restored.rc == 0
    assert info(box, site, "four") == info(box, site, "one") == ""


def info(box: Box, site: str, name: str) -> str:
    data = box.read_bytes(f"{box.prefix(site)}/lists/{name}/config.pck")
    found: str = pickle.loads(data, encoding="latin1")["info"]
    return found


def test_a_run_that_is_killed_on_the_host_shows_as_killed(box: Box, tmp_path: Path) -> None:
    site = four(box)
    child = begun(box, "withlist", slow(tmp_path, 60), "--yes")
    (running,) = history(box)
    assert running["state"] == "running"
    early = runbook(box, "withlist", "--restore", running["id"], "--yes")
    assert early.rc == 2
    assert "is still at work" in early.stderr
    runner = int(child.line.split()[1])
    worker = parent(box, runner)
    program = parent(box, worker)
    assert box.run(["kill", "-9", str(program), str(worker), str(runner)]).rc == 0
    said, _ = child.communicate()
    assert child.returncode == 1
    assert "killed by signal 9" in said
    assert f"runbook history {running['id']}" in said
    (one,) = history(box)
    assert one["state"] == "killed"
    shown = runbook(box, "history", one["id"]).stdout
    assert "changed, 1 list" in shown
    assert "begun, and what became of it is not on record, 1 list" in shown
    # What the script saved of the list in hand is known, and can be put back as well.
    restored = runbook(box, "withlist", "--restore", one["id"], "--yes")
    assert restored.rc == 0, restored.stdout
    assert "2 lists put back and read back" in restored.stdout
    assert info(box, site, "four") == info(box, site, "one") == ""


def test_a_ban_that_is_killed_is_taken_back_as_far_as_it_is_known(box: Box) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha", "beta")
    run = run_id(runbook(box, "ban", ADDRESS, "--yes"))
    # As a kill leaves it: the list beta was begun, and what became of it is not on record.
    path = f"{folder(box)}/journal.jsonl"
    lines = []
    for line in box.read(path).splitlines(keepends=True):
        entry = json.loads(line)
        if "end" in entry:
            continue
        if "done" in entry.get("lists", {}):
            entry["lists"]["done"] = [d for d in entry["lists"]["done"] if d[1] != "beta"]
            line = f'{{"run": "{run}", "lists": {json.dumps(entry["lists"])}}}\n'
        lines.append(line)
    box.put(path, "".join(lines) + lines[0][:100], mode=0o600, owner="list:list")
    (one,) = history(box)
    assert one["state"] == "killed"
    result = runbook(box, "undo", run, "--yes")
    assert result.rc == 1
    assert "taken back on 1 list and read back" in result.stdout
    assert f"it has {ADDRESS}, perhaps since before" in result.stdout
    assert f"→ runbook unban {ADDRESS} --list beta" in result.stdout
    assert ban_list(box, site, "alpha") == []
    assert ban_list(box, site, "beta") == [ADDRESS]
    assert runbook(box, "unban", ADDRESS, "--list", "beta", "--yes").rc == 0
    assert ban_list(box, site, "beta") == []


@pytest.mark.layout("multi")
def test_twenty_commands_at_once(box: Box) -> None:
    made = lists(box)
    commands = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "runbooks", "ban", f"target{n}@example.com"),
                *("--yes", "--timeout", "60"),
            ],
            env={**os.environ, "RUNBOOK_HOST": box.spec, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(20)
    ]
    for command in commands:
        out, err = command.communicate(timeout=240)
        assert command.returncode == 0, out + err
    for one in made:
        assert sorted(ban_list(box, *one)) == sorted(f"target{n}@example.com" for n in range(20))
    found = history(box, "--limit", "100")
    assert len(found) == 20
    assert len({one["id"] for one in found}) == 20
    for one in found:
        assert one["state"] == "done"
        assert one["counts"] == {"banned": len(made)}
    assert {one["arguments"][1] for one in found} == {f"target{n}@example.com" for n in range(20)}


def test_the_clock_of_the_host_counts(box: Box) -> None:
    lists(box)
    before = box.run(["date", "-u", "+%Y-%m-%dT%H:%M:%SZ"]).stdout.strip()
    runbook(box, "ban", ADDRESS, "--yes")
    (one,) = history(box)
    assert before <= one["began"] <= one["ended"]
    assert one["id"].startswith(one["began"][:4])
