"""Our own page is made from its doc/site.toml: with another file in its place, it is another's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runbooks.book.tables import load
from runbooks.book.whose import VARIABLE, Whose, check_together
from runbooks.testing.page.pages import Page, names
from tests.page.conftest import ROOT, build_in, copy_project, in_copy

ANOTHER = Path(__file__).with_name("another.toml")

#: What is about another Zuul than a site, or about how the pages came to be.
NOT_OF_A_SITE = ("changelog", "publishing")

#: Of the file in the repository: what must not be left.
NAMES = "openstack|zuul|opendev|lists.example.org|admin@example.com"

LINE_WITH_ONE = re.compile(rf".*(?:{NAMES}).*", re.IGNORECASE)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    copy_project(tmp_path)
    shutil.copy(ANOTHER, tmp_path / "doc" / "site.toml")
    return tmp_path


def test_no_name_of_the_first_site_is_left(copy: Path):
    done = build_in(copy)
    assert done.returncode == 0, done.stderr
    root = copy / "build" / "html"
    left = []
    for name in sorted({*names(root)} - {*NOT_OF_A_SITE}):
        html = str(Page(root, name).article)
        left += [f"{name}.html: {found}" for found in LINE_WITH_ONE.findall(html)]
    assert not left, "\n".join(left)
    rules = (root / "mailman-alerts.yaml").read_text(encoding="utf-8")
    assert '"https://docs.acme.example/lists/lists.html#clear-lock"' in rules
    shown = Page(root, "lists").article.get_text()
    for wanted in ("lists.acme.example", "gamma-rays", "3 sites", "wile@acme.example"):
        assert wanted in shown


def test_the_name_of_our_host_is_one_line():
    """Another one there is another one everywhere."""
    ours = ROOT / "doc" / "site.toml"
    name = load(Whose, ours, check_together).server.name
    lines = ours.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.startswith(f'name = "{name}"')]) == 1
    named = {
        str(path.relative_to(ROOT))
        for folder in ("runbooks", "doc/source")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and name.encode() in path.read_bytes() and path.suffix != ".pyc"
    }
    # The other is about the sites of the containers, until a test lays others over them.
    assert named == {"runbooks/site.toml", "runbooks/testing/containers/layouts/multi.sh"}


def runbook(*words: str) -> subprocess.CompletedProcess[str]:
    """The command, with the other file."""
    return in_copy(ROOT, "runbooks", *words, RUNBOOK_SITE_TOML=str(ANOTHER))


def test_no_name_of_the_first_site_is_left_in_the_help():
    commands = runbook("--help").stdout
    listed = re.search(r"^Commands:\n(.*?)\n\n", commands, re.MULTILINE | re.DOTALL)
    assert listed
    for command in ("", *re.findall(r"^  ([-\w]+)  ", listed[1], re.MULTILINE)):
        done = runbook(*command.split(), "--help")
        assert done.returncode == 0, done
        assert not LINE_WITH_ONE.findall(done.stdout), command


@pytest.mark.timeout(900)
def test_one_can_practise_on_its_sites():
    done = runbook("practice")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-3000:] + done.stderr
    assert "\x1b" not in done.stdout
    assert "each procedure ended in the same state" in done.stdout
    assert not LINE_WITH_ONE.findall(done.stdout)
