"""Puts a script on the pages that it is for, and on no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def add(app: Sphinx, script: str, kind: type[nodes.Element], priority: int = 500) -> None:
    """Have each page that has a node of this `kind` load a script; a low `priority` comes first."""

    def load(
        app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
    ) -> None:
        if doctree is not None and any(True for _ in doctree.findall(kind)):
            app.add_js_file(script, loading_method="defer", priority=priority)

    app.connect("html-page-context", load)
