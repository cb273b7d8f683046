"""A Mailman with the scripts that the recordings call."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box

SCRIPTS = Path(__file__).resolve().parent / "scripts"


@pytest.fixture
def mailman(box: Box) -> Box:
    """A clean site, with the scripts of the recordings beside Mailman's programs."""
    for script in sorted(SCRIPTS.glob("*.py")):
        box.put(f"{PROGRAMS}/{script.name}", script.read_text("utf-8"))
    return box
