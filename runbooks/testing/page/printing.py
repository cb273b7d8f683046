"""What a page prints of the procedures, held against what is defined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runbooks.book import expected
from runbooks.book.procedure import Step, paste
from runbooks.mailman.printed import AnyProcedure, anchor, by_command, steps_of
from runbooks.testing.page.pages import Block, Page


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a page."""

    #: the page, and the anchor on it
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass
class Printing:
    """A procedure as a page prints it: its blocks, by the step that they belong to."""

    procedure: AnyProcedure
    #: each command, and what the page shows of its output, by the name of the step
    commands: dict[str, Block] = field(default_factory=dict)
    outputs: dict[str, Block] = field(default_factory=dict)

    #: the commands of steps that the page only refers to: it prints them further up
    elsewhere: dict[str, Block] = field(default_factory=dict)

    def blocks(self, steps: Sequence[Step], order: Sequence[str]) -> list[tuple[Step, Block]]:
        """Those of `steps` that a reader finds a command of, in the page's order of sections."""
        found = {**self.commands, **self.elsewhere}
        having = [step for step in steps if step.name in found]
        having.sort(key=lambda step: order.index(anchor(self.procedure, step.name)))
        return [(step, found[step.name]) for step in having]


def printed_once(procedures: Sequence[AnyProcedure]) -> list[tuple[AnyProcedure, Step]]:
    """Every step of which a page prints the command, in the order of the definitions.

    What creates a file is printed once; other procedures refer to it.
    """
    found, created = [], set()
    for procedure in procedures:
        found += [(procedure, step) for step in by_command(procedure)]
        for step in steps_of(procedure):
            if step.creates is None or paste(step) not in created:
                found.append((procedure, step))
                created.add(paste(step))
    return found


class Reading:
    """A page, read: what it prints of each procedure, and what is wrong with that."""

    def __init__(self, page: Page, procedures: Sequence[AnyProcedure]) -> None:
        self.page = page
        self.procedures = procedures
        self.faults: list[Fault] = []
        #: in the page's order
        self.printings = list(self._read().values())

    def fault(self, place: str, what: str) -> None:
        self.faults.append(Fault(place, what))

    def place(self, procedure: AnyProcedure, step: str = "") -> str:
        return f"{self.page.name}.html#{anchor(procedure, step)}"

    def _read(self) -> dict[str, Printing]:
        """The procedures by their names. A block that belongs to none is a fault."""
        owners = {
            anchor(procedure, step.name): (procedure, step.name)
            for procedure in self.procedures
            for step in (*by_command(procedure), *steps_of(procedure))
        }
        found: dict[str, Printing] = {}
        last: Block | None = None
        index = [by_command(procedure)[0].command for procedure in self.procedures]
        if [block.text for block in self.page.blocks if block.kind == "index"] != index:
            self.fault(self.page.name, "the index does not have the commands of the procedures")
        for block in self.page.blocks:
            if block.kind == "index":
                continue
            owner = owners.get(block.anchor)
            if owner is None or block.kind == "other":
                self.fault(block.place, f"no test runs the block {_first_line(block.text)}")
                continue
            procedure, step = owner
            printing = found.setdefault(procedure.name, Printing(procedure))
            kept = printing.commands if block.kind == "command" else printing.outputs
            if step in kept:
                self.fault(block.place, f"no test runs the block {_first_line(block.text)}")
            elif block.kind == "output" and (last is None or last.anchor != block.anchor):
                self.fault(block.place, "an output stands before its command")
            else:
                kept[step] = block
            last = block
        self._compare_with_source(found)
        return found

    def _compare_with_source(self, found: Mapping[str, Printing]) -> None:
        """Every procedure, step and output that is defined is on the page, and says the same."""
        printings = {
            procedure.name: found.get(procedure.name) or Printing(procedure)
            for procedure in self.procedures
        }
        once = printed_once(self.procedures)
        where = {paste(step): (procedure.name, step.name) for procedure, step in once}
        here = {(procedure.name, step.name) for procedure, step in once}
        for procedure in self.procedures:
            printing = printings[procedure.name]
            for step in by_command(procedure):
                if not step.shows.strip():
                    place = self.place(procedure, step.name)
                    self.fault(place, "the page does not show what the command prints")
            for step in (*by_command(procedure), *steps_of(procedure)):
                if (procedure.name, step.name) in here:
                    self._compare_step(printing, step)
                else:
                    other, name = where[paste(step)]
                    self._follow_link(printing, step, printings[other], name)

    def _follow_link(self, printing: Printing, step: Step, other: Printing, name: str) -> None:
        """A reader who comes to a step that is printed further up finds it."""
        links = self.page.links(anchor(printing.procedure, step.name))
        if anchor(other.procedure, name) not in links or name not in other.commands:
            place = self.place(printing.procedure, step.name)
            self.fault(place, "the page neither prints this step nor says where it is")
        else:
            printing.elsewhere[step.name] = other.commands[name]

    def _compare_step(self, printing: Printing, step: Step) -> None:
        place = self.place(printing.procedure, step.name)
        command, output = printing.commands.get(step.name), printing.outputs.get(step.name)
        if command is None:
            self.fault(place, "the page does not print this step")
        elif command.text != paste(step):
            self.fault(place, f"the page prints another command than is defined: {command.text!r}")
        if (output.text if output else "") != expected.as_shown(step.shows):
            self.fault(place, "the page shows another output than is defined")


def _first_line(text: str) -> str:
    return repr(text.splitlines()[0] if text.strip() else text)
