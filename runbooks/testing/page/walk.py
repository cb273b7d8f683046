"""Walks through a page as a reader does, each procedure in every way, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from runbooks.book import expected
from runbooks.book.procedure import Step
from runbooks.book.steps import Ran
from runbooks.host.host import Host
from runbooks.mailman.documented import REACHED
from runbooks.mailman.installation import Installation, discover
from runbooks.mailman.printed import STATE, AnyProcedure
from runbooks.mailman.truth import Subject
from runbooks.sphinxext import verification
from runbooks.sphinxext.verification import FAILED, PASSED, Record
from runbooks.testing.containers.box import Box
from runbooks.testing.page import state, world
from runbooks.testing.page.pages import Block
from runbooks.testing.page.printing import Printing, Reading
from runbooks.testing.page.ways import WAYS, Server, Way


@dataclass(frozen=True)
class Outcome:
    """What came of a step, one way."""

    #: with the command as the page prints it
    step: Step
    #: the block that it was taken from
    block: Block
    ran: Ran[Subject | None]
    #: what is wrong; "" when nothing is
    trouble: str

    @property
    def is_seen_here(self) -> bool:
        """Whether what it printed was held here against what was true then."""
        return self.ran.step.shows == self.step.shows


@dataclass
class Walked:
    """What came of a procedure."""

    #: by the names of the way and of the step
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    #: what differs where the ways have ended; None where they were not compared
    differing: list[str] | None = None
    #: by the name of the way: why it was left before its end
    left: dict[str, str] = field(default_factory=dict)
    #: why none of them was gone any further
    broken: str = ""

    def why_not(self, way: str) -> str:
        """Why a step was not reached; or, without a way, why nothing was compared."""
        left = "; ".join(f"{name}: {why}" for name, why in self.left.items())
        return self.left.get(way, "") or self.broken or left or "the page does not print it"


class Walk:
    """A walk through a page in one container, one procedure after the other as they are asked for.

    Every procedure is carried out in all ways, each on a server that knows nothing of the others.
    """

    def __init__(
        self,
        reading: Reading,
        box: Box,
        image: str,
        home: Path,
        path: str,
        run: set[str],
        ways: Sequence[Way] = WAYS,
    ) -> None:
        """`home`: where a command is run that is not run on the list server, a folder that is
        there; `path`: its ``PATH``; `run`: gets the place of each block of the page that is run.

        The commands say how they reach the server: the ``ssh`` on that path has to lead there.
        """
        self.reading = reading
        self.box = box
        self.image = image
        self.home = home
        self.path = path
        self.run = run
        self.ways = ways
        self._walked: dict[str, Walked] = {}
        self._begun: tuple[Installation, state.Kept] | None = None
        #: why there is no server to walk on
        self._trouble = ""

    def of(self, procedure: AnyProcedure, keep: Callable[[Sequence[Record]], None]) -> Walked:
        """What came of a procedure, which is carried out if that has not been done yet.

        `keep` gets the records of what was run, whatever ends it.
        """
        if procedure.name in self._walked:
            return self._walked[procedure.name]
        walked = self._walked[procedure.name] = Walked(broken="the walk was broken off")
        records: list[Record] = []
        try:
            self._go(procedure, walked, records)
            walked.broken = ""
        except Exception as problem:  # noqa: BLE001
            # Of which every test speaks whose step was not reached.
            walked.broken = f"{_last(walked)}: {type(problem).__name__}: {problem}"
        finally:
            if records:
                keep(records)
        return walked

    def _begin(self) -> tuple[Installation, state.Kept]:
        if self._trouble:
            raise RuntimeError(self._trouble)
        if self._begun is None:
            self._trouble = "the documented server could not be made, as another test says"
            world.make(self.box)
            installation = replace(discover(Host(self.box.spec)), host=Host(REACHED))
            self._begun = installation, state.keep(self.box)
            self._trouble = ""
        return self._begun

    def _go(self, procedure: AnyProcedure, walked: Walked, records: list[Record]) -> None:
        printings = {one.procedure.name: one for one in self.reading.printings}
        printing = printings.get(procedure.name) or Printing(procedure)
        installation, clean = self._begin()
        box = self.box
        state.put_back(box, clean)
        before = state.lists(state.state(box))
        home = self.home / procedure.name
        home.mkdir()
        environment = {"HOME": str(home), "PATH": self.path}
        server = Server(box, installation, procedure, home, environment)
        world.befall(box, home, procedure)
        start = state.keep(box)
        ends: dict[str, state.State] = {}
        for way in self.ways:
            if ends:
                state.put_back(box, start)
            with world.company(box, procedure):
                self._along(way, server, printing, walked, records)
            ends[way.name] = state.state(box)
        if not walked.left:
            walked.differing = self._differing(procedure, before, ends)
            records.append(self._record(procedure, STATE, "; ".join(walked.differing)))

    def _along(
        self,
        way: Way,
        server: Server,
        printing: Printing,
        walked: Walked,
        records: list[Record],
    ) -> None:
        """Every step as the page prints it, until one of them does not end."""
        steps = way.steps(server.procedure, self.box.version)
        blocks = printing.blocks(steps, self.reading.page.sections())
        printed = [replace(step, command=block.text, creates=None) for step, block in blocks]
        with closing(way.go(server, printed)) as going:
            for (step, block), ran in zip(blocks, going, strict=True):
                self.run.add(block.place)
                trouble = _trouble(ran, way.status)
                named = replace(step, command=block.text)
                walked.outcomes[way.name, step.name] = Outcome(named, block, ran, trouble)
                records.append(self._record(server.procedure, step.name, trouble))
                if ran.printed.status is None:
                    place = self.reading.place(server.procedure, step.name)
                    walked.left[way.name] = f"{place} stopped it: {trouble}"
                    break

    def _differing(
        self, procedure: AnyProcedure, before: state.State, ends: dict[str, state.State]
    ) -> list[str]:
        """How the ends of the ways differ, and from the beginning where that is to come back."""
        first, *others = self.ways
        found = []
        for way in others:
            end = dict(ends[way.name])
            # What only the reader has: the files of the procedure itself.
            for step in way.steps(procedure, self.box.version):
                if step.creates and step.creates.path not in ends[first.name]:
                    end.pop(step.creates.path, None)
            found += state.differences(end, ends[first.name], way.name, first.name)
        if procedure.takes_back:
            after = state.lists(ends[first.name])
            found += state.differences(before, after, "before", "afterwards")
        return found

    def _record(self, procedure: AnyProcedure, step: str, trouble: str) -> Record:
        return Record(
            build=self.reading.page.build,
            page=self.reading.page.name,
            procedure=procedure.name,
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


def _trouble(ran: Ran[Subject | None], status: int | None) -> str:
    """What is wrong with what a step printed, and its exit status where one is wanted."""
    if ran.fault:
        return ran.fault
    if why := expected.false_example(ran.step.shows, ran.truth):
        return f"the page shows what is not so here: {why}"
    if status is not None and ran.printed.status != status:
        return f"exit status {ran.printed.status}"
    return ""


def _last(walked: Walked) -> str:
    """How far a walk has come."""
    names = [f"{step}, {way}" for way, step in walked.outcomes]
    return f"after {names[-1]}" if names else "before its first step"


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
