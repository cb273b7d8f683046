"""Makes dataclasses of a TOML file, or names the file, the line and the key that will not do."""

from __future__ import annotations

import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from runbooks.errors import BadInputError
from runbooks.refusals import Rule, first

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

#: The names and numbers that lead to a value: ``("sites", 1, "domain")``.
Key = tuple[str | int, ...]

#: Where the parser says that it stopped.
_STOPPED = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class MisfitError(Exception):
    """A value is not what it should be."""

    def __init__(self, key: Key, why: str) -> None:
        super().__init__(why)
        self.key = key
        self.why = why


def load(kind: type[T], path: Path, check: Callable[[T], None]) -> T:
    """The file as a `kind`, a dataclass. Raises BadInputError.

    Every member without a default has to be there, and no other key. A member that is ``Annotated``
    with rules is refused by them. `check` raises MisfitError for what does not fit together.
    """
    try:
        # As the parser does; a line that ends in a carriage return is none to it.
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
        raise BadInputError(f"{path} cannot be read: {why}") from None
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise BadInputError(f"{path}, {_where_it_stopped(text, str(e))}") from None
    try:
        made: T = _dataclass(kind, (), parsed)
        check(made)
    except MisfitError as e:
        raise _refused(path, text, e) from None
    return made


def misfit(path: Path, key: Key, why: str) -> BadInputError:
    """The error for a value of a loaded file that only its use shows to be wrong."""
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    return _refused(path, text, MisfitError(key, why))


def _refused(path: Path, text: str, problem: MisfitError) -> BadInputError:
    return BadInputError(f"{path}, line {line_of(text, problem.key)}: {problem.why}")


def line_of(text: str, key: Key) -> int:
    """The line on which the file begins to speak of `key`, or of the table that should have it.

    The parser keeps no lines. But what it makes of the first lines alone has the key or has it
    not, and cannot be parsed where a value goes on.
    """
    while key:
        begins = 1
        lines = text.split("\n")
        for number in range(1, len(lines) + 1):
            try:
                parsed = tomllib.loads("\n".join(lines[:number]))
            except tomllib.TOMLDecodeError:
                continue
            if _has(parsed, key):
                return begins
            begins = number + 1
        key = key[:-1]
    return 1


def _has(parsed: Any, key: Key) -> bool:
    for part in key:
        try:
            parsed = parsed[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _where_it_stopped(text: str, message: str) -> str:
    """The parser's message behind the line that it is about, with what stands there."""
    lines = text.split("\n")
    found = _STOPPED.search(message)
    number = int(found[1]) if found and found[1] else len(lines)
    said = message[: found.start()] if found else message
    return f"line {number}: {said}: {lines[number - 1].strip()}"


# -- what a value may be --------------------------------------------------------------------


def named(key: Key) -> str:
    """``sites.domain``"""
    return ".".join(part for part in key if isinstance(part, str))


def _made(hint: Any, key: Key, value: object) -> Any:
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is Annotated:
        made = _made(arguments[0], key, value)
        _check(arguments[1], key, made)
        return made
    if origin is str:
        return _of(str, "text", key, value)
    if origin is tuple:
        values = _of(list, "a list", key, value)
        if not values:
            raise MisfitError(key, f"{named(key)} is empty")
        return tuple(_made(arguments[0], (*key, n), one) for n, one in enumerate(values))
    if origin is Mapping:
        table = _of(dict, "a table", key, value)
        return {name: _made(arguments[1], (*key, name), one) for name, one in table.items()}
    return _dataclass(hint, key, value)


def _of(kind: type[T], called: str, key: Key, value: object) -> T:
    if not isinstance(value, kind):
        raise MisfitError(key, f"{named(key)} is {value!r}, and should be {called}")
    return value


def _check(rules: Sequence[Rule], key: Key, text: str) -> None:
    rule = first(text, rules)
    if rule is not None:
        raise MisfitError(key, f"{named(key)}: {rule.told(text)}")


def _dataclass(kind: Any, key: Key, value: object) -> Any:
    table = _of(dict, "a table", key, value)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    names = [field.name for field in fields]
    for name in table:
        if name not in names:
            known = ", ".join(names)
            inside = f"; {named(key)} has {known}" if key else f"; there are {known}"
            raise MisfitError((*key, name), f"the key {named((*key, name))} is unknown{inside}")
    for field in fields:
        if field.name not in table and field.default is dataclasses.MISSING:
            raise MisfitError((*key, field.name), f"the key {named((*key, field.name))} is missing")
    return kind(**{name: _made(hints[name], (*key, name), table[name]) for name in table})
