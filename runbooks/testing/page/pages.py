"""The built pages, read as a reader's browser reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag


@dataclass(frozen=True)
class Block:
    """A block of text in a fixed-width font."""

    page: str
    #: ``command``, ``output``, ``index`` (a command that stands again further down), or ``other``
    kind: str
    #: what the copy button puts on the clipboard, or what stands there
    text: str
    #: the anchor of the section that it is in
    anchor: str

    @property
    def place(self) -> str:
        return f"{self.page}.html#{self.anchor}"


class Page:
    """One HTML file of the built site."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.path = root / f"{name}.html"

    @cached_property
    def soup(self) -> BeautifulSoup:
        return BeautifulSoup(self.path.read_text(encoding="utf-8"), "html.parser")

    @cached_property
    def article(self) -> Tag:
        found = self.soup.find("article")
        assert isinstance(found, Tag), f"{self.path} has no article"
        return found

    @property
    def build(self) -> str:
        """The name of this build of the page, as the page's head gives it."""
        meta = self.soup.find("meta", attrs={"name": "runbook-build"})
        assert isinstance(meta, Tag), f"{self.path} does not name its build"
        return str(meta["content"])

    @property
    def blocks(self) -> list[Block]:
        """All blocks of the page, in its order."""
        return [self._block(pre) for pre in self.article.find_all("pre")]

    def _block(self, pre: Tag) -> Block:
        wrapper = pre.find_parent("div", class_=re.compile("^highlight-"))
        classes = {*(pre.get("class") or ()), *((wrapper.get("class") if wrapper else None) or ())}
        kind = next((kind for kind in ("command", "output") if kind in classes), "other")
        if kind == "command" and pre.find_parent("div", class_="procedures"):
            kind = "index"
        section = pre.find_parent("section")
        anchor = str(section["id"]) if section else ""
        is_copied = kind in ("command", "index")
        text = copied(pre) if is_copied else pre.get_text().strip("\n")
        return Block(self.name, kind, text, anchor)

    def sections(self) -> list[str]:
        """The anchors of all sections, in the page's order."""
        return [str(section["id"]) for section in self.article.find_all("section", id=True)]

    def links(self, anchor: str) -> list[str]:
        """The anchors of this page that a section links to."""
        section = self.article.find("section", id=anchor)
        if not isinstance(section, Tag):
            return []
        return [str(link["href"])[1:] for link in section.select('a.reference[href^="#"]')]

    @property
    def ids(self) -> set[str]:
        return {str(tag["id"]) for tag in self.soup.find_all(id=True)}

    def text_of(self, selector: str) -> list[str]:
        """The text of each element that a CSS selector finds, on one line."""
        return [" ".join(tag.get_text().split()) for tag in self.soup.select(selector)]


def copied(pre: Tag) -> str:
    """What the copy button makes of a block.

    sphinx-copybutton clones the block, removes what is excluded (line numbers) and takes the
    text. With no prompts configured it keeps every line, and drops one newline at the end, so
    that pasting runs nothing by itself. `script_settings` tells whether it is so configured; the
    tests with a browser press every button and compare.
    """
    text = pre.get_text()
    return text[:-1] if text.endswith("\n") else text


def script_settings(root: Path) -> dict[str, Any]:
    """How the copy button of the built site is set: its selector, what it excludes, its prompts."""
    script = (root / "_static" / "copybutton.js").read_text(encoding="utf-8")
    call = re.search(r"return formatCopyText\(text, (.*)\)\n", script)
    selector = re.search(r"COPYBUTTON_SELECTOR = '([^']*)'", script)
    exclude = re.search(r"let exclude = '([^']*)'", script)
    assert call, "copybutton.js has another form than the one that is known here"
    assert selector
    assert exclude
    return {
        "selector": selector.group(1),
        "exclude": exclude.group(1),
        "arguments": call.group(1),
    }


def names(root: Path) -> list[str]:
    """The pages that were written, without the search page and the index."""
    generated = {"search", "genindex"}
    return sorted(path.stem for path in root.glob("*.html") if path.stem not in generated)
