"""Goes through steps as a reader does, and holds what they print against what is true."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import partial

from runbooks.book.procedure import Step
from runbooks.book.steps import Printed, go_through
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
    witness = partial(Witness, installation, shell)
    return [
        f"{ran.step.name}: {ran.fault}: {ran.printed.text}"
        for ran in go_through(steps, lambda step: Printed(run(step), 0), witness)
        if ran.fault
    ]
