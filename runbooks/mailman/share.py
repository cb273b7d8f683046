"""What the hosts of one command have in common: the ids of its runs, and what was named."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from runbooks.errors import NotThereError


class Runs:
    """The ids of the runs that a command makes: the same on every host."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def id(self, command: str, number: int) -> str:
        """That of the run with this number, among those of a command that are made on a host."""
        with self._lock:
            return self._ids.setdefault((command, number), _new_id())


def _new_id() -> str:
    """A unique id that sorts by time, as `onhost/journal.py` makes them."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


@dataclass
class Share:
    """One host's part in a command for several."""

    runs: Runs = field(default_factory=Runs)
    #: names that were given and that this host does not have, and what there is to say of each
    lacking: dict[str, NotThereError] = field(default_factory=dict)
    _made: Counter[str] = field(default_factory=Counter)

    def run_id(self, command: str) -> str:
        """The id of the next run of a command on this host."""
        self._made[command] += 1
        return self.runs.id(command, self._made[command])


def lacking_everywhere(shares: Iterable[Share]) -> NotThereError | None:
    """What there is to say of a name that none of the hosts has, if there is one."""
    first, *others = shares
    for name, error in first.lacking.items():
        if all(name in other.lacking for other in others):
            return error
    return None
