"""The site as it is published, in a browser."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Request, sync_playwright

from runbooks.testing.containers.plugin import reporter
from runbooks.testing.page.building import build, once
from runbooks.testing.settings import Settings
from tests.page.conftest import ROOT
from tests.page.view import browser as browsers

NGINX = ROOT / "doc" / "publish" / "nginx.conf"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Any static web server will do; this one does not report each request.

    It sends the header that the page on publishing has, which lets nothing be fetched from
    elsewhere.
    """

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def end_headers(self) -> None:
        header = re.search(r'add_header (\S+) "([^"]+)";', NGINX.read_text(encoding="utf-8"))
        assert header
        self.send_header(header.group(1), header.group(2))
        super().end_headers()


@pytest.fixture(scope="session")
def published(page_settings: Settings, testrun_uid: str) -> Path:
    """The site built again, with what was run of it until now, beside the one that others read."""
    site = page_settings.build / "opened"
    with once(page_settings, "opened", testrun_uid) as is_first:
        if is_first:
            build(page_settings, site)
    return site


@pytest.fixture(scope="session")
def address(published: Path) -> Iterator[str]:
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser(
    pytestconfig: pytest.Config, page_settings: Settings, testrun_uid: str
) -> Iterator[Browser]:
    with once(page_settings, "browser", testrun_uid):
        try:
            path = browsers.obtain(reporter(pytestconfig))
        except browsers.MissingError as problem:
            pytest.fail(str(problem), pytrace=False)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, headless=True, args=list(browsers.FLAGS)
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site. Afterwards nothing was fetched from elsewhere, no script failed."""
    contexts = []
    strangers: list[str] = []
    failures: list[str] = []

    def look(url: str) -> None:
        if not url.startswith((address, "data:", "blob:", "about:")):
            strangers.append(url)

    def lost(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # by the end of a test, which closes the page
            failures.append(f"{request.url}: {request.failure}")

    def open_it(path: str, width: int = 1440, scheme: str = "light") -> Page:
        context = browsers.window(
            browser,
            viewport={"width": width, "height": 800 if width < 600 else 900},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
            has_touch=width < 600,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(browsers.PATIENCE * 1000)
        page.on("request", lambda request: look(request.url))
        page.on("pageerror", lambda error: failures.append(f"{path}: {error}"))
        page.on("requestfailed", lost)
        page.on(
            "response",
            lambda answer: (
                failures.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
            ),
        )
        try:
            page.goto(address + path, wait_until="load")
        except Error as problem:
            pytest.fail(f"{path} does not open: {problem.message}", pytrace=False)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not strangers, f"requests that leave the machine: {strangers}"
    assert not failures, "\n".join(failures)
