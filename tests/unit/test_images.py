"""Images: when a registry counts as silent, what is kept, and who may work on it."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import images, selection
from tests.support.fake_engine import FakeEngine, Request, fake_engine, no_engine

__all__ = ["fake_engine", "no_engine"]  # fixtures


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# Pulling


def registry(engine: FakeEngine, has: bytes) -> None:
    """The registry has the image, the engine gets it when it says `has`, and then has it."""
    known = {"Descriptor": {}, "Platforms": []}
    engine.replies["GET /distribution/"] = lambda request: request.answer(200, known)

    def pull(request: Request) -> None:
        request.stream(b'{"status": "Pulling from library/debian"}\n', has)
        if b"error" not in has:
            engine.replies["GET /images/"] = lambda request: request.answer(200, {"Id": "sha256:1"})

    engine.replies["POST /images/create"] = pull


def test_a_registry_that_is_silent_is_given_up_soon(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_engine.replies["GET /distribution/"] = lambda request: time.sleep(10)
    monkeypatch.setattr(images, "REGISTRY_SECONDS", 0.3)
    start = time.monotonic()
    assert images.pull("debian:bullseye-slim", pytest.fail) is False
    assert time.monotonic() - start < 5


def test_a_registry_that_refuses_is_given_up_at_once(fake_engine: FakeEngine) -> None:
    fake_engine.replies["GET /distribution/"] = lambda request: request.answer(
        500, {"message": "no such host"}
    )
    assert images.pull("debian:bullseye-slim", pytest.fail) is False


def test_a_pull_may_take_longer_than_the_first_answer(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry(fake_engine, b'{"status": "done"}\n')
    pull = fake_engine.replies["POST /images/create"]
    fake_engine.replies["POST /images/create"] = lambda request: (time.sleep(1), pull(request))[1]
    monkeypatch.setattr(images, "REGISTRY_SECONDS", 0.5)
    said: list[str] = []
    assert images.pull("debian:bullseye-slim", said.append) is True
    assert said == ["pulling debian:bullseye-slim"]
    asked = [one for one in fake_engine.asked if "create" in one]
    assert asked == ["POST /images/create?tag=bullseye-slim&fromImage=debian"]


def test_a_pull_that_breaks_off_is_none(fake_engine: FakeEngine) -> None:
    registry(fake_engine, b'{"error": "unexpected EOF"}\n')
    assert images.pull("debian:bullseye-slim", lambda line: None) is False


def test_a_pull_that_does_not_end_is_given_up(
    fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry(fake_engine, b"")
    fake_engine.replies["POST /images/create"] = lambda request: time.sleep(10)
    monkeypatch.setattr(images, "PULL_SECONDS", 0.3)
    start = time.monotonic()
    assert images.pull("debian:bullseye-slim", lambda line: None) is False
    assert time.monotonic() - start < 5


# Building


def test_an_image_that_does_not_build_says_the_builders_last_words(
    fake_engine: FakeEngine, tmp_path: Path
) -> None:
    events = [{"stream": f"Step {n}\n"} for n in range(20)]
    events.append({"error": "apt-get returned 100", "errorDetail": {"message": "x"}})
    told = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    fake_engine.replies["POST /build"] = lambda request: (request.body(), request.stream(told))[1]
    (tmp_path / "Dockerfile").touch()
    engine = engines.Engine(version="1", compose=[])
    with pytest.raises(images.ImageError) as failure:
        images.build(engine, tmp_path / "Dockerfile", tmp_path, "some:tag", {})
    lines = str(failure.value).splitlines()
    assert lines[0] == "some:tag does not build:"
    assert lines[1:] == [*(f"Step {n}" for n in range(6, 20)), "apt-get returned 100"]


def test_a_build_that_does_not_end_is_given_up(
    fake_engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(request: Request) -> None:
        request.body()
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(100):
                request.wfile.write(b'12\r\n{"stream": "a\\n"}\n\r\n')
                time.sleep(0.1)

    fake_engine.replies["POST /build"] = build
    monkeypatch.setattr(images, "BUILD_SECONDS", 0.3)
    (tmp_path / "Dockerfile").touch()
    engine = engines.Engine(version="1", compose=[])
    start = time.monotonic()
    with pytest.raises(images.ImageError, match=r"^some:tag was not built within 0\.3 s$"):
        images.build(engine, tmp_path / "Dockerfile", tmp_path, "some:tag", {})
    assert time.monotonic() - start < 5


# The cache


def test_the_cache_is_outside_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ci")
    assert images.cache_directory() == Path("/var/cache/ci/mailman2-runbooks")
    # The specification wants a relative path ignored.
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", "/home/someone")
    assert images.cache_directory() == Path("/home/someone/.cache/mailman2-runbooks")


def test_one_run_works_on_the_cache_at_a_time() -> None:
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


def test_leftovers_of_a_killed_run_are_removed() -> None:
    with images.one_at_a_time() as directory:
        (directory / "tmp1.partial" / "usr").mkdir(parents=True)
        (directory / "base-1.tar.gz.partial").touch()
        (directory / "base-1.tar.gz").touch()
    with images.one_at_a_time() as directory:
        assert sorted(path.name for path in directory.iterdir()) == ["base-1.tar.gz", "lock"]


def test_an_image_that_is_not_saved_completely_has_no_file(
    fake_engine: FakeEngine, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.tar.gz"
    fake_engine.replies["GET /images/some:tag/get"] = lambda request: request.stream(
        b"half of it", end=False
    )
    images.save("some:tag", kept)
    images.save("nosuch:tag", kept)
    assert [path.name for path in tmp_path.glob("kept*")] == []


def test_a_saved_image_is_loaded_again(fake_engine: FakeEngine, tmp_path: Path) -> None:
    kept = tmp_path / "kept.tar.gz"
    loaded: list[bytes] = []

    def load(request: Request) -> None:
        loaded.append(request.body())
        request.stream(b'{"stream": "Loaded"}\n')

    content = bytes(range(256)) * 10_000
    fake_engine.replies["GET /images/some:tag/get"] = lambda request: request.stream(content)
    fake_engine.replies["POST /images/load"] = load
    images.save("some:tag", kept)
    assert images.load(kept) is True
    assert loaded == [content]


def test_what_the_engine_does_not_load_is_not_loaded(
    fake_engine: FakeEngine, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.tar.gz"
    kept.write_bytes(gzip.compress(b"no image"))
    told = b'{"error": "no tar", "errorDetail": {"message": "no tar"}}\n'
    fake_engine.replies["POST /images/load"] = lambda request: (
        request.body(),
        request.stream(told),
    )[1]
    assert images.load(kept) is False


def test_a_file_that_is_cut_short_is_not_loaded(fake_engine: FakeEngine, tmp_path: Path) -> None:
    def load(request: Request) -> None:
        with contextlib.suppress(ValueError):
            request.body()
            request.stream(b'{"stream": "Loaded"}\n')

    fake_engine.replies["POST /images/load"] = load
    kept = tmp_path / "kept.tar.gz"
    whole = gzip.compress(bytes(range(256)) * 10_000)
    kept.write_bytes(whole)
    assert images.load(kept) is True
    damaged = whole[:10] + b"\xff" + whole[11:]  # a kind of block that there is not
    for content in (whole[:-20], damaged, b"not gzip"):
        kept.write_bytes(content)
        assert images.load(kept) is False


def test_an_image_that_nobody_has_is_named(fake_engine: FakeEngine) -> None:
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


def test_each_python_and_each_layout_has_a_container_of_its_own() -> None:
    chosen = selection.crosswise(selection.slots("standin"))
    assert [slot.id for slot in chosen] == ["python2.7-multi", "python3.9-single"]
    for fewer in (selection.slots("standin", ["multi"]), selection.slots("packaged")):
        assert selection.crosswise(fewer) == fewer


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
