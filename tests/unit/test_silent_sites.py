"""A site that does not answer is named by every command, and is never taken for done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks import cli
from runbooks.practice.site import PracticeSite

Captured = pytest.CaptureFixture[str]
WHY = "the site does not answer: RuntimeError: broken"


@pytest.fixture
def practice(any_sites: Any) -> PracticeSite:
    """A practice site on which one of the two sites does not start."""
    made: PracticeSite = any_sites.site
    settings = made.folder / "Mailman/mm_cfg.py"
    text = settings.read_text()
    broken = "import os\nif 'zuul' in os.environ.get('MAILMAN_SITE_DIR', ''):\n"
    settings.write_text(text + broken + "    raise RuntimeError('broken')\n")
    return made


@pytest.mark.parametrize(
    "words",
    [
        ("ban", "t@example.com", "--yes"),
        ("ban", "t@example.com", "--dry-run"),
        ("unban", "t@example.com", "--yes"),
        ("banned", "t@example.com"),
        ("withlist", "owners.py", "--yes"),
        ("locks",),
        ("clear-lock", "--stale", "--yes"),
        ("sites",),
    ],
    ids=" ".join,
)
def test_it_is_named_and_not_taken_for_done(
    practice: PracticeSite, capsys: Captured, words: tuple[str, ...]
) -> None:
    assert cli.run([*words, "--host", practice.spec]) == 1
    shown = capsys.readouterr().out
    assert "zuul" in shown
    assert "does not answer: RuntimeError: broken" in shown


def test_programs_hear_of_it(practice: PracticeSite, capsys: Captured) -> None:
    assert cli.run(["banned", "t@example.com", "--json", "--host", practice.spec]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [silent] = [line for line in lines if line.get("site") == "zuul"]
    assert (silent["list"], silent["outcome"], silent["detail"]) == (None, "error", WHY)


def test_whoever_chooses_the_others_is_not_told(practice: PracticeSite, capsys: Captured) -> None:
    asked = ["banned", "t@example.com", "--site", "openstack", "--host", practice.spec]
    assert cli.run(asked) == 0
    assert "zuul" not in capsys.readouterr().out


def test_it_cannot_be_chosen(practice: PracticeSite, capsys: Captured) -> None:
    asked = ["ban", "t@example.com", "--site", "zuul", "--yes", "--host", practice.spec]
    assert cli.run(asked) == 2
    assert "does not answer: RuntimeError: broken" in capsys.readouterr().err
