"""What a documented procedure is: steps by hand, and one command that does the same.

A procedure is defined once. The page prints it, ``--explain`` prints it for one host and
one set of arguments, and the tests carry it out both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from runbooks.book import expected
from runbooks.book.defined import Defined, here

#: the Mailman that a procedure is carried out on (a `mailman.Installation`)
M = TypeVar("M")
#: what a procedure is told: a frozen dataclass of its own
A = TypeVar("A")


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
    #: it changes nothing: it can be run to see whether it prints what it shows
    looks: bool = False
    #: `shows` is all that it prints; not of a script that nobody here knows
    is_judged: bool = True
    #: where it is made; no part of what it is
    defined: Defined = field(default_factory=here, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Trouble:
    """What can go wrong, and what helps. Both in reStructuredText."""

    symptom: str
    remedy: str
    #: a regular expression for what a step prints then, where that is how it is noticed
    prints: str = ""


@dataclass(frozen=True)
class Event:
    """What befalls the list server without the reader's doing."""

    #: for a POSIX shell of root there; it fails when it did not come to that
    script: str = ""
    #: what the reader's clone of a repository has then
    clone: tuple[File, ...] = ()
    #: what goes from there to the server: the path in the clone, and the one on the server
    merged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NoArguments:
    """Of a procedure that has to be told nothing."""


@dataclass(frozen=True)
class Secret:
    """What a reader is asked for and does not show."""

    value: str
    #: the environment variable in which the command finds it
    variable: str


@dataclass(frozen=True)
class Practice(Generic[A]):
    """How a procedure is practised."""

    arguments: A
    #: what is different from the page
    note: str = ""
    #: for the steps that ask for one, and for the command
    secret: Secret | None = None


@dataclass(frozen=True)
class Procedure(Generic[M, A]):
    """One task that the page documents."""

    #: stable; the anchor of the procedure on the page
    name: str
    title: str
    #: when to use it, in reStructuredText
    when: str
    #: the arguments that the page uses
    example: A
    #: the steps by hand
    steps: Callable[[M, A], tuple[Step, ...]]
    #: what to write after ``runbook`` to the same effect
    command: Callable[[A], tuple[str, ...]]
    #: the same with ``--steps``, where that is more than to add it
    by_steps: Callable[[A], tuple[str, ...]] | None = None
    #: where that command is run when it is not on the list server, in reStructuredText
    where: str = ""
    #: what follows by command, when more than the command itself is to be done
    then: Callable[[M, A], tuple[Step, ...]] | None = None
    #: what a terminal shows of that command, questions and their answers included;
    #: see `runbooks.book.expected`
    shows: str = ""
    troubles: tuple[Trouble, ...] = ()
    #: other words under which a reader looks for it; none is another procedure's as well
    synonyms: tuple[str, ...] = ()
    #: the name of the procedure that leaves what this one begins with
    after: str = ""
    #: the name of the procedure behind which it stands on the page, where that is not the one
    #: before it in its folder
    follows: str = ""
    #: that it takes back what that one did, and leaves every list as it was before
    takes_back: bool = False
    #: what has happened before a reader turns to it
    befalls: Callable[[M, A], Event] | None = None
    #: what others do between the command and what follows it
    meanwhile: Callable[[M, A], Event] | None = None
    #: the site and the list that others want at the same time, in the tests: one process waits
    #: for its lock, and another asks for it in the very moment in which ``touch`` is run on that
    wanted: Callable[[A], tuple[str, str]] | None = None
    #: how it is practised, where that is not as the page has it
    practice: Practice[A] | None = None
    #: where it is made; no part of what it is
    defined: Defined = field(default_factory=here, compare=False, repr=False, kw_only=True)

    @property
    def practised(self) -> Practice[A]:
        """How it is done on a practice site."""
        return self.practice or Practice(self.example)


def anchor(procedure: str, part: str = "") -> str:
    """The anchor of a procedure on its page, or of a step or part of it. Stable."""
    prefix = f"{procedure}-"
    return procedure if not part else prefix + part.removeprefix(prefix)


class SiteWithLists(Protocol):
    """A site, as far as this module needs to know it."""

    @property
    def name(self) -> str: ...

    @property
    def first_list(self) -> str: ...


def every_list(site: SiteWithLists) -> str:
    """What stands for each list of a site, in a line that is printed once for each."""
    return expected.placeholder("LIST", site.name, shown=site.first_list)


def one_list(site: SiteWithLists, name: str) -> str:
    """What stands for a list that is named, in a line that says something of it."""
    return expected.placeholder("NAMED_LIST", site.name, name, shown=name)


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
