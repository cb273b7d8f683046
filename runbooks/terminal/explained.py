"""What a command does instead when the steps by hand are wanted: it prints them, or runs them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runbooks.errors import BadInputError
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Screen

if TYPE_CHECKING:
    from runbooks.book.procedure import Step
    from runbooks.mailman.installation import Installation


def show(
    screen: Screen, installation: Installation, wanted: ByHand, printed: PrintedSteps, yes: bool
) -> int:
    """Print the steps, ready to paste, or run them; the exit status."""
    if not wanted.steps:
        return _explained(screen, installation, printed.steps)
    if screen.share is not None:
        raise BadInputError("--steps is for one host at a time: name one host")
    if not yes and not sys.stdin.isatty():
        raise BadInputError("standard input is not a terminal, so nobody can be asked: add --yes")
    from runbooks.terminal.stepped import Stepping  # needed for this alone

    return Stepping(screen, installation, printed, yes).go(wanted.start)


def _explained(screen: Screen, installation: Installation, steps: Iterable[Step]) -> int:
    from runbooks.book.procedure import paste

    screen.say(f"# {installation.title}", always=True)
    for number, step in enumerate(steps, 1):
        screen.say(f"\n# {number}. {step.title}", always=True)
        screen.say(paste(step), always=True)
        screen.object(step=step.name, title=step.title, command=paste(step))
    return 0
