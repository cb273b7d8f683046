"""Each test with `python` runs on every Python here that Mailman's programs may run on."""

from __future__ import annotations

import pytest

from tests.support.pythons import PYTHONS


@pytest.fixture(params=PYTHONS.values(), ids=PYTHONS.keys())
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)
