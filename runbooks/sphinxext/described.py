"""Describes each page to a search engine, or to whoever is sent a link: its first paragraph."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: As much as is usually shown.
LENGTH = 160

#: Pages that have no text of ours.
GENERATED = {
    "genindex": "The index of the procedures, with the words that people look for.",
    "search": "Search the procedures for the mailing lists.",
}


def shortened(text: str) -> str:
    """As many whole sentences of a text as fit; of a long one as many words."""
    found = ""
    for sentence in re.split(r"(?<=[.!?]) ", " ".join(text.split())):
        if len(found) + len(sentence) >= LENGTH:
            break
        found = f"{found} {sentence}".strip()
    return found or " ".join(text.split())[:LENGTH].rpartition(" ")[0] + " …"


def _describe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    paragraphs = doctree.findall(nodes.paragraph) if doctree is not None else ()
    first = next((one.astext() for one in paragraphs), GENERATED.get(pagename))
    context["description"] = shortened(first or app.config.project)


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", _describe)
