"""The worked example: a procedure added as the page says, in a copy, and used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from runbooks.new_page.project import FILES
from runbooks.testing.containers.box import Box
from runbooks.testing.page.pages import Page
from tests.page.conftest import ROOT, build_in, copy_project, in_copy

#: What the test of the commands asks for, as the page says.
WALK = ("tests/page/test_commands.py", "-k", "test_step")


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the project with the procedure in it, made by doing what the page says."""
    copy_project(tmp_path)
    article = Page(built, "contributing").article
    for block in article.select("div.literal-block-wrapper"):
        path = tmp_path / block.select_one(".caption-text").get_text()
        assert not path.exists(), f"{path} is there already"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.select_one("pre").get_text(), encoding="utf-8")
    entry, directive = article.select("#the-other-two-lines pre")
    procedures = tmp_path / "runbooks" / "procedures.py"
    text = procedures.read_text(encoding="utf-8")
    changed = re.sub(r"^FOLDERS = .*$", entry.get_text().strip(), text, flags=re.MULTILINE)
    assert changed != text
    procedures.write_text(changed, encoding="utf-8")
    with (tmp_path / "doc" / "source" / "lists.rst").open("a", encoding="utf-8") as page:
        page.write(f"\n{directive.get_text()}\n")
    return tmp_path


def added(copy: Path) -> list[Path]:
    """The files that the procedure consists of."""
    found = [*(copy / "runbooks" / "moderation").glob("*.py")]
    return [*found, copy / "runbooks" / "onhost" / "moderating.py"]


def test_it_is_short(copy):
    assert sum(len(path.read_text().splitlines()) for path in added(copy)) <= 150


@pytest.mark.layout("multi")
@pytest.mark.python("2.7")  # the next test runs its program on both
@pytest.mark.timeout(600)
def test_it_is_printed_and_does_what_it_says(box: Box, copy: Path):
    image = ("--mailman-image", str(box.container.attrs["Config"]["Image"]))
    done = in_copy(copy, "pytest", "-q", *WALK, *image, RUNBOOK_WALK_ONLY="moderation")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"^blocks run: [1-9]", done.stdout, re.MULTILINE), done.stdout[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout[-2000:]


@pytest.mark.layout("multi")
def test_it_is_a_command_like_the_others(box: Box, copy: Path):
    for site in box.sites:
        words = [f"{site}-foo", "admin@example.com", "secret"]
        made = box.run(["newlist", "-q", *words], env=box.environment(site))
        assert made.rc == 0, made

    def runbook(*words: str, status: int = 0) -> str:
        done = in_copy(copy, "runbooks", *words, "--host", box.spec)
        assert done.returncode == status, done
        return done.stdout + done.stderr

    def emergency() -> set[str]:
        return {
            line
            for site in box.sites
            for line in box.run(
                ["config_list", "-o", "-", f"{site}-foo"], env=box.environment(site)
            ).stdout.splitlines()
            if line.startswith("emergency = ")
        }

    assert "nothing was changed" in runbook("moderate", "on", "--dry-run")
    assert "add --yes" in runbook("moderate", "on", status=2)
    assert emergency() == {"emergency = 0"}
    told = [json.loads(line) for line in runbook("moderate", "on", "--yes", "--json").splitlines()]
    assert [one["outcome"] for one in told if "list" in one] == ["changed"] * len(box.sites)
    assert emergency() == {"emergency = 1"}
    assert f"{len(box.sites)} lists were held already" in runbook("moderate", "on", "--yes")
    [recorded] = [one["recorded"]["run"] for one in told if "recorded" in one]
    assert "emergency: 0 → 1" in runbook("history", recorded)
    assert "taken back on" in runbook("undo", recorded, "--yes")
    assert emergency() == {"emergency = 0"}
    assert "withlist -q -a -r moderation 1" in runbook("moderate", "on", "--explain")
    assert "moderate" in in_copy(copy, "runbooks", "--help").stdout


def test_the_anchors_that_the_page_speaks_of_are_there(copy, built):
    done = build_in(copy)
    assert done.returncode == 0, done.stderr
    referred = re.findall(r":ref:`([\w-]+)`", Page(built, "contributing").article.get_text())
    assert referred
    assert set(referred) <= Page(copy / "build" / "html", "lists").ids


def test_zuul_runs_playbooks_that_the_page_has_and_publishes_no_failure(built):
    """They are no more than parsed: Zuul does not run here."""
    jobs = [entry["job"] for entry in yaml.safe_load((FILES / "zuul.yaml").read_text())[:-1]]
    named = {job[key] for job in jobs for key in ("pre-run", "post-run") if key in job}
    captions = Page(built, "publishing").text_of("div.code-block-caption .caption-text")
    assert named == {caption for caption in captions if caption.startswith("playbooks/")}
    # What runs after a job runs after one that failed as well.
    plays = yaml.safe_load((FILES / "publish.yaml").read_text())
    done = [each for play in plays for key in ("tasks", "roles") for each in play.get(key, ())]
    assert done
    assert {each.get("when") for each in done} == {"zuul_success | bool"}


@pytest.mark.parametrize("name", ["zuul.yaml", "page.yaml"])
def test_the_jobs_run_what_there_is(name):
    """They are no more than parsed: neither Zuul nor GitHub runs here."""
    text = (FILES / name).read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    named = re.findall(r"(?:tox -e|tox_envlist:) (\w+)", text)
    for tox in (ROOT / "tox.ini", FILES / "tox.ini"):
        there = re.findall(r"^\[testenv:(\w+)\]", tox.read_text(), re.MULTILINE)
        assert set(named) <= set(there)
    assert "page" in named
