"""`runbook ban` over ssh, beside what people would use in its place: ssh itself, pyinfra, Ansible.

The hosts are containers with an ssh server each, on ports of 127.0.0.1. Every command starts cold:
no connection of an earlier one is left to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import command
from benchmarks.ban import OURS, new_address
from benchmarks.command import MeasureError
from benchmarks.server import LABELS, WITHLIST_ALL, Server
from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import running, ssh
from runbooks.testing.containers.box import BoxError
from runbooks.testing.containers.images import Image
from runbooks.testing.containers.selection import Subject

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LISTS, MEMBERS = 10, 10

SSH, PYINFRA, ANSIBLE = "ssh + withlist", "pyinfra", "Ansible"

SCRIPT = f"sudo -u list {WITHLIST_ALL}"
HOST = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
"""
EVERY_HOST = """\
Host *
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  BatchMode yes
  StrictHostKeyChecking yes
  UserKnownHostsFile {folder}/known_hosts
"""
PYINFRA_DEPLOY = f"""\
from pyinfra import host
from pyinfra.operations import server

server.shell(commands=["{SCRIPT} " + host.data.address])
"""
ANSIBLE_PLAYBOOK = f"""\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.raw: {SCRIPT} {{{{ address }}}}
"""
#: The quickest that was found. `raw` takes a third less than `command`, and one connection.
ANSIBLE_CONFIG = """\
[defaults]
forks = 10
[ssh_connection]
pipelining = True
ssh_args = -o ControlMaster=no
ssh_common_args = -F {folder}/config
"""


@dataclass
class Comparison:
    """What a ban of an address took with each, on so many hosts."""

    hosts: int
    #: seconds of each run, and of processor time here
    times: dict[str, list[float]] = field(default_factory=dict)
    work: dict[str, list[float]] = field(default_factory=dict)

    def median(self, what: str) -> float:
        return statistics.median(self.times[what])

    def cell(self, what: str) -> str:
        """Its times, for a table."""
        cell = f"{self.median(what):.2f}_s ({statistics.median(self.work[what]):.2f}_s)"
        return cell.replace("_", "\N{NO-BREAK SPACE}")


class Hosts:
    """So many list servers of one kind, and how each is reached. Close it.

    Raises BoxError where ssh cannot be had there.
    """

    def __init__(self, client: DockerClient, subject: Subject, number: int) -> None:
        with contextlib.ExitStack() as stack:
            self.folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-ssh-"))
            )
            self.config = self.folder / "config"
            self.names = [f"lists{n}" for n in range(1, number + 1)]
            self._settings()
            image = Image(ssh.with_server(client, subject.image.id), subject.image.name)
            first = Server(client, replace(subject, image=image), network_mode="host")
            stack.callback(first.close)
            first.have(LISTS, MEMBERS)
            first.shell(f"{LET_IN} {shlex.quote((self.folder / 'key.pub').read_text().strip())}")
            containers = [first.container]
            # The others are copies: to prepare one takes seconds.
            copy = first.container.commit()
            stack.callback(client.images.remove, copy.id, force=True)
            for _ in self.names[1:]:
                containers.append(running.start(client, copy.id, LABELS, **first.options))
                stack.callback(running.remove, containers[-1])
            self._listen(containers)
            self._close = stack.pop_all().close

    def close(self) -> None:
        """Remove the containers, the folder, and the keys in it."""
        self._close()

    def _settings(self) -> None:
        folder = self.folder
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")]
        subprocess.run(key, check=True)
        (folder / "deploy.py").write_text(PYINFRA_DEPLOY)
        (folder / "ban.yml").write_text(ANSIBLE_PLAYBOOK)
        (folder / "ansible.cfg").write_text(ANSIBLE_CONFIG.format(folder=folder))
        for number in range(1, len(self.names) + 1):
            data = {"ssh_config_file": str(self.config)}
            inventory = f"hosts = ({self.names[:number]!r}, {data!r})\n"
            (folder / f"inventory{number}.py").write_text(inventory)

    def _listen(self, containers: Sequence[Container]) -> None:
        """Start the ssh servers, and write down how each is reached."""
        ways, known = "", ""
        ports = free_ports(len(containers))
        for name, container, port in zip(self.names, containers, ports, strict=True):
            ways += HOST.format(name=name, port=port)
            with engines.asking():
                answer = container.exec_run(["sh", "-c", SERVE, str(port)])
            said = answer.output.decode("utf-8", "replace").strip()
            if answer.exit_code:
                raise BoxError(f"sshd in a container: {said}")
            known += f"[127.0.0.1]:{port} {said}\n"
        self.config.write_text(ways + EVERY_HOST.format(folder=self.folder))
        (self.folder / "known_hosts").write_text(known)
        for name in self.names:
            done = command.run(["ssh", "-F", str(self.config), name, "true"])
            if done.status:
                raise BoxError(f"ssh does not reach a container ({done.words()})")

    # -- the commands, on the first so many hosts

    def ours(self, address: str, number: int) -> list[str]:
        return [program("runbook"), "ban", address, "--yes", *self._specs(number)]

    def ssh(self, address: str, number: int) -> list[str]:
        here = ["ssh", "-F", str(self.config)]
        if number == 1:
            return [*here, self.names[0], f"{SCRIPT} {address}"]
        names = " ".join(self.names[:number])
        each = f'{shlex.join(here)} $name "{SCRIPT} {address}"'
        return ["sh", "-c", f"for name in {names}; do {each} & done; wait"]

    def pyinfra(self, address: str, number: int) -> list[str]:
        given = ["-y", "--data", f"address={address}"]
        return [program("pyinfra"), *given, f"inventory{number}.py", "deploy.py"]

    def ansible(self, address: str, number: int) -> list[str]:
        inventory = "".join(f"{name}," for name in self.names[:number])
        given = ["-i", inventory, "-e", f"address={address}"]
        return [program("ansible-playbook"), *given, "ban.yml"]

    def _specs(self, number: int) -> Iterator[str]:
        for name in self.names[:number]:
            yield from ("--host", f"ssh://root@{name}?ssh_config={self.config}")

    # --

    def run(self, what: str, argv: Sequence[str]) -> command.Done:
        """Run one of the commands. Raises MeasureError if it says that it failed."""
        # Nothing of whoever measures: no agent, no settings, nothing kept from run to run.
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        env = {**kept, "HOME": str(self.folder), "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg")}
        done = command.run(argv, cwd=self.folder, env=env)
        if done.status:
            raise MeasureError(f"{what} over ssh: {done.words()}")
        return done

    def read_back(self, what: str, address: str, number: int) -> None:
        """Whether every list of these hosts refuses the address. Raises MeasureError if not."""
        asked = [program("runbook"), "banned", address, *self._specs(number), "--json"]
        answers = map(json.loads, self.run("runbook banned", asked).stdout.splitlines())
        refuse = sum(one.get("outcome") == "refuses" for one in answers)
        if refuse != number * LISTS:
            raise MeasureError(
                f"{what} over ssh: {refuse} of {number * LISTS} lists refuse {address} afterwards"
            )


#: Lets the owner of a key in, which is its argument.
LET_IN = (
    "let_in() { umask 077; mkdir -p /root/.ssh; echo $1 > /root/.ssh/authorized_keys; }; let_in"
)
#: Starts a server on a port, and prints its key.
SERVE = (
    "mkdir -p /run/sshd && ssh-keygen -A > /dev/null"
    " && /usr/sbin/sshd -p $0 -o ListenAddress=127.0.0.1 -o UsePAM=no"
    " && cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub"
)


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 on which nothing listens, each of them another."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def program(name: str) -> str:
    """The program of this name in the environment of this Python."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        raise MeasureError(f"there is no {found}: install the extra `bench`")
    return str(found)


def versions() -> str:
    """Those of the programs that are compared."""
    openssh = command.run(["ssh", "-V"]).stderr.split(",")[0].replace("_", " ")
    return f"{openssh}, pyinfra {version('pyinfra')}, ansible-core {version('ansible-core')}"


def measure(
    hosts: Hosts, number: int, runs: int, *, tell: Callable[[str], None] = lambda line: None
) -> Comparison:
    """Ban on the first `number` hosts with each, in turns, `runs` times after one for the caches.

    Each ban is of a new address, and read back when its time is over.
    """
    ways = {
        OURS: hosts.ours,
        SSH: hosts.ssh,
        PYINFRA: hosts.pyinfra,
        ANSIBLE: hosts.ansible,
    }
    found = Comparison(number)
    for run in range(runs + 1):
        # Another is the first in each round.
        order = [*ways][run % len(ways) :] + [*ways][: run % len(ways)]
        for what in order:
            address = new_address()
            done = hosts.run(what, ways[what](address, number))
            hosts.read_back(what, address, number)
            if run:
                found.times.setdefault(what, []).append(done.seconds)
                found.work.setdefault(what, []).append(done.work)
                tell(
                    f"{number} host{'s' * (number > 1)} over ssh: {what} {done.seconds:.2f} s,"
                    f" {done.work:.2f} s of work here"
                )
    return found
