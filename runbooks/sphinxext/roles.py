"""Roles that mark a literal for which there is nothing to look up, and say why.

Every other literal in a sentence names something: a program, an option, a path, an attribute of a
list. The tests look each of them up, on a list server or in the command, and do not let a name
pass that nothing answers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def literal(
    text_of: Callable[[str], str] = str, *, marked: bool = False
) -> Callable[..., tuple[list[nodes.Node], list[nodes.system_message]]]:
    """A role for a literal as between double backquotes, backslashes included.

    `text_of`: what it shows of what is written. `marked`: with the role as its class.
    """

    def role(
        name: str,
        rawtext: str,
        text: str,
        lineno: int,
        inliner: Inliner,
        options: Mapping[str, Any] | None = None,
        content: Sequence[str] = (),
    ) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        shown = text_of(utils.unescape(text, restore_backslashes=True))
        return [nodes.literal(rawtext, shown, classes=[name] if marked else [])], []

    return role


def setup(app: Sphinx) -> None:
    for name in MARKS:
        app.add_role(name, literal(marked=True))
