"""The list of procedures, in the order of the page. The folder of a new one is entered here.

A page may have some of them only, and others from a package of its own: ``procedures`` in its
``site.toml`` names them. The command ``runbook`` has all of ours, those that the page takes in, and
those of every package that is installed beside it and says so.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks.book.whose import whose, wrong_procedure
from runbooks.errors import BadInputError, did_you_mean

if TYPE_CHECKING:
    from runbooks.book.procedure import Procedure
    from runbooks.mailman.installation import Installation

#: Each has what is printed in page.py, and its subcommands in command.py.
FOLDERS = ("ban", "clear_lock", "unsubscribe", "add_list", "scripted_change")

#: The entry points of another package: each value is such a module. The command has their
#: subcommands; a page has their procedures only if its file names them.
GROUP = "runbooks.procedures"


def module_of(name: str) -> str:
    """The module that a name in ``site.toml`` stands for."""
    return f"runbooks.{name}" if name in FOLDERS else name


@cache
def named() -> tuple[str, ...]:
    """The modules of the procedures that the page has. Raises BadInputError."""
    for number, name in enumerate(whose().procedures):
        if (why := _unknown(name)) is not None:
            raise wrong_procedure(number, why)
    return tuple(map(module_of, whose().procedures or FOLDERS))


def _unknown(name: str) -> str | None:
    if "." in name or name in FOLDERS:
        return None
    hint = did_you_mean(name, FOLDERS) or f"; there are: {', '.join(FOLDERS)}"
    return f"there is no folder {name!r}{hint}; a module of another package has a dot"


@cache
def modules() -> tuple[str, ...]:
    """The modules of all that there are: ours, and those that the page takes in."""
    return tuple(dict.fromkeys((*map(module_of, FOLDERS), *named())))


def installed() -> tuple[str, ...]:
    """The modules that other packages, where they are installed, say have procedures."""
    from importlib.metadata import entry_points  # takes as long as a command

    return tuple(sorted(point.value for point in entry_points(group=GROUP)))


def taken_in() -> list[Path]:
    """The folders of the modules that are not of this package."""
    ours = [module_of(folder) for folder in FOLDERS]
    files = [importlib.import_module(one).__file__ for one in modules() if one not in ours]
    return [Path(file).parent for file in files if file is not None]


def load(module: str, part: str, member: str) -> Any:
    """A member of one of them, or of a part of it, which is imported. Raises BadInputError."""
    path = f"{module}.{part}" if part else module
    try:
        loaded = importlib.import_module(path)
    except ImportError as e:
        raise _wrong(module, f"{path} cannot be imported: {e}") from e
    if not hasattr(loaded, member):
        raise _wrong(module, f"{path} has no {member}")
    return getattr(loaded, member)


def _wrong(module: str, why: str) -> Exception:
    if module in whose().procedures:
        return wrong_procedure(whose().procedures.index(module), why)
    return BadInputError(why)


@cache
def _procedures(module: str) -> tuple[Procedure[Installation, Any], ...]:
    # Each has arguments of its own kind.
    return tuple(load(module, "page", "PROCEDURES"))


@cache
def known() -> dict[str, Procedure[Installation, Any]]:
    """Every procedure, on the page or not, by its name. Loads all the pages."""
    found: dict[str, Procedure[Installation, Any]] = {}
    for module in modules():
        for procedure in _procedures(module):
            if procedure.name in found:
                raise BadInputError(f"{module}: there is another procedure {procedure.name!r}")
            found[procedure.name] = procedure
    for procedure in found.values():
        for name, what in ((procedure.follows, "follows"), (procedure.after, "comes after")):
            if name and name not in found:
                raise BadInputError(f"{procedure.name} {what} {name!r}, which is no procedure")
    return found


@cache
def all_procedures() -> tuple[Procedure[Installation, Any], ...]:
    """Every procedure of the page. Loads the pages, which ``runbook`` itself does not need."""
    known()
    named()
    return procedures_of(whose().procedures)


def procedures_of(names: Sequence[str]) -> tuple[Procedure[Installation, Any], ...]:
    """What a page has that names these, or none. Raises BadInputError."""
    for name in names:
        if (why := _unknown(name)) is not None:
            raise BadInputError(why)
    found = map(_procedures, map(module_of, names or FOLDERS))
    return ordered([one for procedures in found for one in procedures])


def ordered(
    found: Iterable[Procedure[Installation, Any]],
) -> tuple[Procedure[Installation, Any], ...]:
    """Procedures with each behind the one that it follows, if that is one of them."""
    late = [*found]
    names = {procedure.name for procedure in late}
    placed = [procedure for procedure in late if procedure.follows not in names]
    late = [procedure for procedure in late if procedure.follows in names]
    while late:
        there = [procedure.name for procedure in placed]
        one = next((one for one in late if one.follows in there), None)
        if one is None:
            raise BadInputError(f"{late[0].name} follows {late[0].follows}, which follows it")
        placed.insert(there.index(one.follows) + 1, one)
        late.remove(one)
    return tuple(placed)


def find(name: str) -> Procedure[Installation, Any]:
    """The procedure called `name`, on the page or not. Raises KeyError."""
    return known()[name]
