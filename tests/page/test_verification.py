"""What the pages say of when they were run: green for this very build alone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from runbooks.procedures import PROCEDURES
from runbooks.sphinxext.directives import by_command, steps_of
from runbooks.sphinxext.verification import FAILED, PASSED, STATE, Record, read, write
from tests.page.conftest import SOURCE, sphinx
from tests.page.pages import Page
from tests.page.walk import add_records

NOT_VERIFIED = "This build was not verified"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("verification")


@pytest.fixture
def publish(folder):
    """Builds the pages with these records; the page of the lists and the page about the runs."""

    def build(records: list[Record]) -> tuple[Page, Page]:
        if records:
            write(folder / "verification.json", records)
        else:
            (folder / "verification.json").unlink(missing_ok=True)
        done = sphinx(SOURCE, folder / "html")
        assert done.returncode == 0, done.stderr
        return Page(folder / "html", "lists"), Page(folder / "html", "verification")

    return build


@pytest.fixture
def records(publish):
    """A run of everything, of the build that is made now."""
    page, _ = publish([])
    return [
        Record(
            build=page.build,
            page="lists",
            procedure=procedure.name,
            step=step,
            result=PASSED,
            when="2018-04-19T08:09:56+00:00",
            mailman="2.1.29",
            standin=False,
            python="2.7",
            layout="multi",
            image="some/image:tag",
        )
        for procedure in PROCEDURES
        for step in [
            *(step.name for step in (*by_command(procedure), *steps_of(procedure))),
            STATE,
        ]
    ]


def said(page: Page) -> dict[str, list[str]]:
    """What the page says of its procedures and at its foot, by kind."""
    kinds = ("verified", "unverified", "failed")
    return {kind: found for kind in kinds if (found := page.text_of(f"p.verification.{kind}"))}


def test_without_a_run_nothing_is_verified(publish):
    page, table = publish([])
    assert set(said(page)) == {"unverified"}
    assert all(line.startswith(NOT_VERIFIED) for line in said(page)["unverified"])
    assert len(said(page)["unverified"]) == len(PROCEDURES) + 1
    assert set(said(table)) == {"unverified"}
    assert not (page.root / "verification.json").exists()


def test_a_run_of_this_build_is_printed(publish, records):
    page, table = publish(records)
    assert set(said(page)) == {"verified"}
    assert len(said(page)["verified"]) == len(PROCEDURES) + 1
    for line in said(page)["verified"]:
        assert "19 April 2018, 08:09 UTC" in line
        assert "Mailman 2.1.29 on Python 2.7" in line
        assert "stand-in" not in line
    assert len(table.text_of("table.verification tbody tr")) == len(records)
    assert json.loads((page.root / "verification.json").read_text())["records"]


def test_saying_so_does_not_change_the_build(publish, records):
    page, _ = publish(records)
    assert {record.build for record in records} == {page.build}


def test_a_run_on_the_standin_says_so(publish, records):
    page, table = publish([dataclasses.replace(record, standin=True) for record in records])
    for line in said(page)["verified"] + said(table)["verified"]:
        assert "(stand-in)" in line
        assert "not GNU Mailman" in line


def test_a_run_of_another_build_does_not_count(publish, records):
    page, table = publish([dataclasses.replace(record, build="0" * 16) for record in records])
    assert set(said(page)) == set(said(table)) == {"unverified"}


def test_a_run_that_left_a_step_out_does_not_count(publish, records):
    for left_out in records:
        if left_out.procedure == PROCEDURES[0].name:
            break
    page, _ = publish([record for record in records if record is not left_out])
    assert len(said(page)["unverified"]) == 2  # the procedure, and the foot of the page
    assert len(said(page)["verified"]) == len(PROCEDURES) - 1


def test_a_step_that_failed_is_red_whatever_else_passed(publish, records):
    bad = dataclasses.replace(records[1], result=FAILED, mailman="2.2.0", python="3.9")
    page, table = publish([*records, bad])
    assert len(said(page)["failed"]) == 2
    assert all("failed its test" in line for line in said(page)["failed"])
    assert said(table)["failed"]


def test_a_file_of_something_else_is_refused_in_one_line(folder, publish, records):
    publish(records)
    (folder / "verification.json").write_text('{"records": [{"build": 1}]}')
    done = sphinx(SOURCE, folder / "html")
    assert done.returncode != 0
    assert "holds no records of a run" in done.stderr


def test_records_of_another_mailman_are_kept_and_of_another_build_are_not(tmp_path, records):
    path = tmp_path / "verification.json"
    other = [dataclasses.replace(record, python="3.9") for record in records]
    old = [dataclasses.replace(record, build="0" * 16) for record in records]
    write(path, [*old, *other])
    add_records(path, records)
    add_records(path, records)
    assert sorted(read(path), key=repr) == sorted([*other, *records], key=repr)
