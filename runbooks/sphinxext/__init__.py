"""Sphinx extension: prints procedures on a page, the command's help, and when both were last run.

Directives: ``procedure NAME`` under a heading that is its title; ``procedure-index`` and
``procedure-commands`` for all of them; ``installation`` for where things are; ``at-a-glance`` for
whose page it is; ``command-help`` for the command line; ``typed`` for the form in which a reader
types once what the commands are about; ``verification`` for the table of what was run;
``metrics`` and ``alerts`` for what Prometheus is told; ``shared-page`` for a page that is the same
for every team. No command of a procedure is typed in a page. Roles: ``example`` and ``elsewhere``
for a literal that cannot be looked up, ``ours`` for one with names from ``site.toml`` in it. That
file is beside the folder of the pages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    from runbooks.book.whose import VARIABLE, whose
    from runbooks.errors import BadInputError

    beside = Path(app.confdir).parent / "site.toml"
    # Whoever names another file means that one.
    if beside.is_file() and not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(beside)
    try:
        whose()
        from runbooks.procedures import known

        known()
    except BadInputError as problem:
        # An error of Sphinx's own would be told with a traceback.
        print(f"sphinx-build: {problem}", file=sys.stderr)
        raise SystemExit(problem.exit_status) from None
    from runbooks.sphinxext import (
        age,
        alerts,
        blocks,
        commands,
        described,
        directives,
        folded,
        found,
        getting,
        glance,
        leftout,
        roles,
        shared,
        typed,
        verification,
    )

    age.setup(app)
    alerts.setup(app)
    blocks.setup(app)
    commands.setup(app)
    described.setup(app)
    directives.setup(app)
    folded.setup(app)
    found.setup(app)
    getting.setup(app)
    glance.setup(app)
    leftout.setup(app)
    roles.setup(app)
    shared.setup(app)
    typed.setup(app)
    verification.setup(app)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
