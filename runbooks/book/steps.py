"""Goes through printed steps as a reader does, and holds what they print against what they show."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from runbooks.book import expected
from runbooks.book.expected import S, Truth
from runbooks.book.procedure import Step


@dataclass(frozen=True)
class Printed:
    """What a command printed, standard error included, and its exit status (None: no end)."""

    text: str
    status: int | None
    #: Ctrl-C ended it
    interrupted: bool = False


#: Gets each line that is printed, as it comes.
Hear = Callable[[str], None]


class Run(Protocol):
    """Has a host carry out a step."""

    def __call__(self, step: Step, /) -> Printed: ...


class Witness(Protocol[S]):
    """Sees the steps being carried out, and says what was true at each."""

    def sees(self, shows: str) -> None:
        """A step is about to be carried out that is expected to print `shows`."""
        ...

    def truth(self) -> Truth[S]:
        """What was true of it, now that it has ended."""
        ...


@dataclass(frozen=True)
class Ran(Generic[S]):
    """A step that was carried out."""

    step: Step
    printed: Printed
    #: when it was
    truth: Truth[S]
    #: what is wrong with what it printed; "" when nothing is
    fault: str


def go_through(
    steps: Sequence[Step], run: Run, witness: Callable[[Sequence[str]], Witness[S]]
) -> Iterator[Ran[S]]:
    """Carry out `steps`, each when it is asked for.

    `witness`: makes one, of what all of them are expected to print.
    """
    watching = witness([step.shows for step in steps])
    for step in steps:
        yield carry_out(step, run, watching)


def carry_out(step: Step, run: Run, watching: Witness[S]) -> Ran[S]:
    """Carry out one of the steps that `watching` was made for."""
    watching.sees(step.shows)
    printed = run(step)
    truth = watching.truth()
    fault = "it did not end"
    if printed.status is not None:
        fault = expected.fault(step.shows, printed.text, truth)
    return Ran(step, printed, truth, fault)


# -- on this machine ----------------------------------------------------------------------


def in_shell(command: str, hear: Hear) -> Printed:
    """Run a shell command, of which `hear` gets each line as it is printed."""
    child = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    printed = ""
    for line in child.stdout:
        printed += line
        hear(line.rstrip())
    return Printed(printed, child.wait())


def on_terminal(command: str, question: str, answer: str) -> Printed:
    """Run a shell command on a terminal of its own, and type what it asks for.

    `question`: a word of it. A password is read from the terminal, and from nothing that comes
    before the question.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.execv("/bin/sh", ["/bin/sh", "-c", command])
    shown, asked = b"", False
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not more:
            break
        shown += more
        last = shown.rpartition(b"\n")[2]
        if not asked and question.encode() in last and last.endswith(b": "):
            asked = True
            os.write(terminal, answer.encode() + b"\n")
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Printed(shown.decode("utf-8", "replace"), status)
