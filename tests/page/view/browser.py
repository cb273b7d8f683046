"""A browser, and axe-core to look for faults of accessibility: found, or got.

As root on Debian, Ubuntu and their relatives what is missing is installed from the distribution.
Anywhere else one line says what to install.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import engine as engines

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
AXE = "axe-core@4"
NPM_SECONDS = 180

#: Without a sandbox, since it may run as root; without whatever would call somebody by itself.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


class MissingError(Exception):
    """What the tests need is not to be had. The message is one line and says what to do."""


def obtain(say: Callable[[str], None]) -> str:
    """The path of a Chromium."""
    return _found(BROWSERS) or _installed(
        BROWSERS, ["chromium", "fonts-dejavu-core"], "a Chromium", say
    )


def axe(folder: Path, say: Callable[[str], None]) -> str:
    """The source of axe-core, kept in `folder` once it was got from the npm registry."""
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        npm = _found(("npm",)) or _installed(("npm",), ["npm"], "npm", say)
        folder.mkdir(parents=True, exist_ok=True)
        say(f"getting {AXE}")
        command = [npm, "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", AXE]
        try:
            done = subprocess.run(
                [*command, "--prefix", str(folder)],
                capture_output=True,
                text=True,
                timeout=NPM_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MissingError(f"npm install {AXE} took more than {NPM_SECONDS} s") from None
        if done.returncode != 0 or not script.is_file():
            raise MissingError(f"npm install {AXE} failed: {engines.last_line(done.stderr)}")
    return script.read_text(encoding="utf-8")


def _found(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def _installed(
    names: tuple[str, ...], packages: list[str], what: str, say: Callable[[str], None]
) -> str:
    if not engines.may_install():
        raise MissingError(
            f"no {what.removeprefix('a ')} here: install it (on Debian: apt-get install "
            f"{' '.join(packages)}), or run the tests as root on Debian or Ubuntu"
        )
    engines.apt_update()
    try:
        engines.apt_install(packages, say)
    except engines.EngineError as problem:
        raise MissingError(str(problem)) from None
    path = _found(names)
    if path is None:
        raise MissingError(f"{' '.join(packages)} was installed and there is still no {names[0]}")
    return path
