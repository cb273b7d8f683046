"""Whoever searches for the words of the moment comes to the procedure, and not only to its page."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest

from runbooks.procedures import all_procedures
from runbooks.testing.page.pages import Page
from tests.page.view.browser import window

#: What people have in mind, and the procedure that they need.
LOOKED_FOR = {
    "spam": "ban",
    "subscription bomb": "ban",
    "abuse": "ban",
    "attack": "ban",
    "blacklist": "ban",
    "blocklist": "ban",
    "block address": "ban",
    "ban": "ban",
    "flood": "ban",
    "wildcard": "ban-pattern",
    "regex": "ban-pattern",
    "plus addressing": "ban-pattern",
    "unblock": "unban",
    "whitelist": "unban",
    "remove ban": "unban",
    "stuck": "clear-lock",
    "list stuck": "clear-lock",
    "not delivering": "clear-lock",
    "mail not delivered": "clear-lock",
    "locked": "clear-lock",
    "stale lock": "clear-lock",
    "no mail": "clear-lock",
    "unsubscribe": "unsubscribe",
    "remove member": "unsubscribe",
    "gdpr": "unsubscribe",
    "victims": "find-victims",
    "recent subscriptions": "find-victims",
    "lockdown": "close-lists",
    "stop sign-ups": "close-lists",
    "disable subscription": "close-lists",
    "reopen": "reopen-lists",
    "new list": "add-list",
    "create list": "add-list",
    "membership": "find-address",
    "which lists": "find-address",
    "bulk change": "scripted-change",
    "withlist": "scripted-change",
}


def results(page, address, query):
    """Where a search leads, the best first."""
    page.goto(f"{address}search.html?q={quote_plus(query)}")
    page.locator("#search-results .search-summary").get_by_text("Search finished").wait_for()
    links = page.locator("#search-results li a").all()
    return [link.get_attribute("href") for link in links]


@pytest.fixture(scope="module")
def searching(browser, address):
    context = window(browser)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("query", LOOKED_FOR)
def test_the_first_result_is_the_right_procedure(searching, address, query):
    found = results(searching, address, query)
    assert found[0] == f"lists.html#{LOOKED_FOR[query]}", found[:3]


@pytest.mark.parametrize("width", [390, 1440])
def test_from_the_search_box_to_the_heading(open_page, width):
    page = open_page("index.html", width)
    if width == 390:
        page.locator('label.nav-overlay-icon[for="__navigation"]').click()
    box = page.locator(".sidebar-search")
    box.fill("not delivering")
    box.press("Enter")
    first = page.locator("#search-results li a").first
    assert "Lock Files" in first.inner_text()
    first.click()
    page.wait_for_url("**/lists.html#clear-lock")
    assert 0 <= page.locator("#clear-lock > h2").bounding_box()["y"] < 400


def test_each_synonym_is_in_the_general_index_under_its_procedure(published):
    index = Page(published, "genindex")
    entries = {}
    for link in index.soup.select("article td > ul > li > a[href]"):
        entries.setdefault(link.get_text(), []).append(link["href"])
    for procedure in all_procedures():
        assert len(procedure.synonyms) >= 3
        for word in procedure.synonyms:
            assert entries[word] == [f"lists.html#{procedure.name}"]
