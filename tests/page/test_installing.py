"""What the page has a reader paste to get the command: it is run, with this tree as the source."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbooks.book.whose import whose
from runbooks.testing.page.pages import Page
from tests.page.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def blocks(built: Path) -> list[str]:
    found = Page(built, "runbook").blocks
    return [one.text for one in found if one.anchor == "installing" and one.kind == "command"]


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("installing")  # both build in this tree
@pytest.mark.parametrize("tool", ["pipx", "uv"])
def test_what_is_pasted_installs_the_command_and_names_the_server(built, tmp_path, tool):
    source = f"git+{whose().project.repository}"
    (block,) = [one for one in blocks(built) if one.startswith(f"{tool} ")]
    assert block.count(source) == 1
    home = tmp_path / "home"
    home.mkdir()
    tools = Path(sys.executable).parent
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("RUNBOOK_")}
    done = subprocess.run(
        ["/bin/sh", "-e"],
        input=f"{block.replace(source, str(ROOT))}\n"
        'test "$(command -v runbook)" = "$HOME/.local/bin/runbook"\n'
        'runbook --help | grep -qF "$RUNBOOK_HOST"\n'  # of site.toml
        'runbook --version\nprintf "%s" "$RUNBOOK_HOST"',
        env={
            **inherited,
            "HOME": str(home),
            "PATH": f"{home}/.local/bin:{tools}:{os.environ['PATH']}",
            "PIPX_HOME": str(tmp_path / "pipx"),
            "UV_TOOL_DIR": str(tmp_path / "uv"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, version, host = done.stdout.splitlines()
    assert version.startswith("runbook")
    assert host == f"ssh://root@{whose().server.name}"


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("installing")
def test_the_example_for_ansible_installs_it_once(tmp_path):
    given = {"runbook_folder": str(tmp_path / "runbook"), "runbook_source": str(ROOT)}
    words = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
    for changed in (1, 0):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "ban.yml"),
                *("-i", "a-host-of-no-group,", *words),
            ],
            cwd=ROOT / "doc" / "example" / "ansible",
            env={**os.environ, "HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(rf"^localhost +: ok=\d+ +changed={changed} ", done.stdout, re.MULTILINE)
    command = [tmp_path / "runbook" / "bin" / "runbook", "--version"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"runbook")


def test_the_package_names_the_same_repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Repository"] == whose().project.repository
    assert all(url.startswith(whose().project.repository) for url in project["urls"].values())


def test_each_page_links_to_its_source(built):
    for source in sorted((ROOT / "doc" / "source").glob("*.rst")):
        page = Page(built, source.stem)
        assert whose().project.pages in [a["href"] for a in page.soup.select("footer a[href]")]
        for button in ("view", "edit"):
            (link,) = page.soup.select(f".content-icon-container .{button}-this-page a")
            assert link["href"].startswith(whose().project.pages)
            assert link["href"].endswith(f"/doc/source/{source.name}")


def test_each_page_is_described(built):
    described = {}
    for path in sorted(built.glob("*.html")):
        (meta,) = Page(built, path.stem).soup.select('head meta[name="description"]')
        described[path.stem] = str(meta["content"])
    assert len(set(described.values())) == len(described), described
    assert all(10 < len(text) <= 160 for text in described.values()), described


def test_the_changelog_is_shown_and_has_this_version(built):
    article = Page(built, "changelog").article
    versions = [heading.get_text() for heading in article.find_all("h2")]
    assert versions[0].startswith("[Unreleased]")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(version.startswith(f"[{project['version']}]") for version in versions)
