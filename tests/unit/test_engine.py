"""Which engine is used, what is installed, and what is said when there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import engine as engines
import pytest

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
UBUNTU = "ID=ubuntu\nID_LIKE=debian\n"
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'
FEDORA = "ID=fedora\n"
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'

Programs = Callable[..., None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Put scripts on the PATH, which has nothing else; each notes how it was called."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    def put(**scripts: str) -> None:
        for name, script in scripts.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/called\n{script}\n')
            path.chmod(0o755)

    return put


NO_ENGINE = 'case $1 in version) echo; echo "Cannot connect" >&2; exit 1;; *) exit 1;; esac'
ENGINE = "case $1 in version) echo 20.10.24;; *) exit 1;; esac"
ENGINE_AND_V2 = "case $1 in version) echo 28.0.1;; compose) echo v2;; *) exit 1;; esac"


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


def test_an_engine_that_answers_is_used_and_stays(programs: Programs) -> None:
    programs(docker=ENGINE, docker_compose="exit 0")
    engine = engines.obtain(pytest.fail)
    assert (engine.version, engine.compose, engine.started) == (
        "20.10.24",
        ["docker-compose"],
        False,
    )
    engine.stop()


def test_compose_v2_comes_first(programs: Programs) -> None:
    programs(docker=ENGINE_AND_V2, docker_compose="exit 0")
    assert engines.obtain(pytest.fail).compose == ["docker", "compose"]


def test_a_client_without_an_engine_is_no_engine(programs: Programs) -> None:
    programs(docker=NO_ENGINE)
    assert engines.answer() is None


def test_no_client_is_no_engine(programs: Programs) -> None:
    assert engines.answer() is None
    assert engines.compose_command() is None


def test_nothing_is_installed_beside_an_engine_that_was_named(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(docker=NO_ENGINE, apt_get="exit 0", dockerd="exit 1")
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    with pytest.raises(engines.EngineError, match=r"DOCKER_HOST=tcp://elsewhere:2375 does not"):
        engines.obtain(pytest.fail)
    assert "apt-get" not in (tmp_path / "called").read_text()


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
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    programs(docker="echo 'permission denied while trying to connect' >&2; exit 1")
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
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    programs(docker=ENGINE)
    with pytest.raises(engines.EngineError, match=r"^Docker Compose is missing: install it"):
        engines.obtain(pytest.fail)


APT_CACHE = """case $2 in
{have}) printf '%s:\\n  Installed: (none)\\n  Candidate: 1\\n' "$2";;
*) printf '%s:\\n  Candidate: (none)\\n' "$2";;
esac"""


@pytest.mark.parametrize("name", ["docker-compose-v2", "docker-compose"])
def test_compose_is_installed_under_the_name_that_the_distribution_has(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(engines, "may_install", lambda: True)
    monkeypatch.setattr(engines, "POLICY", tmp_path / "policy-rc.d")
    installs = f'test "$1" = update || /bin/mv {tmp_path}/later {tmp_path}/docker-compose'
    programs(docker=ENGINE, later="exit 0", apt_cache=APT_CACHE.format(have=name), apt_get=installs)
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
