"""What a documented procedure is: steps by hand, and one command that does the same.

A procedure is defined once. The page prints it, ``--explain`` prints it for one host and
one set of arguments, and the tests carry it out both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbooks.book import expected

if TYPE_CHECKING:
    from runbooks.mailman.installation import Site


@dataclass(frozen=True)
class File:
    """A file that a step has the reader create."""

    path: str
    content: str


@dataclass(frozen=True)
class Step:
    """One thing that a reader does by hand."""

    #: stable; the anchor of the step on the page
    name: str
    title: str
    #: why, in reStructuredText
    why: str
    #: for a POSIX shell, ready to paste, without a prompt
    command: str
    #: what the command prints, standard error included; see `runbooks.book.expected`
    shows: str = ""
    creates: File | None = None
    #: where it is run when that is not where the step before was, in reStructuredText
    where: str = ""
    #: a word of the question that the command asks on the terminal, for a secret
    asks: str = ""

    def matches(self, output: str, truth: expected.Truth[Any]) -> bool:
        """Whether `output` is what the step shows on a server of which `truth` is true."""
        return expected.matches(self.shows, output, truth)


@dataclass(frozen=True)
class Trouble:
    """What can go wrong, and what helps. Both in reStructuredText."""

    symptom: str
    remedy: str


@dataclass(frozen=True)
class Procedure:
    """One task that the page documents."""

    #: stable; the anchor of the procedure on the page
    name: str
    title: str
    #: when to use it, in reStructuredText
    when: str
    #: the steps by hand, of an installation (a `mailman.Installation`) and the arguments
    steps: Callable[[Any, Mapping[str, Any]], tuple[Step, ...]]
    #: what to write after ``runbook`` to the same effect, of the arguments
    command: Callable[[Mapping[str, Any]], tuple[str, ...]]
    #: where that command is run when it is not on the list server, in reStructuredText
    where: str = ""
    #: what follows by command, when more than the command itself is to be done
    then: Callable[[Any, Mapping[str, Any]], tuple[Step, ...]] | None = None
    #: what a terminal shows of that command, questions and their answers included;
    #: see `runbooks.book.expected`
    shows: str = ""
    troubles: tuple[Trouble, ...] = ()
    #: the name of the procedure that leaves what this one begins with
    after: str = ""
    #: the arguments that the page uses
    example: Mapping[str, Any] = field(default_factory=dict)
    #: those on a practice site, where others are needed there
    practice: Mapping[str, Any] | None = None


def every_list(site: Site) -> str:
    """What stands for each list of a site, in a line that is printed once for each."""
    return expected.placeholder("LIST", site.name, shown=site.first_list)


def paste(step: Step) -> str:
    """The step as a reader pastes it into a shell: creates its file, then runs its command."""
    if step.creates is None:
        return step.command
    content = step.creates.content
    end = "EOF"
    while end in content.splitlines():
        end += "F"
    body = content if content.endswith("\n") else content + "\n"
    return f"{step.command} <<'{end}'\n{body}{end}"
