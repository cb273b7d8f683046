"""The image under test with an ssh server in it, reached over ssh without any network.

The server is Debian's, installed over the image with apt; ssh speaks with it through
``docker exec``, as its ProxyCommand, so that no port and no address is needed.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import images
from runbooks.testing.containers.box import Box, BoxError
from runbooks.testing.containers.spare import Spares

if TYPE_CHECKING:
    from docker import DockerClient

DOCKERFILE = """\
FROM {image}
USER root
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openssh-server \\
 && mkdir -p -m 755 /run/sshd /root/.ssh && chmod 700 /root/.ssh
"""

CONFIG = """\
Host *
  User root
  ProxyCommand docker exec -i {container} /usr/sbin/sshd -i -o UsePAM=no
  IdentityFile {folder}/key
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
"""

BUILD_SECONDS = 600


def with_server(client: DockerClient, image: str) -> str:
    """The id of this image with an ssh server in it. BoxError where apt does not install one."""
    tag = f"mailman2-runbooks/ssh:{image.partition(':')[2][:12] or 'image'}"
    dockerfile = DOCKERFILE.format(image=image).encode()
    for network in (None, "host"):  # an engine may have no network of its own
        with contextlib.suppress(images.ImageError), engines.asking():
            return images.built(
                client, tag, BUILD_SECONDS, fileobj=io.BytesIO(dockerfile), network_mode=network
            )
    raise BoxError("apt does not install openssh-server there")


@dataclass(frozen=True)
class Reached:
    """A box, and the way to it over ssh."""

    box: Box
    #: for ssh: whatever name it is told, it reaches this box
    config: Path

    @property
    def spec(self) -> str:
        return f"ssh://root@lists?ssh_config={self.config}"


class SshBoxes:
    """For each box one like it, which ssh reaches."""

    def __init__(self, folder: Path, spares: Spares) -> None:
        self._folder = folder
        self._spares = spares
        #: why the last box was not to be had; waiting for the next would take as long
        self._trouble = ""

    def get(self, box: Box) -> Reached | str:
        """A new box of the same image and layout; or why there is none, in a few words."""
        if self._trouble:
            return self._trouble
        try:
            return self._make(box)
        except (BoxError, engines.EngineError, OSError, subprocess.SubprocessError) as problem:
            words = str(problem).strip().splitlines() or [type(problem).__name__]
            self._trouble = f"the image has no ssh server and cannot be given one ({words[-1]})"
            return self._trouble

    def _make(self, box: Box) -> Reached:
        container = self._spares.start(
            box, with_server(box.container.client, box.container.image.id)
        )
        key = self._folder / "key"
        if not key.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key],
                check=True,
                capture_output=True,
            )
        let_in = 'mkdir -p /run/sshd && umask 077 && echo "$0" > /root/.ssh/authorized_keys'
        public = Path(f"{key}.pub").read_text(encoding="ascii").strip()
        with engines.asking():
            written = container.exec_run(["sh", "-c", let_in, public])
        if written.exit_code != 0:
            raise BoxError(f"authorized_keys: {written.output.decode('utf-8', 'replace').strip()}")
        config = self._folder / f"config-{container.short_id}"
        config.write_text(CONFIG.format(container=container.id, folder=self._folder))
        done = subprocess.run(
            ["ssh", "-F", config, "lists", "true"], capture_output=True, timeout=60, check=False
        )
        if done.returncode:
            raise BoxError(f"ssh: {done.stderr.decode('utf-8', 'replace').strip()}")
        reached = self._spares.prepare(container, box)
        return Reached(reached, config)


@pytest.fixture(scope="session")
def ssh_boxes(spares: Spares) -> Iterator[SshBoxes]:
    with tempfile.TemporaryDirectory(prefix="ssh-boxes-") as folder:
        yield SshBoxes(Path(folder), spares)
