"""How the tests that need a container share the workers."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the tests of each container over all workers, a file at a time.

    One container has half of all tests. Each worker starts the containers that it needs.
    """
    for item in items:
        if (container := item.get_closest_marker("xdist_group")) is not None:
            name = f"{container.args[0]} {item.path.stem}"
            item.add_marker(pytest.mark.xdist_group(name), append=False)
