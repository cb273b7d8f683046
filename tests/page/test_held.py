"""A page that is built with what `runbook verify --json` found on a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbooks.mailman.printed import anchor, steps_of, text_of
from runbooks.procedures import all_procedures
from runbooks.testing.page.pages import Page
from tests.page.conftest import SOURCE, sphinx


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("held")


def lines() -> list[str]:
    """What is printed where a step of one procedure differs, and another's text was another."""
    steps = [
        {
            "procedure": procedure.name,
            "anchor": anchor(procedure, step.name),
            "state": "differs" if step.name == "puppet" else "holds",
            "why": "there is no program puppet here" if step.name == "puppet" else "",
        }
        for procedure in all_procedures()
        for step in steps_of(procedure)
    ]
    texts = {procedure.name: text_of(procedure) for procedure in all_procedures()}
    summary = {
        "server": "lists.example.org",
        "mailman": "2.1.39",
        "note": "",
        "when": "2026-11-26T13:00:00+00:00",
        "steps": len(steps),
        "holding": len(steps) - 1,
        "texts": {**texts, "unban": "another"},
    }
    return [json.dumps(one) for one in (*steps, summary)]


def status(folder: Path) -> dict[str, str]:
    """What stands at each procedure of the page."""
    page = Page(folder / "html", "lists")
    sections = {one.name: page.soup.find(id=one.name) for one in all_procedures()}
    found = {}
    for name, place in sections.items():
        paragraph = (place if place.name == "section" else place.parent).select_one(
            "p.verification"
        )
        found[name] = " ".join(paragraph.get_text().split())
    return found


def test_each_procedure_says_what_was_found_of_its_text(folder):
    (folder / "verify.json").write_text("\n".join(lines()) + "\n")
    done = sphinx(SOURCE, folder / "html")
    assert done.returncode == 0, done.stderr
    said = status(folder)
    number = len(steps_of(next(one for one in all_procedures() if one.name == "add-list")))
    on, day = "lists.example.org, Mailman 2.1.39", "(26 November 2026)"
    assert said.pop("add-list").startswith(
        f"1 of {number} steps did not hold on {on} {day}: there is no program puppet here; "
    )
    assert said.pop("unban").startswith(f"Changed since it was held against {on} {day}; ")
    assert said
    for name, words in said.items():
        assert words.startswith(f"Every step held on {on} {day}; "), name


def test_a_file_that_was_cut_off_is_not_believed(folder):
    (folder / "verify.json").write_text("\n".join(lines()[:-1]) + "\n")
    done = sphinx(SOURCE, folder / "html")
    assert done.returncode != 0
    assert "verify.json is not what runbook verify --json prints" in done.stderr
    (folder / "verify.json").unlink()
    assert sphinx(SOURCE, folder / "html").returncode == 0
    assert "held on" not in status(folder)["ban"]
