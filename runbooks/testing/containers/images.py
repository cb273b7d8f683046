"""The images that the container tests run on: found, built or pulled.

`packaged` is Mailman from Ubuntu's package, `standin` is our own re-implementation under both
Pythons, anything else is the name of an image that has a Mailman 2 in Debian's layout.

The stand-in's base, Debian 11 with its packages, is pulled where a registry answers and
bootstrapped where none does. It is kept in `$XDG_CACHE_HOME/mailman2-runbooks` (`~/.cache/...`), so
that this happens once for a machine. Every file in there appears under its name when it is
complete, and one run at a time works on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runbooks.testing.containers import engine as engines

if TYPE_CHECKING:
    from docker import DockerClient

HERE = Path(__file__).resolve().parent
STANDIN_SOURCE = HERE.parents[1] / "standin"

REPOSITORY = "mailman2-runbooks"
STANDIN_BASE = "debian:bullseye-slim"
STANDIN_SUITE = "bullseye"
STANDIN_MIRROR = "http://deb.debian.org/debian"
# The interpreter of the programs, by the version that the tests name it with.
STANDIN_PYTHONS = {"2.7": "python2.7", "3.9": "python3"}
PACKAGED_BASE = "ubuntu:20.04"
PACKAGED_TAG = f"{REPOSITORY}/packaged:ubuntu20.04"

REGISTRY_SECONDS = 10  # until a registry has answered at all
PULL_SECONDS = 300
BUILD_SECONDS = 900
BOOTSTRAP_SECONDS = 600


class ImageError(Exception):
    """An image cannot be had. The message is one line and says why."""


@dataclass(frozen=True)
class Image:
    """An image to test on: its id, and the name that people know it by."""

    id: str
    name: str


def image_id(reference: str) -> str | None:
    """The id of an image that the engine has, else None."""
    try:
        with engines.reached() as client:
            return str(client.images.get(reference).id)
    except engines.MissingError:
        return None


def pull(reference: str, say: Callable[[str], None]) -> bool:
    """Pull an image; False when no registry has it, which shows within REGISTRY_SECONDS."""
    try:
        with engines.reached(REGISTRY_SECONDS) as client:
            client.images.get_registry_data(reference)
    except engines.EngineError:
        return False
    say(f"pulling {reference}")

    def wait() -> None:
        with contextlib.suppress(engines.EngineError), engines.reached() as client:
            client.images.pull(reference)

    # The SDK waits for a pull for ever. The engine gives it up when this process ends.
    pulling = threading.Thread(target=wait, daemon=True)
    pulling.start()
    pulling.join(PULL_SECONDS)
    return image_id(reference) is not None


def built(client: DockerClient, tag: str, seconds: float, **options: Any) -> str:
    """Build an image: its id. ImageError, with the builder's last words, when it does not build."""
    options["buildargs"] = {
        name: os.environ[name]
        for name in ("http_proxy", "https_proxy", "no_proxy")
        if name in os.environ
    } | options.get("buildargs", {})
    deadline = time.monotonic() + seconds
    words: list[str] = []
    identity = ""
    events = client.api.build(
        tag=tag, rm=True, forcerm=True, decode=True, timeout=seconds, **options
    )
    for event in events:
        if time.monotonic() > deadline:
            raise ImageError(f"{tag} was not built within {seconds:g} s")
        words += event.get("stream", event.get("error", "")).split("\n")
        identity = event.get("aux", {}).get("ID", identity)
        if "error" in event:
            raise ImageError(
                f"{tag} does not build:\n"
                + "\n".join([word for word in words if word.strip()][-15:])
            )
    return identity


def build(
    engine: engines.Engine,
    dockerfile: Path,
    context: Path,
    tag: str,
    arguments: dict[str, str],
) -> Image:
    """Build an image and return it by its id, which another build of the same tag does not move."""
    with engines.reached() as client:
        identity = built(
            client,
            tag,
            BUILD_SECONDS,
            path=str(context),
            dockerfile=str(dockerfile),
            buildargs=arguments,
            network_mode=None if engine.bridge else "host",
        )
    return Image(identity, tag)


# The stand-in's base


def cache_directory() -> Path:
    """Where the bootstrapped base is kept between checkouts."""
    root = os.environ.get("XDG_CACHE_HOME") or ""
    if not os.path.isabs(root):  # as the XDG specification wants it
        root = os.path.expanduser("~/.cache")
    return Path(root, REPOSITORY)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[Path]:
    """The cache directory, for this run alone, without leftovers of one that was killed."""
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in directory.glob("*.partial"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        yield directory


def base_key() -> str:
    """Changes whenever a base that was kept is not the one that would be built."""
    recipe = (HERE / "base" / "Dockerfile").read_bytes()
    content = b"\0".join([recipe, STANDIN_SUITE.encode(), platform.machine().encode()])
    return hashlib.sha256(content).hexdigest()[:12]


def standin_base(engine: engines.Engine, directory: Path, say: Callable[[str], None]) -> str:
    """The tag of Debian 11 with the packages that the stand-in needs. Call in one_at_a_time()."""
    tag = f"{REPOSITORY}/base:{base_key()}"
    if image_id(tag) is not None:
        return tag
    kept = directory / f"base-{base_key()}.tar.gz"
    if kept.exists():
        say(f"loading {kept}")
        if load(kept) and image_id(tag) is not None:
            return tag
        say(f"{kept} does not load, making it again")
        kept.unlink()
    if image_id(STANDIN_BASE) is not None or pull(STANDIN_BASE, say):
        base = STANDIN_BASE
    else:
        base = bootstrap(directory, say)
    say("installing the packages of the stand-in's image")
    build(engine, HERE / "base" / "Dockerfile", HERE / "base", tag, {"BASE": base})
    save(tag, kept)
    return tag


def chunks(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    return iter(lambda: file.read(1 << 20), b"")


def load(kept: Path) -> bool:
    """Load an image from a file. False when the file is not one."""
    try:
        with gzip.open(kept, "rb") as source, engines.reached(BUILD_SECONDS) as client:
            client.images.load(chunks(source))
    except (engines.EngineError, EOFError, zlib.error):  # not gzip, cut short, or damaged
        return False
    return True


def save(tag: str, kept: Path) -> None:
    """Keep an image in a file, which has its name only when it is complete."""
    partial = kept.with_name(kept.name + ".partial")
    try:
        with (
            contextlib.suppress(engines.EngineError),
            engines.reached(BUILD_SECONDS) as client,
        ):
            with gzip.open(partial, "wb", compresslevel=1) as target:
                target.writelines(client.api.get_image(tag))
            partial.rename(kept)
    finally:
        partial.unlink(missing_ok=True)


def bootstrap(directory: Path, say: Callable[[str], None]) -> str:
    """Debian 11 from its packages, imported: the tag. For where no registry answers."""
    tag = f"{REPOSITORY}/debian:{STANDIN_SUITE}"
    if image_id(tag) is not None:
        return tag
    if os.getuid() != 0:
        raise ImageError(
            f"no registry has {STANDIN_BASE} and only root can bootstrap it: "
            f"run the tests once as root, or load an image as {STANDIN_BASE}"
        )
    if shutil.which("debootstrap") is None:
        if not engines.may_install():
            raise ImageError(
                f"no registry has {STANDIN_BASE}: install debootstrap to make it from packages, "
                f"or load an image as {STANDIN_BASE}"
            )
        engines.apt_update()
        engines.apt_install(["debootstrap", "debian-archive-keyring"], say)
    say(f"no registry has {STANDIN_BASE}: bootstrapping it, once, in about a minute")
    root = Path(tempfile.mkdtemp(suffix=".partial", dir=directory))
    try:
        # Puppet among the bootstrapped packages fails, so that apt-get installs it afterwards.
        try:
            done = subprocess.run(
                ["debootstrap", "--variant=minbase", STANDIN_SUITE, str(root), STANDIN_MIRROR],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=BOOTSTRAP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ImageError(f"debootstrap took more than {BOOTSTRAP_SECONDS} s") from None
        if done.returncode != 0:
            words = engines.last_line(done.stderr or done.stdout)
            raise ImageError(f"debootstrap of {STANDIN_SUITE} failed: {words}")
        for leftover in (root / "var/cache/apt/archives").glob("*.deb"):
            leftover.unlink()
        with (
            subprocess.Popen(
                ["tar", "--numeric-owner", "-C", str(root), "-c", "."], stdout=subprocess.PIPE
            ) as packer,
            engines.reached(BUILD_SECONDS) as client,
        ):
            assert packer.stdout is not None
            told = client.api.import_image_from_stream(
                chunks(packer.stdout), f"{REPOSITORY}/debian", STANDIN_SUITE
            )
            packed = packer.wait() == 0
            if not packed and image_id(tag) is not None:
                client.images.remove(tag)
        if not packed or image_id(tag) is None:
            raise ImageError(f"docker import failed: {engines.last_line(told)}")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return tag


# The images themselves


def standin(engine: engines.Engine, say: Callable[[str], None]) -> dict[str, Image]:
    """The stand-in's images by the Python that its programs run on."""
    with one_at_a_time() as directory:
        base = standin_base(engine, directory, say)
        return {
            version: build(
                engine,
                HERE / "standin" / "Dockerfile",
                STANDIN_SOURCE,
                f"{REPOSITORY}/standin:{python}",
                {"BASE": base, "PYTHON": python},
            )
            for version, python in STANDIN_PYTHONS.items()
        }


def packaged(engine: engines.Engine, say: Callable[[str], None]) -> Image:
    """The image of Ubuntu's package. ImageError when its base cannot be had."""
    with one_at_a_time():
        if image_id(PACKAGED_BASE) is None and not pull(PACKAGED_BASE, say):
            raise ImageError(f"no registry answers with {PACKAGED_BASE}")
        say("building the image of the packaged Mailman")
        return build(
            engine,
            HERE / "mailman2" / "Dockerfile",
            HERE / "mailman2",
            PACKAGED_TAG,
            {"BASE": PACKAGED_BASE},
        )


def named(reference: str, say: Callable[[str], None]) -> Image:
    """An image by its name, pulled if the engine does not have it."""
    found = image_id(reference)
    if found is None:
        if not pull(reference, say):
            raise ImageError(
                f"no image {reference}: neither the engine nor a registry has it; "
                "give --mailman-image packaged, standin or NAME:TAG"
            )
        found = image_id(reference)
        assert found is not None
    return Image(found, reference)
