"""Which engine is used, what is installed, and what is said when there is none."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.transport.unixconn import UnixHTTPConnection

from runbooks.testing.containers import engine as engines
from tests.support.fake_engine import FakeEngine, fake_engine, no_engine

__all__ = ["fake_engine", "no_engine"]  # fixtures

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
UBUNTU = "ID=ubuntu\nID_LIKE=debian\n"
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'
FEDORA = "ID=fedora\n"
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'

Programs = Callable[..., None]


@pytest.fixture
def programs(tmp_path: Path, no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Put scripts on the PATH, which has nothing else; each notes how it was called."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(**scripts: str) -> None:
        for name, script in scripts.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/called\n{script}\n')
            path.chmod(0o755)

    return put


CLIENT = "exit 1"
CLIENT_AND_V2 = "case $1 in compose) echo v2;; *) exit 1;; esac"


@pytest.mark.parametrize(
    ("os_release", "uid", "apt", "can"),
    [
        (DEBIAN, 0, True, True),
        (UBUNTU, 0, True, True),
        (MINT, 0, True, True),
        (FEDORA, 0, True, False),
        (ROCKY, 0, False, False),
        (DEBIAN, 1000, True, False),
        (DEBIAN, 0, False, False),
        ("", 0, True, False),
    ],
)
def test_packages_are_installed_by_root_on_relatives_of_debian(
    os_release: str, uid: int, apt: bool, can: bool
) -> None:
    assert engines.can_install(os_release, uid, apt) is can


def test_an_engine_that_answers_is_used_and_stays(
    programs: Programs, fake_engine: FakeEngine
) -> None:
    programs(docker=CLIENT, docker_compose="exit 0")
    engine = engines.obtain(pytest.fail)
    assert (engine.version, engine.compose, engine.started) == (
        "20.10.24",
        ["docker-compose"],
        False,
    )
    engine.stop()


def test_compose_v2_comes_first(programs: Programs, fake_engine: FakeEngine) -> None:
    programs(docker=CLIENT_AND_V2, docker_compose="exit 0")
    assert engines.obtain(pytest.fail).compose == ["docker", "compose"]


def test_a_client_without_an_engine_is_no_engine(programs: Programs) -> None:
    programs(docker=CLIENT_AND_V2)
    assert engines.answer() is None


def test_an_engine_that_is_silent_is_no_engine(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ANSWER_SECONDS", 0.2)
    fake_engine.replies["GET /"] = lambda request: time.sleep(1)
    start = time.monotonic()
    with pytest.raises(engines.EngineError, match="timed out"), engines.reached(0.2) as client:
        client.containers.list()
    assert time.monotonic() - start < 1


def test_an_engine_at_docker_host_comes_before_that_of_the_context(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engines.answer() == "20.10.24"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert engines.answer() is None
    assert engines.answer({"DOCKER_HOST": f"unix://{fake_engine.server_address}"}) == "20.10.24"


def test_an_engine_without_its_program_is_not_enough(
    programs: Programs, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    programs(docker_compose="exit 0")
    with pytest.raises(engines.EngineError, match=r"^an engine answers, but .* docker: install"):
        engines.obtain(pytest.fail)


@pytest.mark.parametrize(("have", "name"), [("docker-cli", "docker-cli"), ("x", "docker.io")])
def test_the_program_of_an_engine_that_answers_is_installed(
    programs: Programs,
    fake_engine: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    have: str,
    name: str,
) -> None:
    monkeypatch.setattr(engines, "may_install", lambda: True)
    monkeypatch.setattr(engines, "POLICY", tmp_path / "policy-rc.d")
    installs = f'test "$1" = update || /bin/mv {tmp_path}/later {tmp_path}/docker'
    programs(later=CLIENT_AND_V2, apt_cache=APT_CACHE.format(have=have), apt_get=installs)
    said: list[str] = []
    engine = engines.obtain(said.append)
    assert (engine.compose, engine.started) == (["docker", "compose"], False)
    assert said == [f"installing {name}"]


def test_whatever_an_engine_answers_is_told_in_one_line(fake_engine: FakeEngine) -> None:
    fake_engine.replies["GET /images/"] = lambda request: request.answer(
        500, {"message": "no space\nleft"}
    )
    with pytest.raises(engines.EngineError, match=r"^no space left$"), engines.reached() as client:
        client.images.get("some:tag")
    with pytest.raises(engines.MissingError), engines.reached() as client:
        client.containers.get("some")


def test_nothing_is_installed_beside_an_engine_that_was_named(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(docker=CLIENT, apt_get="exit 0", dockerd="exit 1")
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    with pytest.raises(engines.EngineError, match=r"DOCKER_HOST=tcp://elsewhere:2375 does not"):
        engines.obtain(pytest.fail)
    assert not (tmp_path / "called").exists()


def test_one_line_says_what_to_install_where_nothing_can_be(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(engines.EngineError, match="install and start Docker") as failure:
        engines.obtain(pytest.fail)
    assert "\n" not in str(failure.value)


def test_an_engine_that_is_not_for_this_user_is_named(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # Root is never refused, and may be who runs the tests.
    monkeypatch.setattr(UnixHTTPConnection, "connect", refuse)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    programs(docker=CLIENT)
    with pytest.raises(engines.EngineError, match=r"not for this user.*group docker") as failure:
        engines.obtain(pytest.fail)
    assert "\n" not in str(failure.value)


def test_a_service_whose_start_is_interrupted_is_stopped(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(systemctl="exit 0")

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "answer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engines.start_service(lambda line: None)
    assert "systemctl stop docker.socket docker.service" in (tmp_path / "called").read_text()


def test_compose_that_is_missing_is_named(
    programs: Programs, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    programs(docker=CLIENT)
    with pytest.raises(engines.EngineError, match=r"^Docker Compose is missing: install it"):
        engines.obtain(pytest.fail)


APT_CACHE = """case $2 in
{have}) printf '%s:\\n  Installed: (none)\\n  Candidate: 1\\n' "$2";;
*) printf '%s:\\n  Candidate: (none)\\n' "$2";;
esac"""


@pytest.mark.parametrize("name", ["docker-compose-v2", "docker-compose"])
def test_compose_is_installed_under_the_name_that_the_distribution_has(
    programs: Programs,
    fake_engine: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(engines, "may_install", lambda: True)
    monkeypatch.setattr(engines, "POLICY", tmp_path / "policy-rc.d")
    installs = f'test "$1" = update || /bin/mv {tmp_path}/later {tmp_path}/docker-compose'
    programs(docker=CLIENT, later="exit 0", apt_cache=APT_CACHE.format(have=name), apt_get=installs)
    said: list[str] = []
    engine = engines.obtain(said.append)
    assert engine.compose == ["docker-compose"]
    assert said == [f"installing {name}"]
    assert (
        f"apt-get install -y --no-install-recommends {name}\n" in (tmp_path / "called").read_text()
    )


def test_a_package_does_not_start_its_service(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(engines, "POLICY", policy)
    programs(apt_get=f'test "$1" = update || {policy}; echo "refused: $?" >> {tmp_path}/called')
    engines.apt_install(["docker.io"], lambda line: None)
    assert "refused: 101" in (tmp_path / "called").read_text()
    assert not policy.exists()


def test_a_policy_that_is_there_stays(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("of the machine")
    monkeypatch.setattr(engines, "POLICY", policy)
    programs(apt_get="exit 0")
    engines.apt_install(["docker.io"], lambda line: None)
    assert policy.read_text() == "of the machine"


def test_a_failed_installation_says_why(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(engines, "POLICY", policy)
    programs(apt_get='echo "E: Unable to locate package docker.io" >&2; exit 100')
    with pytest.raises(engines.EngineError, match=r"docker\.io failed: E: Unable to locate"):
        engines.apt_install(["docker.io"], lambda line: None)
    assert not policy.exists()
