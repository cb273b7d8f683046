"""How much a reader of the page has to read, and that nothing is said twice."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from bs4 import BeautifulSoup

from runbooks.procedures import all_procedures
from runbooks.testing.page.pages import Page

#: Whoever reads it at night reads all of it.
MOST_WORDS = 1900


def paragraphs(page: Page) -> list[str]:
    """What a reader of the page reads, besides headings, blocks and when a procedure was run."""
    article = BeautifulSoup(str(page.article), "html.parser")
    for tag in article.select("pre, form, a.headerlink, p.verification, p.silent, p.download"):
        tag.decompose()
    return [
        " ".join(tag.get_text(" ").split())
        for tag in article.select("p, dt, dd, li, summary")
        if not tag.find_parent(["p", "dt"])
        if tag.name not in ("dd", "li") or not tag.find("p")
    ]


def test_the_page_is_short(lists_page):
    number = sum(len(text.split()) for text in paragraphs(lists_page))
    assert MOST_WORDS / 2 < number <= MOST_WORDS


def test_nothing_is_said_twice(lists_page):
    sentences = Counter(
        sentence
        for text in paragraphs(lists_page)
        for sentence in re.split(r"(?<=[.:;]) ", text)
        if len(sentence.split()) > 8 and " steps on " not in sentence
    )
    assert [one for one, times in sentences.items() if times > 1] == []


@pytest.mark.parametrize("procedure", all_procedures(), ids=lambda procedure: procedure.name)
def test_when_to_use_a_procedure_is_said_in_two_sentences(procedure):
    assert len(re.findall(r"[.!?](?=\s|$)", procedure.when)) <= 2, procedure.when
