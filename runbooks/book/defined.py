"""Where something of a procedure is defined: what a test that fails points at."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

#: The folder that the package is in.
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Defined:
    """A line of a file."""

    file: str
    line: int

    @property
    def path(self) -> str:
        """The file's path in the project; one that is elsewhere is named in full."""
        path = Path(self.file)
        return str(path.relative_to(_PROJECT) if path.is_relative_to(_PROJECT) else path)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


def here() -> Defined:
    """Where the dataclass is made that has this as the default of a field."""
    # This function is called by the dataclass's own __init__, and that by whoever makes it.
    frame = sys._getframe(2)
    return Defined(frame.f_code.co_filename, frame.f_lineno)
