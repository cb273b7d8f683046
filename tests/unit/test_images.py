"""Images: when a registry counts as silent, what is kept, and who may work on it."""

from __future__ import annotations

import gzip
import threading
import time
from pathlib import Path
from typing import Any

import engine as engines
import images
import pytest

from tests.support import selection


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Docker client is a script, which a test writes."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = folder / "docker"
    path.touch(mode=0o755)
    return path


# Pulling


def test_a_registry_that_is_silent_is_given_up_soon(
    client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(images, "REGISTRY_SECONDS", 0.3)
    start = time.monotonic()
    assert images.pull("debian:bullseye-slim", pytest.fail) is False
    assert time.monotonic() - start < 5


def test_a_registry_that_refuses_is_given_up_at_once(client: Path) -> None:
    client.write_text("#!/bin/sh\necho 'no such host' >&2\nexit 1\n")
    assert images.pull("debian:bullseye-slim", pytest.fail) is False


def test_a_pull_may_take_longer_than_the_first_answer(
    client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.write_text("#!/bin/sh\necho Pulling from library/debian\nsleep 1\necho done\n")
    monkeypatch.setattr(images, "REGISTRY_SECONDS", 0.5)
    said: list[str] = []
    assert images.pull("debian:bullseye-slim", said.append) is True
    assert said == ["pulling debian:bullseye-slim"]


def test_a_pull_that_breaks_off_is_none(client: Path) -> None:
    client.write_text("#!/bin/sh\necho Pulling\necho 'unexpected EOF' >&2\nexit 1\n")
    assert images.pull("debian:bullseye-slim", lambda line: None) is False


# The cache


def test_the_cache_is_outside_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ci")
    assert images.cache_directory() == Path("/var/cache/ci/mailman2-runbooks")
    # The specification wants a relative path ignored.
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", "/home/someone")
    assert images.cache_directory() == Path("/home/someone/.cache/mailman2-runbooks")


def test_one_run_works_on_the_cache_at_a_time(client: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def run() -> None:
        with images.one_at_a_time():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_leftovers_of_a_killed_run_are_removed(client: Path) -> None:
    with images.one_at_a_time() as directory:
        (directory / "tmp1.partial" / "usr").mkdir(parents=True)
        (directory / "base-1.tar.gz.partial").touch()
        (directory / "base-1.tar.gz").touch()
    with images.one_at_a_time() as directory:
        assert sorted(path.name for path in directory.iterdir()) == ["base-1.tar.gz", "lock"]


def test_an_image_that_is_not_saved_completely_has_no_file(client: Path, tmp_path: Path) -> None:
    client.write_text("#!/bin/sh\necho half of it\nexit 1\n")
    images.save("some:tag", tmp_path / "kept.tar.gz")
    assert [path.name for path in tmp_path.glob("kept*")] == []


def test_a_saved_image_is_loaded_again(client: Path, tmp_path: Path) -> None:
    client.write_text(
        f'#!/bin/sh\ncase $1 in save) echo "$2";; load) exec cat > {tmp_path}/loaded;; esac\n'
    )
    images.save("some:tag", tmp_path / "kept.tar.gz")
    assert images.load(tmp_path / "kept.tar.gz") is True
    assert (tmp_path / "loaded").read_text() == "some:tag\n"


def test_a_file_that_is_cut_short_is_not_loaded(client: Path, tmp_path: Path) -> None:
    client.write_text("#!/bin/sh\nexec cat > /dev/null\n")
    kept = tmp_path / "kept.tar.gz"
    kept.write_bytes(gzip.compress(bytes(range(256)) * 1000)[:-20])
    assert images.load(kept) is False
    kept.write_bytes(b"not gzip")
    assert images.load(kept) is False


def test_an_image_that_nobody_has_is_named(client: Path) -> None:
    client.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(images.ImageError, match=r"^no image nosuch:1: "):
        images.named("nosuch:1", pytest.fail)


# What a run may be about


def names(option: str | None, *layouts: str) -> list[tuple[str, str]]:
    return [
        (slot.service, slot.id) for slot in selection.slots(option, layouts or ("single", "multi"))
    ]


def test_the_stand_in_has_two_pythons_and_two_layouts() -> None:
    assert names("standin") == [
        ("single", "python2.7-single"),
        ("multi", "python2.7-multi"),
        ("python3-single", "python3.9-single"),
        ("python3-multi", "python3.9-multi"),
    ]
    # Which of the two it will be is not known before the engine is asked.
    assert names(None) == names("standin")


def test_the_packaged_mailman_has_one_python() -> None:
    assert names("packaged") == [("single", "python2.7-single"), ("multi", "python2.7-multi")]


def test_another_image_has_the_python_that_it_has() -> None:
    assert names("lists:2.1.39") == [("single", "single"), ("multi", "multi")]
    assert names("lists:2.1.39", "multi") == [("multi", "multi")]


def chosen(option: str | None, monkeypatch: pytest.MonkeyPatch, **have: bool) -> list[str]:
    """The names of the images of a run, where only those in `have` can be had."""

    def get(kind: str, made: Any) -> Any:
        def ask(*_: object) -> Any:
            if not have.get(kind):
                raise images.ImageError(f"no {kind}")
            return made

        return ask

    both = {
        version: images.Image(f"sha256:{version}", f"standin:{version}")
        for version in images.STANDIN_PYTHONS
    }
    package = images.Image("sha256:packaged", "packaged")
    monkeypatch.setattr(images, "packaged", get("packaged", package))
    monkeypatch.setattr(images, "standin", get("standin", both))
    mailman = selection.Mailman("2", "a stand-in", ("python",), "2.7")
    monkeypatch.setattr(selection, "ask_mailman", lambda image: mailman)
    engine = engines.Engine(version="1", compose=[])
    subjects = selection.choose(option, engine, lambda line: None)
    assert list(subjects) == ["MAILMAN_IMAGE", "MAILMAN_PYTHON3_IMAGE"][: len(subjects)]
    return [subject.image.name for subject in subjects.values()]


def test_by_itself_a_run_is_about_both_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is for Python 2.7 alone; what answers as 2.2 on Python 3 is run as well."""
    for have, expected in (
        ({"packaged": True, "standin": True}, ["packaged", "standin:3.9"]),
        ({"packaged": True}, ["packaged"]),
        ({"standin": True}, ["standin:2.7", "standin:3.9"]),
    ):
        assert chosen(None, monkeypatch, **have) == expected
    assert chosen("packaged", monkeypatch, packaged=True, standin=True) == ["packaged"]
    assert chosen("standin", monkeypatch, packaged=True, standin=True) == [
        "standin:2.7",
        "standin:3.9",
    ]
    with pytest.raises(images.ImageError, match="no standin"):
        chosen(None, monkeypatch)


def test_what_was_chosen_reaches_parallel_workers_unchanged() -> None:
    mailman = selection.Mailman(
        "2.1.39", "Using Mailman version: 2.1.39", ("/usr/bin/python2", "-S"), "2.7"
    )
    subjects = {"MAILMAN_IMAGE": selection.Subject(images.Image("sha256:1", "a:b"), mailman)}
    sent = selection.sent(subjects)
    sent["MAILMAN_IMAGE"]["mailman"]["interpreter"] = ["/usr/bin/python2", "-S"]  # as execnet does
    assert selection.received(sent) == subjects
