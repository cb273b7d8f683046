"""Another team's page, as ``runbook new-page`` writes it: its pages, built by the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbooks.book.whose import VARIABLE
from runbooks.procedures import all_procedures
from runbooks.testing.containers.box import Box
from runbooks.testing.page.pages import Page, names
from tests.page.conftest import ROOT
from tests.support.acme import OPTIONS, make_package

#: The sites of a team that has less regular ones.
ANOTHER = Path(__file__).with_name("another.toml")

#: Names of our own page. A Zuul is also what may run the jobs.
OURS = re.compile(r"openstack|zuul", re.IGNORECASE)
JOBS = (".zuul.yaml", "README.md", "playbooks/publish.yaml")

#: Names of theirs, and of nothing else that is written.
THEIRS = re.compile(r"acme|beta|gamma|neighbours", re.IGNORECASE)


def python(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python as that team does: with its package, and in its folder."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(
        [sys.executable, "-B", "-m", *words],
        cwd=folder,
        env={**inherited, "PYTHONPATH": f"{folder.parent / 'packages'}:{ROOT}", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def make(parent: Path, *options: str) -> Path:
    """A new page in a folder."""
    make_package(parent / "packages")
    (parent / "empty").mkdir()
    folder = parent / "acme"
    words = ("new-page", str(folder), *OPTIONS, "--package", "mailman2-runbooks", *options)
    done = python(parent / "empty", "runbooks", *words)
    assert done.returncode == 0, done.stderr
    return folder


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """As the environment ``docs`` of its tox.ini does."""
    (line,) = re.findall(r"^commands = sphinx-build (.*)$", (folder / "tox.ini").read_text(), re.M)
    return python(folder, "sphinx", *line.split())


def texts(folder: Path) -> dict[str, str]:
    """Every file in a folder that has a text."""
    kinds = {".html", ".js", ".json", ".css"}
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and (path.suffix in kinds or "html" not in path.parts)
    }


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page with all procedures, built."""
    folder = make(tmp_path_factory.mktemp("all"))
    written = texts(folder)
    named = {path for path, text in written.items() if THEIRS.search(text)}
    assert named == {"doc/site.toml"}
    assert {path for path, text in written.items() if OURS.search(text)} <= {*JOBS}
    done = build(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "build" / "html"


def test_its_pages_name_it_and_not_us(acme: Path):
    assert {"index", "lists", "background", "runbook", "practice", "verification"} == {*names(acme)}
    left = {path: found[0] for path, text in texts(acme).items() if (found := OURS.search(text))}
    assert not left
    shown = Page(acme, "lists").article.get_text()
    for wanted in ("lists.acme.example", "gamma-dev", "3 sites", 'Acme "and" its neighbours'):
        assert wanted in shown


def test_it_has_every_procedure_and_looks_as_ours_does(acme: Path, built: Path):
    ids = Page(acme, "lists").ids
    assert {procedure.name for procedure in all_procedures()} <= ids
    for name in ("runbook.css", "typed.css", "typed.js", "age.js", "folded.js", "icon.svg"):
        ours = (built / "_static" / name).read_bytes()
        assert (acme / "_static" / name).read_bytes() == ours
    tags = Page(acme, "lists").soup.select("link, script")
    linked = " ".join(str(tag.get("href") or tag.get("src")) for tag in tags)
    assert "_static/runbook.css" in linked
    assert "_static/typed.js" in linked


def test_a_page_with_some_procedures_and_one_of_its_own(tmp_path: Path):
    folder = make(tmp_path, "--procedure", "ban", "--procedure", "acme.freeze")
    done = build(folder)
    assert (done.returncode, done.stderr) == (0, "")
    page = Page(folder / "build" / "html", "lists")
    assert {"ban", "unban", "freeze", "freeze-lists-gamma"} <= page.ids
    assert not {"unsubscribe", "clear-lock", "add-list"} & page.ids
    # What a sentence says of a procedure that is left out stays, and leads nowhere.
    troubles = page.article.select_one("#ban-troubles")
    assert troubles is not None
    assert "Unsubscribe it" in troubles.get_text()
    assert "Unsubscribe it" not in [link.get_text() for link in troubles.select("a")]
    assert "Lock Files" in [one.get_text() for one in page.article.select("em")]
    assert "runbook freeze on" in page.article.get_text()
    assert Page(folder / "build" / "html", "runbook").article.select_one("#runbook-freeze")

    # What is left out cannot be printed, and a link to nowhere is still an error.
    source = folder / "doc" / "source" / "lists.rst"
    text = source.read_text(encoding="utf-8")
    source.write_text(
        f"{text}\nLock Files\n==========\n\n.. procedure:: clear-lock\n\n:ref:`bann`\n"
    )
    done = build(folder)
    assert done.returncode != 0
    assert f"'procedures' in {folder}/doc/site.toml leaves out 'clear-lock'" in done.stderr
    assert "undefined label: 'bann'" in done.stderr

    # A bad file is one line.
    file = folder / "doc" / "site.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("acme.freeze", "acme.freece"))
    done = build(folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"sphinx-build: {file}, line ")
    assert "acme.freece.page cannot be imported: No module named" in done.stderr


#: Which of the procedures are run. All of them take as long as those of our own page.
ONLY = "ban add-list clear-lock freeze"


@pytest.mark.layout("multi")
@pytest.mark.python("2.7")  # what differs between Pythons is not in site.toml
@pytest.mark.needs("puppet")
@pytest.mark.xdist_group("another")  # beside the walk through our own page
@pytest.mark.timeout(1500)
def test_every_command_does_as_its_page_says(box: Box, tmp_path: Path):
    """On sites whose names have other lengths, and with a procedure of another package."""
    taken = ("ban", "clear_lock", "unsubscribe", "add_list", "scripted_change", "acme.freeze")
    folder = make(tmp_path, *(word for name in taken for word in ("--procedure", name)))
    site = ANOTHER.read_text(encoding="utf-8")
    file = folder / "doc" / "site.toml"
    file.write_text(f"procedures = {json.dumps(taken)}\n{site}", encoding="utf-8")
    image = str(box.container.attrs["Config"]["Image"])
    variables = {"RUNBOOK_WALK_ONLY": ONLY, VARIABLE: str(file)}
    done = python(folder, "pytest", "-q", "--mailman-image", image, **variables)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"^blocks run: [1-9]", done.stdout, re.MULTILINE), done.stdout[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout[-2000:]
    assert json.loads((folder / "build" / "verification.json").read_text())["records"]
