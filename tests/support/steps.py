"""Goes through steps as a reader does, and holds what they print against what is true."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from runbooks.book import expected
from runbooks.book.procedure import Step
from runbooks.mailman.installation import Installation
from runbooks.mailman.truth import Shell, Witness


def here(command: str) -> str:
    """A shell of this machine, with which a practice site is asked what is true."""
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=True
    ).stdout


def faults(
    installation: Installation, shell: Shell, steps: Sequence[Step], run: Callable[[Step], str]
) -> list[str]:
    """What is wrong with what `run` says that the steps printed."""
    found = []
    witness = Witness(installation, shell, [step.shows for step in steps])
    for step in steps:
        witness.sees(step.shows)
        printed = run(step)
        if trouble := expected.fault(step.shows, printed, witness.truth()):
            found.append(f"{step.name}: {trouble}: {printed}")
    return found
