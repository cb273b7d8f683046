"""The list of procedures, in the order of the page. The folder of a new one is entered here."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbooks.book.procedure import Procedure
    from runbooks.mailman.installation import Installation

#: Each has what is printed in page.py, and its subcommands in command.py.
FOLDERS = ("ban", "clear_lock", "unsubscribe", "add_list", "scripted_change")


@cache
def all_procedures() -> tuple[Procedure[Installation, Any], ...]:
    """Every procedure. Loads all the pages, which ``runbook`` itself does not need."""
    pages = [importlib.import_module(f"runbooks.{folder}.page") for folder in FOLDERS]
    # Each has arguments of its own kind.
    found = [procedure for page in pages for procedure in page.PROCEDURES]
    ordered = [procedure for procedure in found if not procedure.follows]
    late = [procedure for procedure in found if procedure.follows]
    while late:
        names = [procedure.name for procedure in ordered]
        one = next((one for one in late if one.follows in names), None)
        if one is None:
            raise ValueError(f"{late[0].name} follows {late[0].follows!r}, which is no procedure")
        ordered.insert(names.index(one.follows) + 1, one)
        late.remove(one)
    return tuple(ordered)


def find(name: str) -> Procedure[Installation, Any]:
    """The procedure called `name`. Raises KeyError."""
    return {procedure.name: procedure for procedure in all_procedures()}[name]
