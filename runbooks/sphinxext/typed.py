"""What a reader types once, at the top of a page: in every command and file of the page.

The directive ``typed`` puts a form on the page, hidden until the script ``typed.js`` is there. The
script has no rules and no places of its own: the form carries the rules that the command applies,
and each block where in it the arguments stand, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from runbooks.add_list.rules import NOT_AN_OPTION
from runbooks.ban.entries import ADDRESS_RULES, ENTRY_RULES
from runbooks.book.procedure import Procedure, Step
from runbooks.book.typed import ADDRESS, HOST, LIST, Place, Value, places_of_steps
from runbooks.host.host import HOST_RULES
from runbooks.mailman.documented import LISTED, SERVER, TARGET
from runbooks.mailman.installation import Installation
from runbooks.mailman.printed import by_command, steps_of
from runbooks.refusals import LIST_RULES, Rule
from runbooks.sphinxext import scripts

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SCRIPT = "typed.js"

#: What the page leaves to the command, which tries a pattern and asks about it.
ONLY_BY_COMMAND = (
    Rule(r"^\^", "{text} is a pattern, which the command alone can check: put it in yourself"),
)

#: What the page refuses, by what is typed.
RULES: Mapping[str, Sequence[Rule]] = {
    ADDRESS: (*ENTRY_RULES, *ONLY_BY_COMMAND, *ADDRESS_RULES),
    LIST: (*LIST_RULES, NOT_AN_OPTION),
    HOST: (
        *HOST_RULES,
        Rule(
            r"^(?!practice:)[^?#]*[\[\]]",
            "{text} has brackets, which the command alone can check: put it in yourself",
        ),
    ),
}

#: The fields of the form: what is typed, its label, and an example.
_FIELDS = (
    (ADDRESS, "Addresses", TARGET),
    (LIST, "List", LISTED),
    (HOST, "Host", f"ssh://root@{SERVER}"),
)


class typed_form(nodes.General, nodes.Element):
    """Where a reader types."""


class typed_block(nodes.literal_block):
    """A block that knows where in it arguments stand."""


@cache
def places_of(procedure: Procedure[Installation, Any]) -> Mapping[str, tuple[Place, ...]]:
    """The places in the steps of a procedure, both ways, by the names of the steps."""

    def steps(arguments: Any) -> Sequence[Step]:
        told = replace(procedure, example=arguments)
        return (*by_command(told), *steps_of(told))

    return places_of_steps(steps, procedure.example)


def as_json(places: Sequence[Place]) -> str:
    """The places as the script reads them."""
    return json.dumps(
        [
            {
                **asdict(place),
                "pieces": [
                    asdict(piece) if isinstance(piece, Value) else piece for piece in place.pieces
                ],
            }
            for place in places
        ],
        separators=(",", ":"),
    )


class TypedDirective(SphinxDirective):
    """``typed``: the form, below the title of the page that has the procedures."""

    def run(self) -> list[nodes.Node]:
        return [typed_form()]


def _visit_form(self: Any, node: nodes.Element) -> None:
    rules = json.dumps({kind: [asdict(rule) for rule in of] for kind, of in RULES.items()})
    fields = "".join(
        f'<div class="field {kind}"><label for="typed-{kind}">{label}</label>'
        + _input(kind, escape(example))
        + "</div>"
        for kind, label, example in _FIELDS
    )
    self.body.append(
        f'<form id="typed" aria-label="Your own values" autocomplete="off"'
        f' data-rules="{escape(rules)}" hidden>{fields}'
        '<button type="reset" disabled>Back to the examples</button>'
        '<p id="typed-said" role="status"></p>'
        '<p class="note" hidden>In the commands, <mark class="typed">what you typed</mark> looks'
        " like this, and stays in this browser. The rest is what was verified; outputs are shown"
        " for the examples.</p></form>"
    )
    raise nodes.SkipNode


def _input(kind: str, example: str) -> str:
    attributes = (
        f'id="typed-{kind}" data-kind="{kind}" placeholder="{example}" spellcheck="false"'
        ' autocapitalize="off" autocomplete="off" aria-describedby="typed-said"'
    )
    if kind == ADDRESS:
        return f'<textarea rows="1" inputmode="email" {attributes}></textarea>'
    return f'<input type="text" {attributes}>'


def _visit_block(self: Any, node: nodes.Element) -> None:
    try:
        self.visit_literal_block(node)
    except nodes.SkipNode:
        attribute = escape(as_json(node["places"]))
        self.body[-1] = self.body[-1].replace("<div ", f'<div data-typed="{attribute}" ', 1)
        raise


def _leave_out(self: Any, node: nodes.Element) -> None:
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_directive("typed", TypedDirective)
    # Without a script there is nothing to type into.
    out = (_leave_out, None)
    app.add_node(typed_form, html=(_visit_form, None), man=out, text=out, latex=out)
    app.add_node(typed_block, html=(_visit_block, None))
    scripts.add(app, SCRIPT, typed_form)
