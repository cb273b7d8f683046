"""What each test of a walk is about: a step one way, or the state in which a procedure ends."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from runbooks.book.defined import Defined
from runbooks.book.procedure import Step
from runbooks.mailman.printed import AnyProcedure, anchor
from runbooks.procedures import all_procedures
from runbooks.testing.page.ways import WAYS, Way


@dataclass(frozen=True)
class Part:
    """A step of a procedure, one way; or, without these, the state in which all ways end."""

    procedure: AnyProcedure
    step: Step | None = None
    way: Way | None = None

    def __str__(self) -> str:
        if self.step is None or self.way is None:
            return f"{self.procedure.name}, same state"
        return f"{self.anchor}, {self.way.name}"

    @property
    def anchor(self) -> str:
        return anchor(self.procedure, self.step.name if self.step else "")

    @property
    def defined(self) -> Defined:
        return (self.step or self.procedure).defined


def parts(only: Collection[str] | None = None) -> list[Part]:
    """All parts of the procedures, or of those called `only`, in the order of a walk."""
    found = []
    for procedure in all_procedures():
        if only is None or procedure.name in only:
            found += [Part(procedure, step, way) for way in WAYS for step in way.steps(procedure)]
            found.append(Part(procedure))
    return found
