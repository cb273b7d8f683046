"""Containers that the tests start themselves, and commands that run in one and are spoken with."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbooks.testing.containers import engine as engines

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

SEND_SECONDS = 60


def start(client: DockerClient, image: str, labels: dict[str, str], **options: Any) -> Container:
    """A container like those of compose.yaml; it does nothing, and has no network unless told."""
    hostname = os.environ.get("MAILMAN_HOSTNAME", "lists")
    return client.containers.run(
        image,
        ["infinity"],
        detach=True,
        entrypoint="sleep",
        init=True,
        user="root",
        hostname=hostname,
        extra_hosts={hostname: "127.0.1.1"},
        labels=labels,
        **{"network_mode": "none", **options},
    )


def remove(container: Container) -> None:
    """Remove a container, unless it is gone."""
    with contextlib.suppress(engines.MissingError), engines.asking():
        container.remove(force=True, v=True)


class Process:
    """A command that runs in a container, with its standard input and output in our hands.

    It has to speak only when it was spoken to: what it says while its connection is still being
    made may be lost in the SDK. It runs until it ends by itself, as it should when its input ends.
    """

    def __init__(
        self,
        container: Container,
        argv: Sequence[str],
        user: str = "root",
        environment: dict[str, str] | None = None,
    ) -> None:
        assert container.client is not None
        api = container.client.api
        with engines.asking():
            made = api.exec_create(
                container.id, list(argv), stdin=True, user=user, environment=environment
            )
            self._answered = api.exec_start(made["Id"], socket=True)
        # Without TLS the SDK gives only the reading half of the socket.
        self._socket: socket.socket = getattr(self._answered, "_sock", self._answered)
        self._output = self._socket.makefile("rb")
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self.errors = b""

    def send(self, data: bytes) -> None:
        """Write to its input. OSError when it has ended."""
        self._socket.settimeout(SEND_SECONDS)
        self._socket.sendall(data)

    def line(self, patience: float = 60) -> bytes:
        """What it says until a line ends, or it does. TimeoutError when that takes longer."""
        deadline = time.monotonic() + patience
        said = bytearray()
        while not said.endswith(b"\n"):
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            # The engine sends output and errors in turns, each piece after its kind and length.
            head = self._output.read(8)
            if len(head) < 8:
                break
            kind, length = struct.unpack(">BxxxL", head)
            data = self._output.read(length)
            if kind == 1:
                said += data
            else:
                self.errors += data
        return bytes(said)

    def ended(self) -> bool:
        """Whether it has ended, if it owes no answer."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """End its input, and listen no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._output.close()
        self._answered.close()
        self._socket.close()
