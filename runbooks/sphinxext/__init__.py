"""Sphinx extension: prints procedures on a page, the command's help, and when both were last run.

Directives: ``procedure NAME`` under a heading that is its title; ``procedure-index`` and
``procedure-commands`` for all of them; ``installation`` for where things are; ``command-help`` for
the command line; ``typed`` for the form in which a reader types once what the commands are about;
``verification`` for the table of what was run. No command of a procedure is
typed in a page. Roles: ``example`` and ``elsewhere`` for a literal that cannot be looked up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    from runbooks.sphinxext import (
        age,
        blocks,
        commands,
        described,
        directives,
        found,
        getting,
        roles,
        typed,
        verification,
    )

    age.setup(app)
    blocks.setup(app)
    commands.setup(app)
    described.setup(app)
    directives.setup(app)
    found.setup(app)
    getting.setup(app)
    roles.setup(app)
    typed.setup(app)
    verification.setup(app)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
