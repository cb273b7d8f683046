"""A secret of one line: read from where nobody else sees it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from runbooks.errors import BadInputError

#: What a script finds it in, on the host, and where it is looked for here.
VARIABLE = "RUNBOOK_SECRET"

#: Characters; longer ones are files of another kind.
LARGEST = 4096


def line(path: str, what: str) -> tuple[str, str]:
    """The line in a file (``-``: of standard input), and a warning or "".

    `what`: what it is, for messages. Raises BadInputError.
    """
    if path == "-":
        return _without_end(sys.stdin.readline()), ""
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(LARGEST).decode("utf-8", "surrogateescape")
    except OSError as e:
        raise BadInputError(f"the {what} file {path} cannot be read: {e.strerror}") from None
    warning = ""
    if stat.S_ISREG(mode) and mode & 0o077:
        warning = f"other users of this machine may read {path} (mode {stat.S_IMODE(mode):o})"
    return _without_end(text), warning


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def for_script(path: str | None) -> tuple[bytes, str, str]:
    """A script's secret, from the file `path` or the environment; where it is from; a warning.

    All are empty when there is none. Raises BadInputError, which never shows it.
    """
    if path is not None:
        text, warning = line(path, "secret")
        source = "standard input" if path == "-" else path
    elif VARIABLE in os.environ:
        text, source, warning = os.environ[VARIABLE], VARIABLE, ""
    else:
        return b"", "", ""
    if not text:
        raise BadInputError(f"the secret from {source} is empty")
    if not text.isascii() or not text.isprintable():
        raise BadInputError(
            f"the secret from {source} has a character that is not printable ASCII, or more than"
            " one line"
        )
    if len(text) >= LARGEST:
        raise BadInputError(f"the secret from {source} has {LARGEST:,} characters or more")
    return text.encode("ascii"), source, warning
