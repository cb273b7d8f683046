"""What is folded on a page until a reader wants it.

It is open in the page as it is built, so that nobody needs a script to read it; the script
``folded.js`` folds it, and opens it for a link to something inside and for paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes

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


def _add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """On the pages that have something to fold. Other scripts scroll to what it opens."""
    if doctree is not None and any(True for _ in doctree.findall(folded)):
        app.add_js_file(SCRIPT, loading_method="defer", priority=100)


def setup(app: Sphinx) -> None:
    out = (_pass, _pass)
    app.add_node(folded, html=(_visit, _depart), man=out, text=out, latex=out)
    app.connect("html-page-context", _add_script)
