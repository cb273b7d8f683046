"""Where the browser comes from, and what is said where it cannot be had."""

from __future__ import annotations

import pytest

from tests.page.view import browser


@pytest.fixture
def bare(monkeypatch):
    """A machine without any of it: what is on it by now, and what was asked for."""
    there: dict[str, str] = {}
    installed: list[list[str]] = []
    monkeypatch.setattr(browser.shutil, "which", there.get)
    monkeypatch.setattr(browser.engines, "apt_update", lambda: None)

    def install(packages, say):
        installed.append(packages)
        there.update({name: f"/usr/bin/{name}" for name in packages})

    monkeypatch.setattr(browser.engines, "apt_install", install)
    return there, installed


def test_a_browser_that_is_there_is_taken(bare):
    there, installed = bare
    there["google-chrome"] = "/opt/google/chrome"
    assert browser.obtain(print) == "/opt/google/chrome"
    assert not installed


def test_as_root_on_debian_it_is_installed(bare, monkeypatch):
    monkeypatch.setattr(browser.engines, "may_install", lambda: True)
    assert browser.obtain(print) == "/usr/bin/chromium"
    assert "chromium" in bare[1][0]


def test_elsewhere_one_line_says_what_to_install(bare, monkeypatch):
    monkeypatch.setattr(browser.engines, "may_install", lambda: False)
    with pytest.raises(browser.MissingError) as told:
        browser.obtain(print)
    assert "apt-get install chromium" in str(told.value)
    assert "\n" not in str(told.value)
