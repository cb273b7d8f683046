"""Another team's page: a copy of the project in which nothing differs but doc/site.toml."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from runbooks.book.whose import VARIABLE
from runbooks.testing.containers.box import Box
from runbooks.testing.page.pages import Page, names
from tests.page.conftest import build_in, copy_project, in_copy

ANOTHER = Path(__file__).with_name("another.toml")

#: What is about another Zuul than a site, or about how the pages came to be.
NOT_OF_A_SITE = ("changelog", "publishing")

#: Of the file in the repository: what must not be left.
NAMES = "openstack|zuul|opendev|lists.example.org|admin@example.com"

LINE_WITH_ONE = re.compile(rf".*(?:{NAMES}).*", re.IGNORECASE)


#: Which procedures are run. All of them take as long as those of our own page: for all, set the
#: variable that chooses them to nothing, as in ``RUNBOOK_WALK_ONLY= tox -e page -- -k its_page``.
ONLY = os.environ.get("RUNBOOK_WALK_ONLY", "ban unsubscribe add-list clear-lock")


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


def test_no_name_of_the_first_site_is_left_in_the_help(copy: Path):
    commands = in_copy(copy, "runbooks", "--help").stdout
    listed = re.search(r"^Commands:\n(.*?)\n\n", commands, re.MULTILINE | re.DOTALL)
    assert listed
    for command in ("", *re.findall(r"^  ([-\w]+)  ", listed[1], re.MULTILINE)):
        done = in_copy(copy, "runbooks", *command.split(), "--help")
        assert done.returncode == 0, done
        assert not LINE_WITH_ONE.findall(done.stdout), command


@pytest.mark.timeout(900)
def test_one_can_practise_on_its_sites(copy: Path):
    done = in_copy(copy, "runbooks", "practice")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "each procedure ended in the same state" in done.stdout
    assert not LINE_WITH_ONE.findall(done.stdout)


@pytest.mark.layout("multi")
@pytest.mark.python("2.7")  # what differs between Pythons is not in site.toml
@pytest.mark.needs("puppet")
@pytest.mark.xdist_group("another")  # beside the walk through our own page
@pytest.mark.timeout(1500)
def test_every_command_does_what_its_page_says(box: Box, copy: Path):
    image = str(box.container.attrs["Config"]["Image"])
    words = ("pytest", "-q", "tests/page/test_commands.py", "--mailman-image", image)
    done = in_copy(copy, *words, RUNBOOK_WALK_ONLY=ONLY)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"^blocks run: [1-9]", done.stdout, re.MULTILINE), done.stdout[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout[-2000:]
