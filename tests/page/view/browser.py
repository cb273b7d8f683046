"""A browser: found, or installed.

As root on Debian, Ubuntu and their relatives it is installed from the distribution. Anywhere else
one line says what to install.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runbooks.testing.containers import engine as engines

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

#: Seconds: not longer for a page of a server on this machine.
PATIENCE = 15

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-dejavu-core")

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
    return _found() or _installed(say)


def _found() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _installed(say: Callable[[str], None]) -> str:
    packages = " ".join(PACKAGES)
    if not engines.may_install():
        raise MissingError(
            f"no Chromium here: install it (on Debian: apt-get install {packages}), or run the "
            "tests as root on Debian or Ubuntu"
        )
    engines.apt_update()
    try:
        engines.apt_install(list(PACKAGES), say)
    except engines.EngineError as problem:
        raise MissingError(str(problem)) from None
    path = _found()
    if path is None:
        raise MissingError(f"{packages} was installed and there is still no {BROWSERS[0]}")
    return path


def window(browser: Browser, **more: Any) -> BrowserContext:
    """A window of its own, without what the others keep. A page in it jumps to where a link leads.

    One that scrolls there smoothly is not there yet when it is looked at.
    """
    return browser.new_context(reduced_motion="reduce", **more)


def until(page: Page, expression: str, argument: object = None) -> None:
    """Wait until an expression, or a function of `argument`, is true on a page.

    It is asked from here: a page that allows no eval() refuses what Playwright would poll itself
    with, unless it is true at once.
    """
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"not true within {PATIENCE} s: {expression}"
        page.wait_for_timeout(50)
