"""Links to a procedure that the page leaves out: what they say stays, without a link."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from docutils import nodes

from runbooks.mailman.printed import anchor, by_command, steps_of
from runbooks.procedures import all_procedures, known

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


@cache
def anchors() -> dict[str, str]:
    """The anchors that the page would have, and the title of the procedure or the step."""
    found = {}
    for procedure in known().values():
        if procedure not in all_procedures():
            found[anchor(procedure)] = procedure.title
            for step in (*by_command(procedure), *steps_of(procedure)):
                found[anchor(procedure, step.name)] = step.title
    return found


def _leave_out(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.Node | None:
    """None for a link to what there is nowhere, of which Sphinx warns."""
    title = anchors().get(node["reftarget"]) if node.get("reftype") == "ref" else None
    if title is None:
        return None
    text = contnode.astext() if node["refexplicit"] else title
    return nodes.inline("", text) if node["refexplicit"] else nodes.emphasis("", text)


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", _leave_out)
