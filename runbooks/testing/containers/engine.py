"""A Docker engine for the tests: the one that answers, else one of our own.

As root on Debian, Ubuntu and their relatives, what is missing is installed from the distribution
and `dockerd` is started; `Engine.stop()` ends what was started here and nothing else. Anywhere
else one line says what to install. Run this file to see what it finds, without starting anything:

    python -m runbooks.testing.containers.engine
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker

ANSWER_SECONDS = 30  # an engine on a busy machine takes its time, and Compose v1 too
START_SECONDS = 60
STOP_SECONDS = 40
APT_SECONDS = 600
# Ubuntu calls Compose v2 docker-compose-v2; Debian's docker-compose is v1 up to Debian 12.
COMPOSE_PACKAGES = ("docker-compose-v2", "docker-compose-plugin", "docker-compose")
POLICY = Path("/usr/sbin/policy-rc.d")  # asked before a package's service is started
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class EngineError(Exception):
    """There is no engine to be had, or it is in trouble. The message is one line."""


class MissingError(EngineError):
    """The engine does not have the image or the container that it was asked for."""


@dataclass
class Engine:
    """A Docker engine that answers.

    `compose` is the command of Compose, `["docker", "compose"]` (v2) or `["docker-compose"]` (v1).
    `environment` has to be in the environment of every client that is to reach this engine.
    `bridge` is false for an engine that had to be started without a network of its own: builds
    then need the host's network.
    """

    version: str
    compose: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    bridge: bool = True
    end: Callable[[], None] | None = None

    @property
    def started(self) -> bool:
        """Whether it was started here, and is therefore ended here."""
        return self.end is not None

    def stop(self) -> None:
        """End the engine if it was started here. Can be repeated."""
        end, self.end = self.end, None
        if end is not None:
            end()


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Make one line of an EngineError of whatever the Docker SDK raises."""
    # Imported here, since it takes a quarter of a second: tests without a container are spared it.
    import docker
    import requests
    import urllib3

    try:
        yield
    except docker.errors.NotFound as problem:
        raise MissingError(one_line(problem)) from None
    except (
        docker.errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
    ) as problem:
        raise EngineError(one_line(problem)) from None


def one_line(problem: Exception) -> str:
    # What the engine answered, if that is known, is shorter than what the library says about it.
    return " ".join(str(getattr(problem, "explanation", None) or problem).split())


@contextlib.contextmanager
def reached(
    seconds: float = ANSWER_SECONDS, environment: Mapping[str, str] | None = None
) -> Iterator[docker.DockerClient]:
    """The engine that the `docker` program would reach. Raises EngineError.

    It may be silent for `seconds`.
    """
    with asking():
        import docker

        made = docker.from_env(timeout=seconds, environment={**os.environ, **(environment or {})})
        with contextlib.closing(made):
            yield made


def version(environment: Mapping[str, str] | None = None) -> str:
    """The version of the engine that answers. Raises EngineError when none does."""
    with reached(environment=environment) as client:
        return str(client.version()["Version"])


def answer(environment: Mapping[str, str] | None = None) -> str | None:
    """The version of the engine that answers, else None."""
    with contextlib.suppress(EngineError):
        return version(environment)
    return None


def compose_command() -> list[str] | None:
    """The command of Compose that works here: v2 before v1, else None."""
    for command in (["docker", "compose"], ["docker-compose"]):
        with contextlib.suppress(FileNotFoundError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [*command, "version"], capture_output=True, timeout=ANSWER_SECONDS, check=False
            )
            if done.returncode == 0:
                return command
    return None


def distribution(os_release: str) -> set[str]:
    """The names by which /etc/os-release says what the system is and what it is like."""
    names: set[str] = set()
    for line in os_release.splitlines():
        key, _, value = line.partition("=")
        if key in ("ID", "ID_LIKE"):
            names.update(value.strip().strip("\"'").split())
    return names


def can_install(os_release: str, uid: int, apt: bool) -> bool:
    """Whether packages can be installed here: root, and a system with Debian's packages."""
    return uid == 0 and apt and bool(distribution(os_release) & {"debian", "ubuntu"})


def may_install() -> bool:
    try:
        os_release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    return can_install(os_release, os.getuid(), shutil.which("apt-get") is not None)


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Let no package start its service: an engine that nobody here started would never end."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def apt_get(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", *arguments]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{' '.join(command)} took more than {APT_SECONDS} s: run it yourself, then again"
        ) from None


def apt_update() -> None:
    """Learn what there is. A broken source of something else shows when a package is missing."""
    apt_get("update")


def apt_install(packages: list[str], say: Callable[[str], None]) -> None:
    """Install packages of the distribution, without what they merely recommend."""
    say(f"installing {' '.join(packages)}")
    with no_services():
        done = apt_get("install", "-y", "--no-install-recommends", *packages)
    if done.returncode != 0:
        raise EngineError(
            f"apt-get install {' '.join(packages)} failed: {last_line(done.stderr)}; "
            "install them yourself"
        )


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def packaged(name: str) -> bool:
    """Whether the distribution has a package of that name to install."""
    done = subprocess.run(
        ["apt-cache", "policy", name], capture_output=True, text=True, check=False
    )
    return "Candidate:" in done.stdout and "Candidate: (none)" not in done.stdout


def install_engine(say: Callable[[str], None]) -> None:
    """Install whichever of engine, client and iptables is missing."""
    if shutil.which("dockerd") and shutil.which("docker") and shutil.which("iptables"):
        return
    apt_update()
    wanted = ["iptables"]
    if not shutil.which("dockerd"):
        wanted.append("docker.io")
    # The client is a package of its own from Debian 13 on.
    if not shutil.which("docker") and packaged("docker-cli"):
        wanted.append("docker-cli")
    apt_install(wanted, say)


def install_client(say: Callable[[str], None]) -> None:
    apt_update()
    apt_install(["docker-cli" if packaged("docker-cli") else "docker.io"], say)


def install_compose(say: Callable[[str], None]) -> None:
    apt_update()
    for name in COMPOSE_PACKAGES:
        if packaged(name):
            apt_install([name], say)
            return
    raise EngineError("no package of Docker Compose here: install Docker Compose and run again")


def die_with_parent() -> None:
    """In the child: end when the test run is killed, even by a signal that it cannot catch."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(say: Callable[[str], None], directory: Path | None = None) -> Engine:
    """Start `dockerd` and wait until it answers.

    With a directory it keeps to itself, away from the machine's own engine: data, socket and
    process id are in there, and it has a network of its own that leads nowhere. Raises EngineError
    with the engine's own last words when it does not come up.
    """
    if directory is None and Path("/run/systemd/system").is_dir():
        return start_service(say)
    words = ""
    for bridge, options in ((True, []), (False, ["--iptables=false", "--bridge=none"])):
        say("starting dockerd" + ("" if bridge else " without a network of its own"))
        engine, words = start_daemon(options, directory)
        if engine is not None:
            engine.bridge = bridge
            return engine
    raise EngineError(f"dockerd does not start: {words}")


def start_daemon(options: list[str], directory: Path | None) -> tuple[Engine | None, str]:
    environment: dict[str, str] = {}
    command = ["dockerd"]
    if directory is not None:
        socket = f"unix://{directory}/docker.sock"
        environment["DOCKER_HOST"] = socket
        # Even an engine without a bridge would take docker0 away from another one.
        command = [
            *("unshare", "--net", "dockerd"),
            f"--host={socket}",
            f"--data-root={directory}/data",
            f"--exec-root={directory}/exec",
            f"--pidfile={directory}/docker.pid",
        ]
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as log:
        # A session of its own: an interrupt from the keyboard is for the tests, which then end it.
        process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while time.monotonic() < deadline and process.poll() is None:
                found = answer(environment)
                if found is not None and process.poll() is None:
                    return (
                        Engine(
                            version=found,
                            compose=[],
                            environment=environment,
                            end=lambda: end_daemon(process, directory),
                        ),
                        "",
                    )
                time.sleep(0.2)
        except BaseException:
            end_daemon(process, directory)
            raise
        end_daemon(process, directory)
        log.seek(0)
        return None, last_line(log.read())


def end_daemon(process: subprocess.Popen[bytes], directory: Path | None) -> None:
    """Ask `dockerd` to end its containers and itself; insist if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    # Where mounts are private, dockerd mounts its folder on itself, and may leave it so.
    if directory is not None:
        umount = ["umount", "--lazy", str(directory / "data")]
        subprocess.run(umount, capture_output=True, check=False)


def start_service(say: Callable[[str], None]) -> Engine:
    say("starting the service docker")
    try:
        done = subprocess.run(
            ["systemctl", "start", "docker"], capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + START_SECONDS
        while done.returncode == 0 and time.monotonic() < deadline:
            found = answer()
            if found is not None:
                return Engine(version=found, compose=[], end=end_service)
            time.sleep(0.2)
        raise EngineError(f"the service docker does not start: {last_line(done.stderr)}")
    except BaseException:
        end_service()
        raise


def end_service() -> None:
    # The socket as well: it would start the service again for the next client.
    subprocess.run(["systemctl", "stop", "docker.socket", "docker.service"], check=False)


def obtain(say: Callable[[str], None]) -> Engine:
    """An engine that answers, with Compose: found, or installed and started.

    `say` gets one line for whatever takes a while. Raises EngineError.
    """
    try:
        engine = Engine(version=version(), compose=[])
    except EngineError as problem:
        if os.environ.get("DOCKER_HOST"):
            raise EngineError(
                f"the Docker engine at DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer "
                f"({problem}): start it, or unset DOCKER_HOST"
            ) from None
        if not may_install():
            if "permission denied" in str(problem).lower():
                raise EngineError(
                    "the Docker engine is not for this user (permission denied): join the group "
                    "docker, or run the tests as root"
                ) from None
            raise EngineError(
                "no Docker engine answers: install and start Docker with Docker Compose "
                "(on Debian or Ubuntu: apt-get install docker.io docker-compose), "
                "or run the tests as root on Debian or Ubuntu, which installs them"
            ) from None
        install_engine(say)
        engine = start(say)
    try:
        # `runbook --host docker://ID` and Compose v2 are of the program.
        if shutil.which("docker") is None:
            if not may_install():
                raise EngineError("an engine answers, but there is no program docker: install it")
            install_client(say)
        engine.compose = compose_command() or []
        if not engine.compose:
            if not may_install():
                raise EngineError("Docker Compose is missing: install it (v2, or v1 from 1.27 on)")
            install_compose(say)
            engine.compose = compose_command() or []
            if not engine.compose:
                raise EngineError("Docker Compose was installed and does not work")
    except BaseException:
        engine.stop()
        raise
    return engine


def main() -> int:
    found = answer()
    compose = compose_command()
    print(f"engine: {found or 'none answers'}")
    print(f"compose: {' '.join(compose) if compose else 'none'}")
    if found is None or compose is None:
        print(f"would install and start what is missing: {'yes' if may_install() else 'no'}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
