"""The addresses that a command is about: those that were typed, and those of a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import click

from runbooks.errors import BadInputError, short
from runbooks.terminal import options
from runbooks.terminal.console import Screen, many

T = TypeVar("T")

#: Bytes. Ten thousand of the longest addresses have fewer.
LARGEST = 1 << 23

#: So many lines that are bad are told by their numbers.
_NAMED = 5

#: ``Name <address>``, as mail programs copy it.
_WITH_NAME = re.compile(r"[^^<>][^<>]*<([^<>]*)>|<([^<>]*)>")

#: The arguments of a command that takes addresses. `chosen` makes something of them.
arguments = options.together(
    click.argument("addresses", metavar="[ADDRESS]...", nargs=-1),
    click.option(
        "--from",
        "from_file",
        metavar="FILE",
        shell_complete=options.completing("files"),
        help="Also read addresses from FILE, one a line; - is standard input."
        " Blank lines and lines that start with # are skipped.",
    ),
    click.option(
        "--skip-bad",
        is_flag=True,
        help="Skip what is not an address, with a warning. Otherwise nothing is done.",
    ),
)


@dataclass(frozen=True)
class Chosen(Generic[T]):
    """What was made of the addresses, each once."""

    good: tuple[T, ...]
    #: what was left out, and why, a line each
    bad: tuple[str, ...] = ()
    #: how often an address came again
    repeated: int = 0

    def tell(self, screen: Screen) -> None:
        """What was left out."""
        for line in self.bad:
            screen.warn(f"left out: {line}")
        if self.repeated:
            again = many(self.repeated, "repeated address", "repeated addresses")
            screen.say(f"{again} left out")


def naming(from_file: str | None, skip_bad: bool, suffixes: bool = False) -> tuple[str, ...]:
    """The options that are needed to name the same addresses again."""
    named = ("--from", from_file) if from_file is not None else ()
    return named + ("--skip-bad",) * skip_bad + ("--suffixes",) * suffixes


@dataclass(frozen=True)
class _Given:
    text: str
    #: "victims.txt, line 3: ", or "" where it was typed
    where: str = ""
    line: int = 0


def chosen(
    addresses: Sequence[str], from_file: str | None, skip_bad: bool, make: Callable[[str], T]
) -> Chosen[T]:
    """Make something of each address, those that were typed first.

    `make` raises BadInputError for a text that is none. Unless `skip_bad`, that ends it: raises
    BadInputError with what is wrong with the first, and where there are more.
    """
    given = [_Given(address) for address in addresses]
    if from_file is not None:
        given += _lines(from_file)
    if not given:
        where = f"{_name(from_file)} has none" if from_file else "name one, or a file with --from"
        raise BadInputError(f"there is no address: {where}")
    good: dict[str, T] = {}
    bad: list[tuple[_Given, str]] = []
    repeated = 0
    for one in given:
        text = _without_name(one.text)
        # Mailman compares addresses without regard to case, and patterns to the letter.
        key = text if text.startswith("^") else text.lower()
        if key in good:
            repeated += 1
            continue
        try:
            good[key] = make(text)
        except BadInputError as e:
            bad.append((one, f"{one.where}{e}"))
    if bad and not skip_bad:
        raise BadInputError(_all_bad(bad, len(given)))
    if not good:
        raise BadInputError(f"none of them is an address: {bad[0][1]}")
    return Chosen(tuple(good.values()), tuple(line for _, line in bad), repeated)


def _all_bad(bad: Sequence[tuple[_Given, str]], number: int) -> str:
    (_, first), *others = bad
    lines = [one.line for one, _ in others if one.line]
    more = ""
    if others:
        more = f"; {len(others):,} more {'is' if len(others) == 1 else 'are'} bad"
        if lines:
            some = ", ".join(f"{line:,}" for line in lines[:_NAMED])
            more += f" (line{'s' * (len(lines) > 1)} {some}{', …' * (len(lines) > _NAMED)})"
    return first + more + (", --skip-bad leaves them out" if number > len(bad) else "")


def _without_name(text: str) -> str:
    found = _WITH_NAME.fullmatch(text.strip())
    return (found[1] if found[1] is not None else found[2]).strip() if found else text


def _name(from_file: str) -> str:
    if from_file == "-":
        return "standard input"
    return from_file if re.fullmatch(r"[-\w./+~]{1,200}", from_file) else short(from_file)


def _lines(from_file: str) -> Iterator[_Given]:
    for number, line in enumerate(re.split(r"\r\n|\n|\r", _text(from_file)), 1):
        # A blank before or behind it is not meant: a person does not see it in a file.
        text = re.sub(r"\s#.*", "", line).strip()
        if text and not text.startswith("#"):
            yield _Given(text, f"{_name(from_file)}, line {number:,}: ", number)


def _text(from_file: str) -> str:
    name = _name(from_file)
    try:
        if from_file == "-":
            if sys.stdin.isatty():
                click.echo("one address a line; Ctrl-D ends them", err=True)
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(from_file).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as e:
        raise BadInputError(f"{name} cannot be read: {e.strerror}") from None
    except ValueError:  # a NUL in its name
        raise BadInputError(f"{name} cannot be the name of a file") from None
    if len(data) > LARGEST:
        raise BadInputError(
            f"{name} is not a list of addresses: it has more than {LARGEST:,} bytes"
        )
    is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise BadInputError(
            f"{name}, line {line:,}: it is not UTF-8: save the file as text in UTF-8"
        ) from None
    if "\0" in text:
        raise BadInputError(f"{name} is not text: it has NUL characters; save it in UTF-8")
    return text
