"""The list of procedures, in the order of the page. A new one is entered here."""

from __future__ import annotations

from runbooks import add_list, ban, clear_lock, scripted_change
from runbooks.procedure import Procedure

PROCEDURES: tuple[Procedure, ...] = (
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


def find(name: str) -> Procedure:
    """The procedure called `name`. Raises KeyError."""
    return {procedure.name: procedure for procedure in PROCEDURES}[name]
