"""How old what a page says of its procedures is: told by the reader's clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from runbooks.book import records
from tests.page.conftest import RECORDS
from tests.page.view.browser import window


@pytest.fixture(scope="module")
def ran():
    """The oldest day that the page names for a procedure, at noon."""
    days = [run.date for run in records.read(RECORDS)]
    assert days
    return datetime.combine(min(days), datetime.min.time(), timezone.utc).replace(hour=12)


@pytest.fixture
def page_at(browser, address):
    """Opens the page with the procedures when the reader's clock shows a given time."""
    contexts = []

    def open_it(moment):
        context = window(browser)
        contexts.append(context)
        context.clock.set_fixed_time(moment)
        page = context.new_page()
        page.goto(f"{address}lists.html", wait_until="load")
        return page

    yield open_it
    for context in contexts:
        context.close()


@pytest.mark.parametrize(
    ("days", "words", "old"),
    [
        (0, "today", False),
        (1, "yesterday", False),
        (3, "3 days ago", False),
        (89, "89 days ago", False),
        (90, "90 days ago", True),
        (400, "400 days ago", True),
    ],
)
def test_the_age_is_told_and_amber_from_90_days(page_at, ran, days, words, old):
    page = page_at(ran + timedelta(days=days))
    stamp = ran.date().isoformat()
    time = page.locator(f'#ban p.verification time[datetime="{stamp}"]').first
    assert time.inner_text() == f"{ran.day} {ran:%B %Y}, {words}"
    amber = page.evaluate(
        """() => {
            const probe = document.createElement('span');
            probe.style.color = 'var(--unverified)';
            document.body.append(probe);
            return getComputedStyle(probe).color;
        }"""
    )
    weight, colour = time.evaluate(
        "e => [getComputedStyle(e).fontWeight, getComputedStyle(e).color]"
    )
    assert (weight == "700", colour == amber if old else True) == (old, True)


def test_a_page_that_was_left_open_says_it_anew(page_at, ran):
    page = page_at(ran)
    page.clock.set_fixed_time(ran + timedelta(days=120))
    page.evaluate("dispatchEvent(new Event('pageshow'))")
    assert "120 days ago" in page.locator("#ban p.verification").first.inner_text()
    assert (
        page.locator("#ban p.verification .age").count()
        == page.locator("#ban p.verification time").count()
    )


def test_a_clock_that_is_wrong_says_nothing(page_at, ran):
    page = page_at(ran - timedelta(days=2))
    assert page.locator("p.verification .age").count() == 0


def test_it_says_once_a_procedure_that_it_was_a_test_container(page_at, ran):
    page = page_at(ran)
    for line in page.locator("article p.verification").all_inner_texts():
        assert "test container" in line or line.startswith("Never run")
        assert len(line) < 160
