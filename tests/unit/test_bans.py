"""``runbook bans`` on practice sites: what is banned, where, by which run, and what is odd."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from typing import Any

import pytest

from runbooks.ban import bans
from runbooks.mailman.target import Target
from tests.support import command
from tests.support.command import run_id
from tests.unit.test_cli import on_terminal

EVIL = "evil@example.com"


def runbook(sites: Any, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = command.runbook(sites.spec, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def told(sites: Any, *arguments: str, status: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``bans --json`` says of each entry, and the summary."""
    done = runbook(sites, "bans", "--json", *arguments, status=status)
    *rows, last = map(json.loads, done.stdout.splitlines())
    found = {row["entry"]: row for row in rows if "entry" in row}
    assert len(found) == last["summary"]["entries"]
    return found, last["summary"]


def ban(sites: Any, *arguments: str, verb: str = "ban") -> str:
    return run_id(runbook(sites, verb, *arguments, "--yes"))


def lists_of(sites: Any, site: str) -> list[str]:
    return sorted(os.listdir(sites.prefix(site) / "lists"))


def have(sites: Any, lists: dict[tuple[str, str], list[object]]) -> None:
    """Give lists these ban lists."""
    sites.unlock()
    given = sites.folder.parent / "given"
    for site in {site for site, _ in lists}:
        chosen = {name: entries for (where, name), entries in lists.items() if where == site}
        given.write_text(ascii(chosen))
        sites.code(
            site,
            "import sys\nfrom Mailman import MailList\n"
            "for name, entries in eval(open(sys.argv[1]).read()).items():\n"
            "    m = MailList.MailList(name, lock=1)\n"
            "    m.ban_list = entries\n    m.Save()\n    m.Unlock()\n",
            str(given),
        )


def everywhere(sites: Any) -> list[tuple[str, str]]:
    return [(site, name) for site in ("openstack", "zuul") for name in lists_of(sites, site)]


# -- where, since when, by which run --------------------------------------------------------


def test_an_entry_is_told_with_its_run_on_all_lists(every_sites):
    sites = every_sites
    sites.unlock()
    assert told(sites)[1]["entries"] == 0
    run = ban(sites, EVIL)
    found, summary = told(sites)
    row = found[EVIL]
    assert (row["lists"], row["of"], row["bans"], row["unrecorded"]) == (11, 11, "somebody", 0)
    assert [(one["run"], one["command"], one["lists"]) for one in row["runs"]] == [(run, "ban", 11)]
    assert row["since"] == row["runs"][0]["at"]
    assert not {"only_on", "not_on"} & row.keys()
    assert (summary["lists"], summary["some_lists"], summary["not_read"]) == (11, 0, 0)
    shown = runbook(sites, "bans").stdout
    assert "on every list: 1\n" in shown
    who = row["runs"][0]["by"]
    since = r"(\d{4}-\d\d-\d\d )?\d\d:\d\d \S+"
    assert re.search(rf"^  11 of 11  {since}  {run[-6:]}  {who}  {re.escape(EVIL)}$", shown, re.M)


def test_the_newest_run_counts_and_none_that_was_taken_back(any_sites):
    sites = any_sites
    sites.unlock()
    first = ban(sites, EVIL)
    ban(sites, EVIL, "--list", "zuul-jobs", verb="unban")
    second = ban(sites, EVIL)
    other = ban(sites, "other@example.com")
    runbook(sites, "undo", other, "--yes")
    have(sites, {("zuul", "zuul-announce"): [EVIL, "other@example.com"]})
    found, _ = told(sites)
    assert [(one["run"], one["lists"]) for one in found[EVIL]["runs"]] == [(first, 10), (second, 1)]
    assert f"by {first} and 1 more run\n" in runbook(sites, "bans").stdout
    by_hand = found["other@example.com"]
    assert (by_hand["lists"], by_hand["runs"], by_hand["unrecorded"]) == (1, [], 1)
    assert by_hand["since"] is None
    row = next(
        line for line in runbook(sites, "bans").stdout.splitlines() if "other@example.com" in line
    )
    assert row.split() == ["1", "of", "11", "-", "-", "-", "other@example.com"]


def test_an_entry_that_was_put_back_is_known_by_the_run_that_put_it_back(any_sites):
    sites = any_sites
    sites.unlock()
    ban(sites, EVIL)
    lifted = ban(sites, EVIL, verb="unban")
    back = run_id(runbook(sites, "undo", lifted, "--yes"))
    assert [one["run"] for one in told(sites)[0][EVIL]["runs"]] == [back]


def test_a_run_that_was_killed_is_not_said_to_have_added_what_is_not_on_record(any_sites):
    sites = any_sites
    sites.unlock()
    ban(sites, EVIL, "--list", "zuul-jobs")
    journal = sites.prefix("openstack") / "runbook" / "journal.jsonl"
    kept = [line for line in journal.read_text().splitlines(True) if '"done"' not in line]
    assert any('"begun"' in line for line in kept)
    journal.write_text("".join(line for line in kept if '"end"' not in line))
    assert told(sites)[0][EVIL]["unrecorded"] == 1


def test_the_fewer_lists_are_named_and_whole_sites_as_such(any_sites):
    sites = any_sites
    sites.unlock()
    ban(sites, "most@example.com")
    ban(sites, "most@example.com", "--list", "zuul-jobs", verb="unban")
    ban(sites, "few@example.com", "--list", "zuul-jobs", "--list", "release-team")
    ban(sites, "zuul@example.com", "--site", "zuul")
    found, summary = told(sites)
    assert found["most@example.com"]["not_on"] == [{"site": "zuul", "list": "zuul-jobs"}]
    assert found["few@example.com"]["only_on"] == [
        {"site": "openstack", "list": "release-team"},
        {"site": "zuul", "list": "zuul-jobs"},
    ]
    assert len(found["zuul@example.com"]["only_on"]) == 4
    assert summary["some_lists"] == 3
    shown = runbook(sites, "bans").stdout
    assert "      not on: zuul-jobs (zuul)\n" in shown
    assert "      only on: release-team (openstack), zuul-jobs (zuul)\n" in shown
    assert "      only on: all of zuul\n" in shown
    # Of what was asked for, it is everywhere.
    found, summary = told(sites, "--site", "zuul")
    assert found["zuul@example.com"]["of"] == 4
    assert "only_on" not in found["zuul@example.com"]
    found, summary = told(sites, "--list", "release-team", "--list", "zuul-jobs")
    assert (found["few@example.com"]["lists"], summary["lists"]) == (2, 2)


def test_many_lists_are_counted_and_all_are_there_for_programs(any_sites):
    sites = any_sites
    sites.site.run("zuul", "newlist", "-q", "zuul-more", "owner@example.com", "pw")
    some = [place for place in everywhere(sites) if place[1] not in ("zuul-jobs", "release-team")]
    have(sites, {place: [EVIL] for place in some[::2][:3] + some[::-2][:3]})
    places = told(sites)[0][EVIL]["only_on"]
    assert len(places) == 6
    names = ", ".join(f"{one['list']} ({one['site']})" for one in places[:5])
    assert f"      only on: {names} and 1 more\n" in runbook(sites, "bans").stdout


@pytest.mark.parametrize("jobs", ["1", "3", "8"])
def test_it_adds_up_however_the_lists_are_shared_out(any_sites, jobs):
    """A worker tells of each list what differs from the one before."""
    sites = any_sites
    sites.unlock()
    chance = random.Random(jobs)
    pool = [f"v{n}@example.com" for n in range(9)] + ["V1@Example.com", " v2@example.com ", "^v3@"]
    lists = {place: chance.sample(pool, chance.randrange(8)) for place in everywhere(sites)}
    lists["openstack", "release-team"] = lists["zuul", "zuul-jobs"] = ["v1@example.com", "^v3@"]
    have(sites, lists)
    on = {}
    for place, entries in lists.items():
        for entry in {bans.compared(one) for one in entries}:
            on.setdefault(entry, set()).add(place)
    found, _ = told(sites, "--jobs", jobs)
    assert {bans.compared(entry): row["lists"] for entry, row in found.items()} == {
        entry: len(places) for entry, places in on.items()
    }
    for entry, row in found.items():
        named = {(one["site"], one["list"]) for one in row.get("only_on", row.get("not_on", ()))}
        there = named if "only_on" in row else lists.keys() - named
        assert there == on[bans.compared(entry)]
    without = sum(not entries for entries in lists.values())
    shown = runbook(sites, "bans", "--jobs", jobs).stdout
    assert (f"{without} list" in shown.splitlines()[-1]) == bool(without)


def test_spellings_that_mailman_takes_for_one_are_one_entry(any_sites):
    sites = any_sites
    have(
        sites,
        {
            ("zuul", "zuul-jobs"): ["Evil@Example.com", EVIL],
            ("zuul", "zuul-announce"): [f" {EVIL} "],
        },
    )
    found, _ = told(sites, "--site", "zuul")
    (row,) = found.values()
    assert (row["lists"], row["bans"], len(row["spelled"])) == (2, "somebody", 2)
    assert "also spelled" in runbook(sites, "bans").stdout


# -- what is odd ----------------------------------------------------------------------------

ODD = {
    "^.*": ("everybody", "matches every address"),
    "^": ("everybody", "matches every address"),
    "^[bad": ("nobody", "does not compile on the host"),
    r" ^evil@example\.com$": ("nobody", "has a blank at its start"),
    ".*@example.com": ("nobody", "a pattern starts with ^; did you mean"),
    "@example.com": ("nobody", "a pattern starts with ^"),
    "^@example.com": ("nobody", "nothing stands before the @"),
    "foo": ("nobody", "is not an address"),
    "": ("nobody", "is blank"),
    "  ": ("nobody", "is blank"),
    "caf\xe9@example.com": ("nobody", "is not ASCII"),
    r"^(\w+)+!$": ("unclear", "takes too long"),
    r"^evil(\+.*)?@example\.com$": ("somebody", ""),
    "o'brien|a*b@example.com": ("nobody", "a pattern starts with ^"),
    "a*b@example.com": ("somebody", ""),
}


def test_what_bans_nobody_or_everybody_is_named_first(sites):
    have(sites, {(place): [*ODD, EVIL] for place in everywhere(sites)})
    # Which has had no part in anything since 2.1 wrote it.
    found, summary = told(sites)
    assert {"  ", ""} & found.keys()
    for entry, (whom, why) in ODD.items():
        if entry in found:
            assert found[entry]["bans"] == whom, found[entry]
            assert why in found[entry]["why"], found[entry]
    assert found[r"^evil(\+.*)?@example\.com$"]["warnings"] == []
    assert summary["everybody"] == 2
    assert summary["unclear"] == 1
    lines = runbook(sites, "bans").stdout.splitlines()
    order = ["ban everybody: 2", f"ban nobody: {summary['nobody']}", "cannot be judged: 1"]
    order.append("on every list: 3")
    assert [line for line in lines if line in order] == order
    assert lines[-1].startswith(f"{len(found)} entries on 11 lists, 2 ban everybody, ")


def test_the_python_of_the_host_says_what_compiles(sites):
    atomic = r"^(?>evil)@example\.com$"
    have(sites, {("zuul", "zuul-jobs"): [atomic]})
    version = sites.code("zuul", "import sys\nprint(sys.version_info[:2] >= (3, 11))")
    row = told(sites)[0][atomic]
    if version.strip() == "True":
        assert (row["bans"], "Python 2.7 does not know" in row["why"]) == ("unclear", True)
    else:
        assert (row["bans"], "does not compile on the host" in row["why"]) == ("nobody", True)


def test_an_entry_that_is_no_text_is_told_and_so_are_the_others(sites):
    have(sites, {("zuul", "zuul-jobs"): [42, EVIL, ["a"]], ("zuul", "zuul-announce"): [42]})
    found, _ = told(sites)
    assert {entry: row["lists"] for entry, row in found.items()} == {"42": 2, EVIL: 1, "['a']": 1}
    assert found["42"]["bans"] == "everybody"
    assert "Mailman fails on it and accepts no subscription" in found["42"]["why"]


def test_a_ban_list_that_is_no_list_is_a_list_that_cannot_be_read(any_sites):
    have(any_sites, {("zuul", "zuul-jobs"): None})
    done = runbook(any_sites, "bans", status=1)
    assert "1 could not be read:" in done.stdout
    assert "its ban list is not a list" in done.stdout


def test_entries_of_global_ban_list_are_named_as_such(sites):
    with open(sites.folder / "Mailman" / "mm_cfg.py", "a") as settings:
        settings.write("\nGLOBAL_BAN_LIST = ['everywhere@example.com', '^[bad', 7]\n")
    have(sites, {("zuul", "zuul-jobs"): ["everywhere@example.com"]})
    done = runbook(sites, "bans", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()][:-1]
    by_all = [row for row in rows if row["global_ban_list"]]
    assert {row["entry"]: (row["lists"], row["bans"]) for row in by_all} == {
        "everywhere@example.com": (11, "somebody"),
        "^[bad": (11, "nobody"),
        "7": (11, "everybody"),
    }
    assert all(row["global_ban_list"] == ["openstack", "zuul"] for row in by_all)
    (own,) = [row for row in rows if not row["global_ban_list"]]
    assert own["only_on"] == [{"site": "zuul", "list": "zuul-jobs"}]
    shown = runbook(sites, "bans").stdout
    assert "on every list, by GLOBAL_BAN_LIST in Mailman's mm_cfg.py: 1\n" in shown
    assert shown.count("it is by GLOBAL_BAN_LIST in Mailman's mm_cfg.py") == 2


# -- how it is done -------------------------------------------------------------------------


def test_nothing_is_changed_and_no_lock_is_in_the_way(every_sites):
    sites = every_sites
    have(sites, {("zuul", "zuul-jobs"): [EVIL]})
    sites.hold("zuul", "zuul-jobs")
    before = sites.files()
    found, summary = told(sites)
    assert (found[EVIL]["lists"], summary["lists"]) == (1, 11)
    assert sites.files() == before


def test_a_list_that_cannot_be_read_is_named_with_why(sites):
    sites.unlock()
    ban(sites, EVIL)
    for path in sites.list_folder("zuul", "zuul-security").glob("config.pck*"):
        path.write_bytes(b"nonsense")
    repaired = sites.list_folder("zuul", "zuul-announce") / "config.pck"
    repaired.write_bytes(b"nonsense")
    done = runbook(sites, "bans", status=1)
    assert "1 could not be read:\n  zuul-security (zuul)  its state does not load" in done.stdout
    assert "zuul-announce (zuul): config.pck is damaged" in done.stderr
    found, summary = told(sites, status=1)
    assert (found[EVIL]["of"], summary["lists"], summary["not_read"]) == (10, 10, 1)


def test_a_damaged_journal_is_told_and_the_rest_of_it_read(any_sites):
    sites = any_sites
    sites.unlock()
    run = ban(sites, EVIL)
    with open(sites.prefix("openstack") / "runbook" / "journal.jsonl", "a") as journal:
        journal.write("nonsense\n")
    done = runbook(sites, "bans")
    assert "1 line is not a record" in done.stderr
    assert run[-6:] in done.stdout


def test_what_is_the_same_on_all_lists_is_sent_once(any_sites):
    sites = any_sites
    many = [f"victim{n:05}@example.com" for n in range(3000)]
    have(sites, {place: [*many, f"{place[1]}@example.com"] for place in everywhere(sites)})
    installation = sites.installation()
    before = installation.host.traffic.received
    found = bans.look(Target.of(installation, jobs=1))
    received = installation.host.traffic.received - before
    installation.host.close()
    assert {found.number(one) for one in found.entries} == {1, 11}
    # Once for each of the two sites.
    assert received < 2.5 * len(json.dumps(many))


def test_a_terminal_shows_the_newest_and_counts_the_rest_and_a_pipe_has_all(any_sites):
    sites = any_sites
    sites.unlock()
    many = [f"victim{n:05}@example.com" for n in range(2000)]
    have(sites, dict.fromkeys(everywhere(sites), many))
    run = ban(sites, "newest@example.com", "--force")
    ban(sites, "odd@example.com", "--list", "zuul-jobs")
    shown = runbook(sites, "bans").stdout
    assert all(address in shown for address in many)
    status, seen = on_terminal("bans", "--host", sites.spec)
    assert status == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", seen).split("\n")
    assert sum("victim" in line for line in text) == 49
    assert any("… and 1,951 more: 'runbook bans | less' shows all" in line for line in text)
    # Before it comes a spinner, which overwrites itself.
    below = text[text.index("on some lists only: 1") :]
    assert max(map(len, below)) <= 80
    places = [next(n for n, line in enumerate(text) if one in line) for one in ("odd@", "newest@")]
    assert places == sorted(places)
    assert "2,002 entries on 11 lists, 1 on some lists only" in seen
    assert run[-6:] in seen
