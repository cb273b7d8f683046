"""The inline literals of the built pages, and what stands around each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bs4 import Tag

from runbooks.sphinxext.roles import MARKS
from runbooks.testing.page.pages import Block, Page

#: What holds sentences.
PARAGRAPH = ("p", "dt", "dd", "li", "figcaption", "td", "h1", "h2", "h3", "h4")


@dataclass(frozen=True)
class Literal:
    """A word, or a few, in a fixed-width font inside a sentence."""

    page: str
    #: of the section that it is in
    anchor: str
    #: on one line
    text: str
    #: the role that says why there is nothing to look up, or ""
    mark: str
    #: the other literals of the same paragraph, and of the same sentence
    beside: tuple[str, ...]
    in_sentence: tuple[str, ...]
    #: the commands of the nearest section that has any, for a list server or of tox; none at the
    #: top of a page
    commands: tuple[str, ...]
    #: every block of the page: what is printed there is run, or included from a file
    blocks: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}.html#{self.anchor}: ``{self.text}``"


def literals(page: Page) -> Iterator[Literal]:
    """All of a page, in its order. What click or a lexer made is none."""
    blocks = page.blocks
    for tag in page.article.select("code.literal"):
        around = tag.find_parent(PARAGRAPH) or tag
        section = tag.find_parent("section")
        classes = set(tag.get("class") or ())
        yield Literal(
            page=page.name,
            anchor=str(section["id"]) if section else "",
            text=_line(tag),
            mark=next((mark for mark in MARKS if mark in classes), ""),
            beside=tuple(_line(one) for one in around.select("code.literal") if one is not tag),
            in_sentence=tuple(_line(one) for one in _sentence(tag, around) if one is not tag),
            commands=_commands(section, blocks),
            blocks=tuple(block.text for block in blocks),
        )


def _sentence(tag: Tag, paragraph: Tag) -> list[Tag]:
    """The literals between the full stops around `tag`."""
    found: list[Tag] = []
    for node in paragraph.descendants:
        if isinstance(node, Tag):
            found += [node] if node in paragraph.select("code.literal") else []
        elif node.find_parent("code") is None and re.search(r"[.!?](\s|$)", str(node)):
            if any(one is tag for one in found):
                break
            found = []
    return found


def _line(tag: Tag) -> str:
    return " ".join(tag.get_text().split())


def _commands(section: Tag | None, blocks: list[Block]) -> tuple[str, ...]:
    # The outermost section is the page: what it says is not about one command.
    while section is not None and section.find_parent("section") is not None:
        inside = {str(section["id"]), *(str(one["id"]) for one in section.find_all("section"))}
        found = tuple(
            block.text
            for block in blocks
            if (block.kind == "command" or block.text.startswith("tox ")) and block.anchor in inside
        )
        if found:
            return found
        section = section.find_parent("section")
    return ()
