"""Further containers like the one that a test was given, with something about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import running
from runbooks.testing.containers.box import Box

if TYPE_CHECKING:
    from docker.models.containers import Container


class Spares:
    """Containers that last as long as the test run, and are then removed."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._containers: list[Container] = []
        self._boxes: list[Box] = []

    def start(self, like: Box, image: str | None = None, **options: Any) -> Container:
        """A new container of a box's image or another, with further options of the Docker SDK."""
        # By the second label the end of the run finds those that an interrupt has left.
        labels = {"mailman2-runbooks": "test", "mailman2-runbooks.run": self._project}
        with engines.asking():
            container = running.start(
                like.container.client, image or like.container.image.id, labels, **options
            )
        self._containers.append(container)
        return container

    def prepare(self, container: Container, like: Box) -> Box:
        """Lay the layout of a box over a container, and remember its state as the clean one."""
        box = Box.prepare(container, like.layout, like.mailman)
        self._boxes.append(box)
        return box

    def close(self) -> None:
        for box in self._boxes:
            box.close()
        for container in self._containers:
            running.remove(container)


@pytest.fixture(scope="session")
def spares(docker_compose_project_name: str, boxes: Callable[[Any], Box]) -> Iterator[Spares]:
    # Ends before `boxes`, whose client it uses.
    made = Spares(docker_compose_project_name)
    yield made
    made.close()
