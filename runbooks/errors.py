"""What can end a command early, and the exit status that says so. How a message shows text."""

from __future__ import annotations

import shlex
from collections.abc import Iterable


class RunbookError(Exception):
    """Ends a command with one line: what is wrong and what to do.

    Never raised for something a procedure survives: that is an `Outcome`.
    """

    exit_status = 1


class BadInputError(RunbookError):
    """The arguments or the answer will not do. Nothing was changed."""

    exit_status = 2


class NotThereError(BadInputError):
    """What was named is not on this host. Of several hosts, another may have it."""


class HostError(RunbookError):
    """The host could not be reached, or has no Mailman 2 that answers."""

    exit_status = 3


class LostError(RunbookError):
    """The connection, or the program on the host, ended before its work did."""

    exit_status = 1


def short(text: str, limit: int = 60) -> str:
    """`text` quoted for a message, so that it can be pasted into a shell.

    Control characters are spelled out, and it is cut when it is long.
    """
    shown = shlex.quote(text) if text.isprintable() else repr(text)
    if shown == text:
        shown = f"'{text}'"
    return shown if len(shown) <= limit else f"{shown[: limit - 2]}…{shown[0]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean ban?`` where one of the `known` names is near to `name`, or ""."""
    from difflib import get_close_matches  # needed for this alone

    near = get_close_matches(name, sorted(set(known)), n=1)
    return f"; did you mean {near[0]}?" if near else ""
