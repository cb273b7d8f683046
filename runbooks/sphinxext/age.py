"""Dates on a page: how they are written, and how old they are in the reader's browser.

A page is read long after it was built. So it has the date alone, and the script ``age.js`` adds how
long ago that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes

from runbooks.book.dates import Words, written
from runbooks.sphinxext import scripts

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SCRIPT = "age.js"


class time_node(nodes.Inline, nodes.TextElement):
    """A date, which a browser can read."""


def as_nodes(words: Words) -> Iterator[nodes.Node]:
    """The words, to be put into a paragraph."""
    for word in words:
        if isinstance(word, str):
            yield nodes.Text(word)
        else:
            yield time_node("", written(word), moment=word.isoformat())


def as_html(words: Words) -> str:
    """The same for a template, which has no nodes."""
    return "".join(
        escape(word)
        if isinstance(word, str)
        else f'<time datetime="{word.isoformat()}">{written(word)}</time>'
        for word in words
    )


def _visit(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "time", "", datetime=node["moment"]))


def _depart(self: Any, node: nodes.Element) -> None:
    self.body.append("</time>")


def _pass(self: Any, node: nodes.Element) -> None:
    pass


def setup(app: Sphinx) -> None:
    text = (_pass, _pass)
    app.add_node(time_node, html=(_visit, _depart), man=text, text=text, latex=text)
    scripts.add(app, SCRIPT, time_node)
