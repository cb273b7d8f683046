"""The list of procedures, in the order of the page. A new one is entered here."""

from __future__ import annotations

from typing import Any

from runbooks.add_list import page as add_list
from runbooks.ban import page as ban
from runbooks.book.procedure import Procedure
from runbooks.clear_lock import page as clear_lock
from runbooks.mailman.installation import Installation
from runbooks.scripted_change import page as scripted_change

#: Each has arguments of its own kind.
PROCEDURES: tuple[Procedure[Installation, Any], ...] = (
    add_list.PROCEDURE,
    scripted_change.PROCEDURE,
    scripted_change.FIND,
    scripted_change.CLOSE,
    scripted_change.OPEN,
    ban.PROCEDURE,
    ban.UNBAN,
    ban.PATTERN,
    clear_lock.PROCEDURE,
)


def find(name: str) -> Procedure[Installation, Any]:
    """The procedure called `name`. Raises KeyError."""
    return {procedure.name: procedure for procedure in PROCEDURES}[name]
