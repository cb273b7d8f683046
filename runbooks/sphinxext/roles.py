"""Roles that mark a literal for which there is nothing to look up, and say why.

Every other literal in a sentence names something: a program, an option, a path, an attribute of a
list. The tests look each of them up, on a list server or in the command, and do not let a name
pass that nothing answers to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from docutils import nodes, utils

if TYPE_CHECKING:
    from docutils.parsers.rst.states import Inliner
    from sphinx.application import Sphinx

#: An address, a host, a path or a pattern that stands for the reader's own.
EXAMPLE = "example"
#: Something that is real and that no list server under test has: of a mail server, of other people.
ELSEWHERE = "elsewhere"

MARKS = (EXAMPLE, ELSEWHERE)

#: A literal that is looked up, with names from ``doc/site.toml`` in it: see `glance`.
OURS = "ours"


def mark(
    name: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Inliner,
    options: Mapping[str, Any] | None = None,
    content: Sequence[str] = (),
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """A literal as between double backquotes, backslashes included, with the role as its class."""
    literal = utils.unescape(text, restore_backslashes=True)
    return [nodes.literal(rawtext, literal, classes=[name])], []


def setup(app: Sphinx) -> None:
    for name in MARKS:
        app.add_role(name, mark)
