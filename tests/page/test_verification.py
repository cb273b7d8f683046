"""What the pages say of when they were run: green for this very build alone."""

from __future__ import annotations

import dataclasses
import json
from datetime import date

import pytest

from runbooks.book import records as real
from runbooks.book.records import RealRun
from runbooks.mailman.printed import STATE, by_command, steps_of, text_of
from runbooks.procedures import all_procedures
from runbooks.sphinxext.verification import FAILED, PASSED, Record, read, write
from runbooks.testing.page.pages import Page
from runbooks.testing.page.walk import add_records
from tests.page.conftest import SOURCE, sphinx

NOT_VERIFIED = "This build was not verified"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("verification")


@pytest.fixture(scope="module")
def publish(folder):
    """Builds the pages with these records of this build, and these of runs on GNU Mailman.

    The page of the lists and the page about the runs.
    """

    def build(records: list[Record], on_gnu: list[RealRun] | None = None) -> tuple[Page, Page]:
        if records:
            write(folder / "verification.json", records)
        else:
            (folder / "verification.json").unlink(missing_ok=True)
        real.write(folder / "records.json", on_gnu or [])
        done = sphinx(SOURCE, folder / "html", "-D", f"runbook_records={folder / 'records.json'}")
        assert done.returncode == 0, done.stderr
        return Page(folder / "html", "lists"), Page(folder / "html", "verification")

    return build


@pytest.fixture(scope="module")
def records(publish):
    """A run of everything, of the build that is made here, whatever is said of it."""
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
        for procedure in all_procedures()
        for step in [
            *(step.name for step in (*by_command(procedure), *steps_of(procedure))),
            STATE,
        ]
    ]


DAY = date(2026, 5, 3)
ON_GNU = [
    RealRun(procedure.name, version, python, "multi", DAY, True, text_of(procedure))
    for procedure in all_procedures()
    for version, python in (("2.1.39", "2.7"), ("2.2.0", "3.9"))
]
HERE = "Run in a test container, not on this server:"
BOTH = "GNU Mailman 2.1.39 and 2.2.0 (3 May 2026)"


def said(page: Page) -> dict[str, list[str]]:
    """What the page says of its procedures and at its foot, by kind."""
    kinds = ("verified", "unverified", "failed")
    return {kind: found for kind in kinds if (found := page.text_of(f"p.verification.{kind}"))}


def at_procedures(page: Page) -> set[tuple[str, str]]:
    """What stands at the procedures, whichever way they are verified: each kind and line."""
    lines = page.soup.select("article p.verification")
    return {(str(line["class"][-1]), " ".join(line.get_text().split())) for line in lines}


def test_without_a_run_nothing_is_verified(publish):
    page, table = publish([])
    assert set(said(page)) == {"unverified"}
    assert page.text_of("footer p.verification")[0].startswith(NOT_VERIFIED)
    assert len(said(page)["unverified"]) == len(all_procedures()) + 1
    nothing = {("unverified", "Never run on GNU Mailman; not run in this build.")}
    assert at_procedures(page) == at_procedures(table) == nothing
    assert not (page.root / "verification.json").exists()


def test_a_run_of_this_build_is_printed(publish, records):
    page, table = publish(records)
    assert set(said(page)) == {"verified"}
    assert len(said(page)["verified"]) == len(all_procedures()) + 1
    (foot,) = page.text_of("footer p.verification")
    assert "19 April 2018, 08:09 UTC" in foot
    assert "Mailman 2.1.29 on Python 2.7" in foot
    assert "stand-in" not in foot
    ran = "this build on 2.1.29 (19 April 2018)."
    assert (
        at_procedures(page)
        == at_procedures(table)
        == {("verified", f"Never run on GNU Mailman; {ran}")}
    )
    assert len(table.text_of("table.verification tbody tr")) == len(records)
    assert json.loads((page.root / "verification.json").read_text())["records"]


def test_of_several_mailmans_it_names_those_that_are_gnu_mailman(publish, records):
    other = [dataclasses.replace(record, mailman="2.2.0", image="other:tag") for record in records]
    ours = [dataclasses.replace(record, standin=True, image="our:own") for record in records]
    page, _ = publish([*records, *other, *ours])
    ran = "this build on 2.1.29 and 2.2.0 (19 April 2018)."
    assert at_procedures(page) == {("verified", f"Never run on GNU Mailman; {ran}")}


def test_saying_so_does_not_change_the_build(publish, records):
    page, _ = publish(records)
    assert {record.build for record in records} == {page.build}


def test_a_run_on_the_standin_says_so(publish, records):
    """And verifies only what GNU Mailman has on record."""
    standin = [dataclasses.replace(record, standin=True) for record in records]
    page, table = publish(standin)
    (foot,) = page.text_of("footer p.verification")
    assert "(stand-in)" in foot
    assert "not GNU Mailman" in foot
    ran = "this build on the stand-in (19 April 2018)."
    assert (
        at_procedures(page)
        == at_procedures(table)
        == {("unverified", f"Never run on GNU Mailman; {ran}")}
    )
    page, table = publish(standin, ON_GNU)
    assert at_procedures(page) == at_procedures(table) == {("verified", f"{HERE} {BOTH}; {ran}")}


def test_a_run_on_record_does_not_verify_the_build(publish):
    page, _ = publish([], ON_GNU)
    assert at_procedures(page) == {("unverified", f"{HERE} {BOTH}; not run in this build.")}


@pytest.mark.parametrize(
    ("change", "kind", "line"),
    [
        ({"text": "before"}, "unverified", f"Changed since it ran in a test container: {BOTH}; "),
        ({"passed": False}, "failed", f"Failed in a test container: {BOTH}; do not rely on it; "),
    ],
)
def test_the_page_says_how_the_text_stands_with_the_records(publish, records, change, kind, line):
    """Whatever the stand-in has made of it."""
    standin = [dataclasses.replace(record, standin=True) for record in records]
    page, _ = publish(standin, [dataclasses.replace(run, **change) for run in ON_GNU])
    ran = "this build on the stand-in (19 April 2018)."
    assert at_procedures(page) == {(kind, line + ran)}


def test_a_browser_can_read_each_date(publish, records):
    page, table = publish(records, ON_GNU)
    assert len(page.soup.select("article p.verification")) == len(all_procedures())
    for line in [*page.soup.select("article p.verification"), *table.soup.select("p.verification")]:
        dates = {time["datetime"]: time.get_text() for time in line.select("time")}
        assert dates == {"2026-05-03": "3 May 2026", "2018-04-19": "19 April 2018"}
    (foot,) = page.soup.select("footer p.verification time")
    assert foot["datetime"] == "2018-04-19T08:09:56+00:00"


def test_a_procedure_that_another_text_is_on_record_of_is_alone_in_saying_so(publish):
    changed = [
        dataclasses.replace(run, text="before") if run.procedure == "unban" else run
        for run in ON_GNU
    ]
    page, _ = publish([], changed)
    lines = page.text_of("article p.verification")
    names = [procedure.name for procedure in all_procedures()]
    assert [name for name, line in zip(names, lines, strict=True) if "Changed since" in line] == [
        "unban"
    ]


def test_a_run_of_another_build_does_not_count(publish, records):
    page, table = publish([dataclasses.replace(record, build="0" * 16) for record in records])
    assert set(said(page)) == set(said(table)) == {"unverified"}


def test_a_run_that_left_a_step_out_does_not_count(publish, records):
    for left_out in records:
        if left_out.procedure == all_procedures()[0].name:
            break
    page, _ = publish([record for record in records if record is not left_out], ON_GNU)
    assert len(said(page)["unverified"]) == 2  # the procedure, and the foot of the page
    assert len(said(page)["verified"]) == len(all_procedures()) - 1


def test_a_step_that_failed_is_red_whatever_else_passed(publish, records):
    bad = dataclasses.replace(records[1], result=FAILED, mailman="2.2.0", python="3.9")
    page, table = publish([*records, bad], ON_GNU)
    procedure, foot = said(page)["failed"]
    assert procedure.endswith("; failed in this build on 2.2.0 (19 April 2018); do not rely on it.")
    assert "failed its test" in foot
    assert said(table)["failed"] == [procedure]


def test_a_file_of_something_else_is_refused_in_one_line(folder, publish, records):
    publish(records)
    (folder / "verification.json").write_text('{"records": [{"build": 1}]}')
    done = sphinx(SOURCE, folder / "html")
    assert done.returncode != 0
    assert "holds no records of a run" in done.stderr
    (folder / "verification.json").unlink()
    (folder / "records.json").write_text('{"records": [{"procedure": "ban"}]}')
    done = sphinx(SOURCE, folder / "html", "-D", f"runbook_records={folder / 'records.json'}")
    assert done.returncode != 0
    assert "holds no records of runs on GNU Mailman" in done.stderr


def test_records_of_another_mailman_are_kept_and_of_another_build_are_not(tmp_path, records):
    path = tmp_path / "verification.json"
    other = [dataclasses.replace(record, python="3.9") for record in records]
    old = [dataclasses.replace(record, build="0" * 16) for record in records]
    write(path, [*old, *other])
    add_records(path, records)
    add_records(path, records)
    assert sorted(read(path), key=repr) == sorted([*other, *records], key=repr)
