"""Every page in a real browser, on a telephone and on a desk, light and dark."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from runbooks.procedures import all_procedures
from runbooks.testing.page.pages import Page
from tests.page.conftest import BUILD, SOURCE
from tests.page.view.browser import until

NAMES = sorted(source.stem for source in SOURCE.glob("*.rst"))
GENERATED = ("genindex", "search")
WIDTHS = (360, 1440)
SCHEMES = ("light", "dark")

#: What reaches beyond the right edge of the window, but for what scrolls in a frame of its own.
BEYOND = """() => {
    const scrolls = element => {
        for (let at = element; at && at !== document.body; at = at.parentElement) {
            const style = getComputedStyle(at);
            if (['auto', 'scroll'].includes(style.overflowX))
                return at.matches('pre, .table-wrapper');
            if (style.position === 'fixed' || style.visibility === 'hidden') return true;
        }
        return false;
    };
    return [...document.querySelectorAll('article *, footer *, .mobile-header *')]
        .filter(element => element.getClientRects().length
            && element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element))
        .map(element => element.outerHTML.slice(0, 120));
}"""


#: The page has stopped scrolling.
STILL = """() => new Promise(done => {
    const before = scrollY;
    setTimeout(() => done(before === scrollY), 100);
})"""


@pytest.fixture(
    params=[f"{name}-{w}-{s}" for name in (*NAMES, *GENERATED) for w in WIDTHS for s in SCHEMES]
)
def seen(request, open_page):
    """A page at one width, in one colour scheme; a screenshot of it is kept."""
    name, width, scheme = request.param.rsplit("-", 2)
    page = open_page(f"{name}.html", int(width), scheme)
    until(
        page,
        "document.querySelectorAll('div.command pre').length"
        " === document.querySelectorAll('button.copybtn').length",
    )
    folder = BUILD / "screenshots"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{request.param}.png", full_page=True)
    return page


def test_a_page_fits_its_window_and_has_no_serious_fault(seen):
    assert seen.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert seen.evaluate(BEYOND) == []
    faults = [
        f"{fault['impact']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
        f" ({len(fault['nodes'])} of them)"
        for fault in Axe().run(seen).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_each_copy_button_puts_exactly_the_command_on_the_clipboard(
    open_page, published, name, width
):
    kinds = ("command", "index")
    commands = [block.text for block in Page(published, name).blocks if block.kind in kinds]
    page = open_page(f"{name}.html", width)
    page.evaluate(UNFOLD)
    if not commands:
        page.wait_for_timeout(500)
    buttons = page.locator("button.copybtn")
    if commands:
        buttons.first.wait_for()
    assert buttons.count() == len(commands)
    for button, command in zip(buttons.all(), commands, strict=True):
        page.evaluate("navigator.clipboard.writeText('')")
        button.scroll_into_view_if_needed()
        button.click()
        until(page, "navigator.clipboard.readText().then(text => text !== '')")
        assert page.evaluate("navigator.clipboard.readText()") == command


UNFOLD = "for (const one of document.querySelectorAll('details')) one.open = true"

#: Blocks of which a part is not to be seen without scrolling.
CUT_OFF = """selector => [...document.querySelectorAll(selector)]
    .filter(pre => pre.scrollHeight > pre.clientHeight + 1 || pre.scrollWidth > pre.clientWidth + 1)
    .map(pre => pre.textContent.slice(0, 80))"""


def test_a_command_is_seen_whole_on_a_telephone(open_page):
    """But for what creates a file: that is long, and scrolls; and those under the title."""
    page = open_page("lists.html", WIDTHS[0])
    page.evaluate(UNFOLD)
    assert page.evaluate(CUT_OFF, ":not(.procedures) > div.highlight-sh.command pre") == []


def test_an_option_is_not_broken_behind_its_dash(open_page):
    page = open_page("lists.html", WIDTHS[0])
    page.evaluate(UNFOLD)
    broken, options = page.evaluate(
        """() => {
            const found = [...document.querySelectorAll('div.highlight-sh.command .na')];
            return [found.filter(option => option.getClientRects().length > 1)
                .map(option => option.textContent), found.map(option => option.textContent)];
        }"""
    )
    assert broken == []
    assert {"-q", "-a", "-r", "--function"} <= set(options)


def test_nothing_is_cut_off_on_paper(open_page):
    page = open_page("lists.html", 720)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate(CUT_OFF, "article pre") == []
    # It is above the window, and at the foot of every sheet.
    assert not page.locator(".skip-to-content").is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_anchor_lands_on_its_heading(open_page, published, width):
    sections = Page(published, "lists").article.find_all("section")
    anchors = [str(section["id"]) for section in sections]
    assert len(anchors) > 20
    page = open_page("lists.html", width)
    address = page.url
    opened = {procedure.name for procedure in all_procedures()}
    for anchor in anchors:
        if anchor in opened:  # from a link elsewhere
            page.goto("about:blank")
            page.goto(f"{address}#{anchor}", wait_until="load")
        else:  # from a link on the page
            page.evaluate("anchor => { location.hash = anchor }", anchor)
        until(page, STILL)
        where = page.evaluate(
            """anchor => {
                const heading = document.getElementById(anchor).querySelector('h1, h2, h3, h4');
                const box = heading.getBoundingClientRect();
                const covered = Math.max(...['.mobile-header', '#typed'].map(above => {
                    const {bottom} = document.querySelector(above).getBoundingClientRect();
                    return scrollY ? bottom : 0;
                }));
                return {top: box.top - covered, below: innerHeight - box.bottom,
                        atEnd: scrollY + innerHeight >= document.body.scrollHeight - 2};
            }""",
            anchor,
        )
        assert where["top"] >= -1, f"#{anchor}: what stays in sight covers the heading"
        assert where["below"] >= 0, f"#{anchor}: the heading is below the window"
        assert where["top"] < 200 or where["atEnd"], f"#{anchor}: the page did not go there"


@pytest.mark.parametrize("width", WIDTHS)
def test_search_finds_the_stale_lock(open_page, width):
    page = open_page("search.html?q=stale+lock", width)
    found = page.locator("#search-results li a")
    found.first.wait_for()
    links = [link.get_attribute("href") or "" for link in found.all()]
    assert any(link.startswith("lists.html") for link in links), links


def test_the_published_page_says_what_was_run(published):
    """What stands on it is what `build/verification.json` has of this build, no more."""
    page = Page(published, "lists")
    path = published / "verification.json"
    records = json.loads(path.read_text("utf-8"))["records"] if path.exists() else []
    mine = [record for record in records if record["build"] == page.build]
    kinds = {
        kind
        for kind in ("verified", "unverified", "failed")
        if page.text_of(f"footer p.verification.{kind}")
    }
    if any(record["result"] != "passed" for record in mine):
        assert kinds == {"failed"}
    elif not mine:
        assert kinds == {"unverified"}
    else:
        assert kinds <= {"verified", "unverified"}
        (line,) = page.text_of("footer p.verification")
        for record in mine:
            assert ("stand-in" in line) >= record["standin"]
