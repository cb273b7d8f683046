"""The list of procedures, in the order of the page. The folder of a new one is entered here."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbooks.book.procedure import Procedure

#: Each has what is printed in page.py, and its subcommands in command.py.
FOLDERS = ("add_list", "scripted_change", "ban", "clear_lock")


@cache
def all_procedures() -> tuple[Procedure, ...]:
    """Every procedure. Loads all the pages, which ``runbook`` itself does not need."""
    pages = [importlib.import_module(f"runbooks.{folder}.page") for folder in FOLDERS]
    return tuple(procedure for page in pages for procedure in page.PROCEDURES)


def find(name: str) -> Procedure:
    """The procedure called `name`. Raises KeyError."""
    return {procedure.name: procedure for procedure in all_procedures()}[name]
