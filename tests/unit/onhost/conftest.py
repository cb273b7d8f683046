"""Each test with `python` runs on every Python here that Mailman's programs may run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pythons import PYTHONS


@pytest.fixture(params=PYTHONS.values(), ids=PYTHONS.keys())
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for locks."""
    made = tmp_path / "locks"
    made.mkdir()
    return made
