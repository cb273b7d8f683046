"""What the pages print of a procedure, and the anchors that it has there."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from runbooks.book import records
from runbooks.book.procedure import A, M, Procedure, Step
from runbooks.book.procedure import anchor as named
from runbooks.host.host import Host
from runbooks.mailman.documented import INSTALLATION, REACHED
from runbooks.mailman.installation import Installation

#: One of those on the pages: each has arguments of a kind of its own.
AnyProcedure = Procedure[Installation, Any]

#: Beside the steps by hand: the command, and that both ways end in the same state.
COMMAND = "command"
STATE = "state"


def anchor(procedure: Procedure[M, A], part: str = "") -> str:
    """The anchor of a procedure on its page, or of a step or part of it. Stable."""
    return named(procedure.name, part)


def steps_of(
    procedure: Procedure[Installation, A], version: str = INSTALLATION.version
) -> tuple[Step, ...]:
    """The steps by hand, as the pages print them.

    Of another `version` of Mailman they may show something else; no page does.
    """
    return procedure.steps(replace(INSTALLATION, version=version), procedure.example)


def command_of(procedure: Procedure[M, A], arguments: A | None = None) -> str:
    """The way by command; with the arguments of the pages, unless others are given."""
    return shlex.join(["runbook", *procedure.command(arguments or procedure.example)])


def from_elsewhere(command: str) -> str:
    """A command as a reader types it on their own machine: ``runbook`` says on which host."""
    if not command.startswith("runbook "):
        return command
    return Host(REACHED).command(shlex.split(command)[1:])


def by_command(
    procedure: Procedure[Installation, A], version: str = INSTALLATION.version
) -> tuple[Step, ...]:
    """The way by command as steps: the command, and what follows where more is to be done."""
    command = from_elsewhere(command_of(procedure))
    first = Step(COMMAND, "By command", "", command, procedure.shows, defined=procedure.defined)
    if procedure.then is None:
        return (first,)
    then = procedure.then(replace(INSTALLATION, version=version), procedure.example)
    return (
        first,
        *(
            replace(step, name=f"{COMMAND}-{step.name}", command=from_elsewhere(step.command))
            for step in then
        ),
    )


def by_steps(procedure: Procedure[M, A]) -> str:
    """What runs the steps by hand on the list server, from a reader's own machine."""
    words = (procedure.by_steps or procedure.command)(procedure.example)
    return from_elsewhere(shlex.join(["runbook", *words, "--steps"]))


def text_of(procedure: Procedure[Installation, A]) -> str:
    """The hash of what the pages have a reader run, both ways, and of what they show of it."""
    return records.text_hash(by_command(procedure), steps_of(procedure))
