"""What a page is to a reader on call: light, whole on a telephone, readable without a script."""

from __future__ import annotations

import pytest

from runbooks.testing.page.pages import Page
from tests.page.conftest import SOURCE
from tests.page.view.browser import window

NAMES = sorted(source.stem for source in SOURCE.glob("*.rst"))

#: All that is fetched for a first view of a page, in bytes.
WEIGHT = 400_000


@pytest.fixture(scope="module", params=(390, 1440))
def lists(request, browser, address):
    """The page with the procedures, all of it unfolded."""
    width = request.param
    context = window(browser, viewport={"width": width, "height": 800}, has_touch=width < 600)
    page = context.new_page()
    page.goto(f"{address}lists.html", wait_until="load")
    page.locator("button.copybtn").first.wait_for()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    yield page
    context.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_first_view_weighs_little_and_comes_from_one_place(browser, address, name):
    context = window(browser)
    page = context.new_page()
    weights, broken = {}, []
    page.on("console", lambda message: broken.append(message.text))
    page.on("response", lambda answer: weights.update({answer.url: len(answer.body())}))
    answer = page.goto(f"{address}{name}.html", wait_until="networkidle")
    # A policy that is broken is told on the console.
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert broken == []
    assert len(weights) > 5
    assert all(url.startswith(address) for url in weights)
    heaviest = sorted(weights.items(), key=lambda one: -one[1])[:4]
    assert sum(weights.values()) <= WEIGHT, heaviest
    context.close()


def test_a_copy_button_covers_no_code(lists):
    covered = lists.evaluate(
        """() => [...document.querySelectorAll('div.command')].flatMap(block => {
            const pre = block.querySelector('pre').getBoundingClientRect();
            const button = block.querySelector('button.copybtn').getBoundingClientRect();
            const {bottom} = block.getBoundingClientRect();
            return button.left < pre.right - 1 || button.bottom > bottom + 1
                ? [block.textContent.slice(0, 60)] : [];
        })"""
    )
    assert covered == []


#: The parts of commands and literals that are broken inside: a part of a path, a host, an option.
BROKEN = """() => {
    const found = [];
    for (const block of document.querySelectorAll(
            'article div.highlight-sh.command pre, article code.literal')) {
        const width = block.getBoundingClientRect().width;
        const texts = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            for (const word of texts.currentNode.data.matchAll(/[\\w.+-]{2,}/g)) {
                const range = document.createRange();
                range.setStart(texts.currentNode, word.index);
                range.setEnd(texts.currentNode, word.index + word[0].length);
                const tops = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
                if (tops.size > 1) found.push(word[0]);
            }
        }
    }
    return found;
}"""


def test_no_path_is_broken_inside_a_word(lists):
    # Behind a hyphen is no inside.
    assert [word for word in lists.evaluate(BROKEN) if "-" not in word] == []


def test_a_question_is_seen_with_its_answer(lists):
    cut, questions = lists.evaluate(
        """() => {
            const found = [...document.querySelectorAll('pre.output strong.typed')];
            return [found.filter(answer => answer.getBoundingClientRect().right
                    > answer.closest('pre').getBoundingClientRect().right)
                .map(answer => answer.parentElement.textContent), found.length];
        }"""
    )
    assert questions > 5
    assert cut == []


def test_what_scrolls_shows_it(lists):
    plain, scrolling = lists.evaluate(
        """() => {
            const found = [...document.querySelectorAll('pre')].filter(pre =>
                pre.scrollHeight > pre.clientHeight + 1 || pre.scrollWidth > pre.clientWidth + 1);
            return [found.filter(pre => !/gradient/.test(getComputedStyle(pre).backgroundImage))
                .map(pre => pre.textContent.slice(0, 60)), found.length];
        }"""
    )
    assert scrolling > 3
    assert plain == []


@pytest.mark.parametrize("anchor", ["ban-create-ban-py", "clear-lock-by-hand"])
def test_without_a_script_every_block_is_readable(browser, address, published, anchor):
    context = window(browser, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}lists.html#{anchor}")
    blocks = Page(published, "lists").blocks
    shown = page.locator("article pre:visible").all_inner_texts()
    assert [text.strip("\n") for text in shown] == [block.text.strip("\n") for block in blocks]
    box = page.locator(f"#{anchor} > :is(h3, h4)").bounding_box()
    assert 0 <= box["y"] < 400
    # Nothing is there that only a script makes work.
    assert page.locator("button.copybtn").count() == 0
    assert page.locator("p.verification:visible .age").count() == 0
    context.close()
