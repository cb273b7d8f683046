"""Practice sites, and the walk through the procedures on one."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from runbooks.ban import page as ban
from runbooks.book.procedure import File
from runbooks.errors import BadInputError
from runbooks.practice import walk as walkthrough
from runbooks.practice.site import SITES, STALE_LIST, TARGET, create
from runbooks.terminal.console import Screen
from tests.support.command import runbook


def test_a_practice_site_has_what_there_is_to_practise_on(any_sites):
    found = any_sites.installation()
    assert {site.name: site.lists for site in found.sites} == {
        name: len(lists) for name, lists in SITES.items()
    }
    for site, lists in SITES.items():
        for name in lists:
            assert TARGET in any_sites.site.run(site, "list_members", name).split()
    assert any(name.startswith(f"{STALE_LIST}.lock.") for name in any_sites.locks("openstack"))
    assert any_sites.locks("zuul") == []


def test_a_practice_site_may_be_anywhere(tmp_path):
    site = create(tmp_path / "-x it's a folder $(id) a;b&c ünïcode")
    done = runbook(site.spec, "ban", TARGET, "--yes", "--timeout", "0")
    assert "10 lists banned and read back, 1 not done" in done.stdout, done


@pytest.mark.parametrize("name", ["a\nb", "a#b", "a\x1bb"])
def test_a_folder_that_the_sites_file_cannot_name_is_refused(tmp_path, name):
    with pytest.raises(BadInputError):
        create(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BadInputError, match="is not empty"):
        create(tmp_path)
    assert os.listdir(tmp_path) == ["mine"]


def test_the_walk_notices_when_the_two_ways_differ(monkeypatch, capsys):
    def steps(installation, arguments):
        first, *rest = ban.steps(installation, arguments)
        text = first.creates.content.replace("m.ban_list.append(address)", "pass")
        broken = dataclasses.replace(first, creates=File(first.creates.path, text))
        return (broken, *rest)

    spoiled = dataclasses.replace(ban.PROCEDURE, steps=steps)
    monkeypatch.setattr(walkthrough, "all_procedures", lambda: (spoiled,))
    assert walkthrough.walk(Screen()) == 1
    assert "ended in different states" in capsys.readouterr().out


def test_the_walk_notices_when_a_step_prints_something_else(monkeypatch, capsys):
    def steps(installation, arguments):
        first, *rest = ban.steps(installation, arguments)
        text = first.creates.content.replace('say("%s: %s%s"', 'say("%s: was %s%s"')
        assert text != first.creates.content
        broken = dataclasses.replace(first, creates=File(first.creates.path, text))
        return (broken, *rest)

    spoiled = dataclasses.replace(ban.PROCEDURE, steps=steps)
    monkeypatch.setattr(walkthrough, "all_procedures", lambda: (spoiled,))
    assert walkthrough.walk(Screen()) == 1
    said = capsys.readouterr().out
    assert "no line is 'openstack-announce: banned target@example.com'" in said
    assert "ended in different states" not in said


def test_changes_are_told_by_list_and_attribute():
    def state(**lists: dict[str, object]) -> walkthrough.State:
        return {("site", name): attributes for name, attributes in lists.items()}

    before = state(a={"x": [1], "y": 1}, b={"x": [1], "y": 1}, c={})
    after = state(a={"x": [1, 2], "y": 1}, b={"x": [1, 2], "z": 0}, d={})
    assert sorted(walkthrough.changes(before, after)) == [
        "2 lists: x + 2",
        "b: y is gone",
        "b: z appeared",
        "c: is gone",
        "d: is new",
    ]
    assert walkthrough.changes(before, before) == []


def test_the_interpreter_is_no_link_whose_path_may_have_blanks(any_sites):
    first = Path(any_sites.folder / "bin" / "withlist").read_text().splitlines()[0]
    assert not Path(first.removeprefix("#!")).is_symlink()
