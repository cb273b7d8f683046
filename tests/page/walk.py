"""Walks through a page as a reader does, and says where the page is not true."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from runbooks import expected
from runbooks.procedure import Procedure, Step
from runbooks.sphinxext import verification
from runbooks.sphinxext.directives import anchor, command_of, steps_of
from runbooks.sphinxext.verification import COMMAND, FAILED, PASSED, STATE, Record
from tests.page import reader, state, world
from tests.page.pages import Block, Page
from tests.support.box import Box

#: What only the way by command leaves, and what only the way by hand does.
BY_COMMAND_ALONE = (r".*/journal(/.*)?", r".*/runbook(/.*)?")


@dataclass
class Printing:
    """A procedure as a page prints it: its blocks, by what they belong to."""

    procedure: Procedure
    #: ``COMMAND`` or the name of a step: its command, and what the page shows of its output
    commands: dict[str, Block] = field(default_factory=dict)
    outputs: dict[str, Block] = field(default_factory=dict)
    #: the order of the steps on the page
    order: list[str] = field(default_factory=list)


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
        owners: dict[str, tuple[Procedure, str]] = {}
        for procedure in self.procedures:
            owners[anchor(procedure, COMMAND)] = (procedure, COMMAND)
            for step in steps_of(procedure):
                owners[anchor(procedure, step.name)] = (procedure, step.name)
        found: dict[str, Printing] = {}
        last: Block | None = None
        for block in self.page.blocks:
            owner = owners.get(block.anchor)
            if owner is None or block.kind == "other":
                self.fault(block.place, f"no test runs the block {_first_line(block.text)}")
                continue
            procedure, part = owner
            printing = found.setdefault(procedure.name, Printing(procedure))
            kept = printing.commands if block.kind == "command" else printing.outputs
            if part in kept:
                self.fault(block.place, f"no test runs the block {_first_line(block.text)}")
            elif block.kind == "output" and (last is None or last.anchor != block.anchor):
                self.fault(block.place, "an output stands before its command")
            else:
                kept[part] = block
                if block.kind == "command" and part != COMMAND:
                    printing.order.append(part)
            last = block
        self._compare_with_source(found)
        return list(found.values())

    def _compare_with_source(self, found: Mapping[str, Printing]) -> None:
        """Every procedure, step and output that is defined is on the page, and says the same."""
        created: set[tuple[object, str]] = set()
        for procedure in self.procedures:
            printing = found.get(procedure.name) or Printing(procedure)
            if COMMAND not in printing.commands:
                self.fault(procedure.name, "the page does not print its command")
            elif printing.commands[COMMAND].text != command_of(procedure):
                self.fault(procedure.name, "the page prints another command than is defined")
            self._compare_output(printing, COMMAND, procedure.shows)
            if not procedure.shows.strip():
                self.fault(procedure.name, "the page does not show what its command prints")
            for step in steps_of(procedure):
                again = step.creates is not None and (step.creates, step.command) in created
                created.add((step.creates, step.command))
                if step.name not in printing.commands and not again:
                    self.fault(anchor(procedure, step.name), "the page does not print this step")
                self._compare_output(printing, step.name, "" if again else step.shows)

    def _compare_output(self, printing: Printing, part: str, shows: str) -> None:
        block = printing.outputs.get(part)
        printed = block.text if block else ""
        if printed != expected.as_shown(shows):
            place = anchor(printing.procedure, part)
            self.fault(place, f"the page shows another output than is defined: {printed!r}")

    # -- what comes of it -----------------------------------------------------------------

    def go(self, box: Box, image: str, folder: Path) -> None:
        """Every procedure both ways in `box`, from the same beginning."""
        for printing in self.read():
            procedure = printing.procedure
            world.befall(box, procedure.name, procedure.example)
            start = state.keep(box)
            record = _Recorder(self, procedure, box, image)
            created = [step.creates.path for step in steps_of(procedure) if step.creates]
            ignored = [*BY_COMMAND_ALONE, *map(re.escape, created)]
            self._by_command(printing, box, folder, record)
            by_command = state.state(box, ignored)
            state.put_back(box, start)
            self._by_hand(printing, box, record)
            differing = state.differences(state.state(box, ignored), by_command)
            for line in differing:
                self.fault(f"{self.page.name}.html#{procedure.name}", f"differs: {line}")
            record(STATE, "; ".join(differing))

    def _by_command(self, printing: Printing, box: Box, folder: Path, record: _Recorder) -> None:
        block = printing.commands.get(COMMAND)
        if block is None:
            return
        shows = printing.procedure.shows
        environment = {"RUNBOOK_HOST": f"docker://{box.id}", "HOME": str(folder)}
        printed = reader.by_command(block.text, shows, environment, folder)
        trouble = ""
        if not expected.matches(shows, printed.text):
            trouble = _mismatch(shows, printed.text)
        elif printed.status != 0:
            trouble = f"exit status {printed.status}"
        if trouble:
            self.fault(block.place, trouble)
        record(COMMAND, trouble)

    def _by_hand(self, printing: Printing, box: Box, record: _Recorder) -> None:
        blocks = [printing.commands[name] for name in printing.order]
        steps = {step.name: step for step in steps_of(printing.procedure)}
        for block, printed in zip(
            blocks, reader.by_hand(box, [block.text for block in blocks]), strict=True
        ):
            step = _step(steps, printing, block)
            trouble = ""
            if printed.status is None or not step.matches(printed.text):
                trouble = _mismatch(step.shows, printed.text)
                self.fault(block.place, trouble)
            record(step.name, trouble)
        for name in steps.keys() - set(printing.order):
            # Printed by a procedure further up, and run there.
            record(name, "")


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


def _step(steps: Mapping[str, Step], printing: Printing, block: Block) -> Step:
    name = next(name for name, one in printing.commands.items() if one is block)
    return steps[name]


def _mismatch(shows: str, printed: str) -> str:
    wanted = expected.as_shown(shows) or "nothing"
    return f"the page shows\n{_indented(wanted)}\n  and it printed\n{_indented(printed)}"


def _indented(text: str) -> str:
    lines = text.strip("\n").splitlines() or ["(nothing)"]
    shown = lines if len(lines) <= 12 else [*lines[:5], "…", *lines[-6:]]
    return "\n".join(f"    | {line}" for line in shown)


def _first_line(text: str) -> str:
    return repr(text.splitlines()[0] if text.strip() else text)


def image_of(box: Box) -> str:
    """The name that people know a container's image by."""
    done = subprocess.run(
        ["docker", "inspect", "--format", "{{.Image}}", box.id],
        capture_output=True,
        text=True,
        check=True,
    )
    identity = done.stdout.strip()
    tags = subprocess.run(
        ["docker", "image", "inspect", "--format", '{{join .RepoTags " "}}', identity],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return tags[0] if tags else identity


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
