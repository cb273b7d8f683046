"""Further containers like the one that a test was given, with something about them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.box import Box, docker


class Spares:
    """Containers that last as long as the test run, and are then removed."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._containers: list[str] = []
        self._boxes: list[Box] = []

    def start(self, image: str, *options: str) -> str:
        """A new container of an image, with further options of ``docker run``; its id."""
        container = docker(
            *("run", "--detach", "--init", "--hostname", "lists", "--network", "none"),
            *("--add-host", "lists:127.0.1.1", "--label", "mailman2-runbooks=test"),
            # By this the end of the run finds those that an interrupt has left.
            *("--label", f"mailman2-runbooks.run={self._project}"),
            *("--user", "root", "--entrypoint", "sleep", *options, image, "infinity"),
        ).strip()
        self._containers.append(container)
        return container

    def prepare(self, container: str, like: Box) -> Box:
        """Lay the layout of a box over a container, and remember its state as the clean one."""
        box = Box.prepare(container, like.layout, like.mailman)
        self._boxes.append(box)
        return box

    def close(self) -> None:
        for box in self._boxes:
            box.close()
        if self._containers:
            subprocess.run(
                ["docker", "rm", "--force", "--volumes", *self._containers],
                capture_output=True,
                start_new_session=True,  # the keyboard's interrupt is not for it
                check=False,
            )


def image_of(box: Box) -> str:
    """The id of the image of a box."""
    return docker("inspect", "--format", "{{.Image}}", box.id).strip()


@pytest.fixture(scope="session")
def spares(docker_compose_project_name: str) -> Iterator[Spares]:
    made = Spares(docker_compose_project_name)
    yield made
    made.close()
