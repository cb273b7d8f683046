"""The ways to carry out a procedure that a page has: as its reader would, one step after another.

A way yields what came of each step as it goes. Whoever goes along may stop, and then the steps that
are left are not carried out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from runbooks.book.procedure import Step, paste
from runbooks.book.steps import Printed, Ran, go_through
from runbooks.mailman import printed
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import Installation
from runbooks.mailman.printed import COMMAND, AnyProcedure
from runbooks.mailman.truth import Subject, Witness
from runbooks.testing.containers.box import Box, shell_of
from runbooks.testing.page import reader, world

#: What came of each step, as one goes.
Going = Generator[Ran[Subject | None], None, None]


@dataclass(frozen=True)
class Server:
    """A list server on which one procedure is carried out, and the reader's own machine."""

    box: Box
    installation: Installation
    procedure: AnyProcedure
    #: where a command is run that is not run on the list server
    home: Path
    #: what such a command finds there; ``ssh`` on its ``PATH`` leads to the list server
    environment: Mapping[str, str]

    def witness(self, shows: Sequence[str]) -> Witness:
        return Witness(self.installation, shell_of(self.box), shows)


class Way(Protocol):
    """One way."""

    @property
    def name(self) -> str:
        """In the names of tests."""
        ...

    @property
    def status(self) -> int | None:
        """The exit status that every step has to have; None where it proves nothing."""
        ...

    def steps(self, procedure: AnyProcedure, version: str = ...) -> tuple[Step, ...]:
        """The steps that the pages print; of another `version` they may show something else."""
        ...

    def go(self, server: Server, steps: Sequence[Step]) -> Going:
        """Carry out these steps, whose commands are as the page prints them."""
        ...


class ByCommand:
    """With ``runbook`` in a terminal, and what follows it."""

    name = "by command"
    status = 0

    def steps(
        self, procedure: AnyProcedure, version: str = INSTALLATION.version
    ) -> tuple[Step, ...]:
        return printed.by_command(procedure, version)

    def go(self, server: Server, steps: Sequence[Step]) -> Going:
        def run(step: Step) -> Printed:
            if step.command.startswith("runbook "):
                environment = dict(server.environment)
                return reader.by_command(step.command, step.shows, environment, server.home)
            with reader.Shell(server.box) as shell:
                return shell.paste(paste(step))

        for ran in go_through(steps, run, server.witness):
            yield ran
            if ran.step.name == COMMAND:
                world.come_of_it(server.box, server.home, server.procedure)


class ByHand:
    """By pasting one command after the other into a shell on the list server."""

    name = "by hand"
    status = None

    def steps(
        self, procedure: AnyProcedure, version: str = INSTALLATION.version
    ) -> tuple[Step, ...]:
        return printed.steps_of(procedure, version)

    def go(self, server: Server, steps: Sequence[Step]) -> Going:
        with reader.Shell(server.box) as shell:
            yield from go_through(steps, lambda step: shell.paste(paste(step)), server.witness)


class StepByStep(ByHand):
    """The same steps with ``runbook --steps``, by nobody: it runs them, and judges them."""

    name = "step by step"

    def go(self, server: Server, steps: Sequence[Step]) -> Going:
        done = reader.without_terminal(
            f"{printed.by_steps(server.procedure)} --yes --json",
            dict(server.environment),
            server.home,
        )
        told = {one["step"]: one for one in done.objects if "step" in one}
        truth = server.witness([]).truth()
        for step in steps:
            one = told.get(printed.anchor(server.procedure, step.name))
            if one is None:
                fault = f"it was not run (exit status {done.status}): {done.complaint.strip()}"
                yield Ran(step, Printed("", None), truth, fault)
                continue
            fault = one["differs"]
            if one["command"] != step.command:
                fault = f"it ran what the page does not print: {one['command']!r}"
            # What is true there was seen by the command, not from here.
            ran = Printed(one["printed"], one["status"])
            yield Ran(replace(step, shows=""), ran, truth, fault)
        if done.status:
            raise AssertionError(f"exit status {done.status}: {done.complaint}")


#: Each begins where the one before began. The end states of the others are compared with the
#: first one's.
WAYS: tuple[Way, ...] = (ByCommand(), ByHand(), StepByStep())
