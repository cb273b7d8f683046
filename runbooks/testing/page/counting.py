"""How many blocks of the page were run, and that a run of none is no success."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from runbooks.procedures import all_procedures
from runbooks.testing.page.printing import printed_once


@dataclass
class Blocks:
    """The blocks that a run of the tests has run, on whichever Mailman."""

    #: whether the tests that run blocks were among those that were to be run
    are_wanted: bool = False
    #: by their places on the page
    run: set[str] = field(default_factory=set)

    def line(self) -> str:
        return f"blocks run: {len(self.run)} of {len(printed_once(all_procedures()))}"

    def status(self, status: int) -> int:
        """The exit status of the tests, where they would have ended with `status`."""
        if status == pytest.ExitCode.OK and self.are_wanted and not self.run:
            return int(pytest.ExitCode.TESTS_FAILED)
        return status

    def sent(self) -> dict[str, Any]:
        """As plain data, from a worker of pytest-xdist."""
        return {"are_wanted": self.are_wanted, "run": sorted(self.run)}

    def add(self, sent: dict[str, Any]) -> None:
        self.are_wanted = self.are_wanted or sent["are_wanted"]
        self.run.update(sent["run"])
