"""The worked example: a procedure added as the page says, built, and run."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
import yaml

from runbooks.procedures import PROCEDURES
from runbooks.sphinxext.printed import anchor, by_command, steps_of
from tests.page import world
from tests.page.conftest import ROOT, build_in
from tests.page.pages import Page
from tests.page.walk import Walk, image_of

EXAMPLE = ROOT / "doc" / "example" / "list_names.py"


@pytest.fixture(scope="session")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("list_names", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page_with_example(checkout, built):
    """The page with the example on it, after the three changes that `contributing` tells of."""
    blocks = {block.anchor: block.text for block in Page(built, "contributing").blocks}
    assert blocks["the-module"] == EXAMPLE.read_text(encoding="utf-8").strip("\n")
    folder = checkout / "runbooks" / "list_names"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.py").write_text(blocks["the-module"], encoding="utf-8")
    procedures = checkout / "runbooks" / "procedures.py"
    text = procedures.read_text(encoding="utf-8")
    lines = page_block(built, "python")
    imported = re.search(r"^from runbooks\..* import .*\n", lines, re.MULTILINE)
    entry = re.search(r"^ *list_names\.PROCEDURE,\n", lines, re.MULTILINE)
    assert imported
    assert entry
    text, imports = re.subn(r"^(?=from runbooks)", imported[0], text, count=1, flags=re.MULTILINE)
    text, entries = re.subn(r"^(?=\)$)", entry[0], text, count=1, flags=re.MULTILINE)
    assert (imports, entries) == (1, 1)
    procedures.write_text(text, encoding="utf-8")
    lists = checkout / "doc" / "source" / "lists.rst"
    with lists.open("a", encoding="utf-8") as page:
        page.write(f"\n{page_block(built, 'rst')}\n")
    done = build_in(checkout)
    assert done.returncode == 0, done.stderr
    return Page(checkout / "build" / "html", "lists")


def page_block(built, language: str) -> str:
    article = Page(built, "contributing").article
    found = article.select(f"#the-other-two-lines div.highlight-{language} pre")
    assert len(found) == 1
    return found[0].get_text()


@pytest.mark.layout("multi")
def test_the_example_is_printed_and_does_what_it_says(box, page_with_example, example, tmp_path):
    world.make(box)
    walk = Walk(page_with_example, [*PROCEDURES, example.PROCEDURE])
    walk.go(box, image_of(box), tmp_path, only=[example.PROCEDURE.name])
    assert not walk.faults, "\n".join(["", *walk.faults])
    assert len(walk.records) == 4


def test_the_anchors_that_the_page_speaks_of_are_there(page_with_example, built, example):
    text = Page(built, "contributing").article.get_text()
    procedure = example.PROCEDURE
    anchors = {
        anchor(procedure, step.name) for step in (*by_command(procedure), *steps_of(procedure))
    }
    referred = re.findall(r":ref:`([\w-]+)`", text)
    assert referred
    assert set(referred) <= anchors | {procedure.name}
    assert anchors <= page_with_example.ids


PUBLISH = ROOT / "doc" / "publish"


def test_zuul_runs_playbooks_that_the_page_has_and_publishes_no_failure(built):
    """They are no more than parsed: Zuul does not run here."""
    jobs = [entry["job"] for entry in yaml.safe_load((PUBLISH / "zuul.yaml").read_text())[:-1]]
    named = {job[key] for job in jobs for key in ("pre-run", "post-run") if key in job}
    captions = Page(built, "publishing").text_of("div.code-block-caption .caption-text")
    assert named == {caption for caption in captions if caption.startswith("playbooks/")}
    # What runs after a job runs after one that failed as well.
    plays = yaml.safe_load((PUBLISH / "playbooks-publish.yaml").read_text())
    done = [each for play in plays for key in ("tasks", "roles") for each in play.get(key, ())]
    assert done
    assert {each.get("when") for each in done} == {"zuul_success | bool"}


@pytest.mark.parametrize("name", ["zuul.yaml", "github.yaml"])
def test_the_jobs_run_what_there_is(name):
    """They are no more than parsed: neither Zuul nor GitHub runs here."""
    text = (PUBLISH / name).read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    environments = re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    named = re.findall(r"(?:tox -e|tox_envlist:) (\w+)", text)
    assert set(named) <= set(environments)
    assert "page" in named
