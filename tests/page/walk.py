"""Walks through a page as a reader does, and says where the page is not true."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from runbooks.book import expected
from runbooks.book.procedure import Procedure, Step, paste
from runbooks.book.steps import Printed, Ran, Run, go_through
from runbooks.host.host import Host
from runbooks.mailman.documented import REACHED
from runbooks.mailman.installation import Installation, discover
from runbooks.mailman.printed import COMMAND, STATE, anchor, by_command, steps_of
from runbooks.mailman.truth import Subject, Witness
from runbooks.sphinxext import verification
from runbooks.sphinxext.verification import FAILED, PASSED, Record
from tests.page import reader, state, world
from tests.page.pages import Block, Page
from tests.support.box import Box, shell_of


@dataclass
class Printing:
    """A procedure as a page prints it: its blocks, by the step that they belong to."""

    procedure: Procedure
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


@dataclass
class Walk:
    """One page, and what is found of it."""

    page: Page
    procedures: Sequence[Procedure]
    faults: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def fault(self, place: str, what: str) -> None:
        self.faults.append(f"{place}: {what}")

    # -- what the page prints -----------------------------------------------------------

    def read(self) -> list[Printing]:
        """The procedures of the page, in its order. A block that belongs to none is a fault."""
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
        return list(found.values())

    def _compare_with_source(self, found: Mapping[str, Printing]) -> None:
        """Every procedure, step and output that is defined is on the page, and says the same."""
        printed: dict[str, tuple[str, Printing, str]] = {}
        for procedure in self.procedures:
            printing = found.get(procedure.name) or Printing(procedure)
            for step in by_command(procedure):
                self._compare_step(printing, step)
                if not step.shows.strip():
                    place = anchor(procedure, step.name)
                    self.fault(place, "the page does not show what the command prints")
            for step in steps_of(procedure):
                # What creates a file is printed once; other procedures refer to it.
                if step.creates is None or paste(step) not in printed:
                    self._compare_step(printing, step)
                    printed[paste(step)] = (anchor(procedure, step.name), printing, step.name)
                else:
                    self._follow_link(printing, step, *printed[paste(step)])

    def _follow_link(
        self, printing: Printing, step: Step, there: str, other: Printing, name: str
    ) -> None:
        """A reader who comes to a step that is printed further up finds it."""
        place = anchor(printing.procedure, step.name)
        if there not in self.page.links(place) or name not in other.commands:
            self.fault(place, "the page neither prints this step nor says where it is")
        else:
            printing.elsewhere[step.name] = other.commands[name]

    def _compare_step(self, printing: Printing, step: Step) -> None:
        place = anchor(printing.procedure, step.name)
        command, output = printing.commands.get(step.name), printing.outputs.get(step.name)
        if command is None:
            self.fault(place, "the page does not print this step")
        elif command.text != paste(step):
            self.fault(place, f"the page prints another command than is defined: {command.text!r}")
        if (output.text if output else "") != expected.as_shown(step.shows):
            self.fault(place, "the page shows another output than is defined")

    # -- what comes of it -----------------------------------------------------------------

    def go(self, box: Box, image: str, folder: Path, only: Container[str] | None = None) -> None:
        """Every procedure both ways in `box`, each on a server that knows nothing of the others.

        The commands say how they reach it: ``ssh`` on the ``PATH`` has to lead there.
        `folder`: where a command is run that is not run on the list server. `only`: the names of
        those to run, where not all are meant.
        """
        clean = state.keep(box)
        installation = replace(discover(Host(box.spec)), host=Host(REACHED))
        for printing in self.read():
            procedure = printing.procedure
            if only is not None and procedure.name not in only:
                continue
            state.put_back(box, clean)
            before = state.lists(state.state(box))
            world.befall(box, folder, procedure)
            start = state.keep(box)
            record = _Recorder(self, procedure, box, image)
            with world.company(box, procedure):
                self._by_command(printing, box, folder, installation, record)
            by_command = state.state(box)
            state.put_back(box, start)
            with world.company(box, procedure):
                self._by_hand(printing, box, installation, record)
            by_hand = state.state(box)
            # What only the reader has: the files of the procedure itself.
            for step in steps_of(procedure):
                if step.creates and step.creates.path not in by_command:
                    by_hand.pop(step.creates.path, None)
            differing = state.differences(by_hand, by_command)
            if procedure.takes_back:
                after = state.lists(by_command)
                differing += state.differences(before, after, "before", "afterwards")
            for line in differing:
                self.fault(f"{self.page.name}.html#{procedure.name}", f"differs: {line}")
            record(STATE, "; ".join(differing))

    def _by_command(
        self,
        printing: Printing,
        box: Box,
        folder: Path,
        installation: Installation,
        record: _Recorder,
    ) -> None:
        procedure = printing.procedure

        def run(step: Step) -> Printed:
            if step.command.startswith("runbook "):
                environment = {"HOME": str(folder)}
                return reader.by_command(step.command, step.shows, environment, folder)
            with reader.Shell(box) as shell:
                return shell.paste(paste(step))

        steps = by_command(procedure, box.version)
        for block, ran in self._going_through(printing, steps, run, box, installation):
            self._judge(block, ran, record, 0)
            if ran.step.name == COMMAND:
                world.come_of_it(box, folder, procedure)

    def _by_hand(
        self, printing: Printing, box: Box, installation: Installation, record: _Recorder
    ) -> None:
        steps = steps_of(printing.procedure, box.version)
        with reader.Shell(box) as shell:

            def run(step: Step) -> Printed:
                return shell.paste(paste(step))

            for block, ran in self._going_through(printing, steps, run, box, installation):
                self._judge(block, ran, record, None)

    def _going_through(
        self,
        printing: Printing,
        steps: Sequence[Step],
        run: Run,
        box: Box,
        installation: Installation,
    ) -> Iterator[tuple[Block, Ran[Subject]]]:
        """Each step as the page prints it, and what came of it."""
        blocks = printing.blocks(steps, self.page.sections())
        printed = [replace(step, command=block.text, creates=None) for step, block in blocks]
        witness = partial(Witness, installation, shell_of(box))
        for (_, block), ran in zip(blocks, go_through(printed, run, witness), strict=True):
            yield block, ran

    def _judge(
        self, block: Block, ran: Ran[Subject], record: _Recorder, status: int | None
    ) -> None:
        """Compare what was printed, and the exit status where one is wanted."""
        step, printed, trouble = ran.step, ran.printed, ""
        if ran.fault:
            trouble = _mismatch(step.shows, printed.text, ran.fault)
        elif why := expected.false_example(step.shows, ran.truth):
            trouble = f"the page shows what is not so here: {why}"
        elif status is not None and printed.status != status:
            trouble = f"exit status {printed.status}"
        if trouble:
            self.fault(block.place, trouble)
        record(step.name, trouble)


@dataclass(frozen=True)
class _Recorder:
    """Writes down what was run of one procedure in one container."""

    walk: Walk
    procedure: Procedure
    box: Box
    image: str

    def __call__(self, step: str, trouble: str) -> None:
        self.walk.records.append(
            Record(
                build=self.walk.page.build,
                page=self.walk.page.name,
                procedure=self.procedure.name,
                step=step,
                result=FAILED if trouble else PASSED,
                when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                mailman=self.box.version,
                standin=self.box.is_standin,
                python=self.box.python,
                layout=self.box.layout,
                image=self.image,
                detail=trouble,
            )
        )


def _mismatch(shows: str, printed: str, why: str) -> str:
    wanted = expected.as_shown(shows) or "nothing"
    return f"{why}\n  the page shows\n{_indented(wanted)}\n  and it printed\n{_indented(printed)}"


def _indented(text: str) -> str:
    lines = text.strip("\n").splitlines() or ["(nothing)"]
    shown = lines if len(lines) <= 12 else [*lines[:5], "…", *lines[-6:]]
    return "\n".join(f"    | {line}" for line in shown)


def _first_line(text: str) -> str:
    return repr(text.splitlines()[0] if text.strip() else text)


def image_of(box: Box) -> str:
    """The name that people know a container's image by."""
    image = box.container.image
    return str((*image.tags, image.id)[0])


def add_records(path: Path, records: Sequence[Record]) -> None:
    """Put new records beside those of the same builds on other Mailmans; drop all others."""
    builds = {record.build for record in records}
    replaced = {(record.page, record.where) for record in records}
    kept = [
        record
        for record in verification.read(path)
        if record.build in builds and (record.page, record.where) not in replaced
    ]
    verification.write(path, [*kept, *records])
