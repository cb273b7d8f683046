"""What is folded on a page until a reader wants it.

It is open in the page as it is built, so that nobody needs a script to read it; the script
``folded.js`` folds it, and opens it for a link to something inside and for paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes

from runbooks.sphinxext import scripts

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SCRIPT = "folded.js"


class folded(nodes.General, nodes.Element):
    """What is folded, below a line that says what it is."""


def folding(summary: str) -> folded:
    """A node whose children are folded below `summary`."""
    return folded(summary=summary)


def _visit(self: Any, node: nodes.Element) -> None:
    self.body.append(f"<details open><summary>{self.encode(node['summary'])}</summary>\n")


def _depart(self: Any, node: nodes.Element) -> None:
    self.body.append("</details>\n")


def _pass(self: Any, node: nodes.Element) -> None:
    """Where nothing can be folded, all of it is there."""


def setup(app: Sphinx) -> None:
    out = (_pass, _pass)
    app.add_node(folded, html=(_visit, _depart), man=out, text=out, latex=out)
    # Other scripts scroll to what it opens.
    scripts.add(app, SCRIPT, folded, priority=100)
