"""The goals: what was asked for, what was measured, and whether that is met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks import over_ssh
from benchmarks.ban import AGAIN, MANY, ORIGINAL, OURS, Cell, size
from benchmarks.others import HELP
from benchmarks.over_ssh import ANSIBLE, PYINFRA, Comparison
from runbooks.testing.containers.box import Mailman

NOT_MEASURED = "not measured"
MET, NOT_MET = "met", "**not met**"
#: The head of the table of goals; a column for each server follows.
HEAD = ("goal", "what", "wanted")
OURS_CODE = f"`{OURS}`"


@dataclass(frozen=True)
class Sizes:
    """What the goals are about: (lists, members), files, hosts."""

    large: tuple[int, int] = (1000, 1000)
    small: tuple[int, int] = (100, 10)
    few: tuple[int, int] = (10, 10)
    many: tuple[int, int] = (1000, 10)
    most: tuple[int, int] = (10_000, 10)
    files: int = 10_000
    hosts: int = 10


GOAL_SIZES = Sizes()


@dataclass
class Results:
    """Everything that was measured on one server."""

    mailman: Mailman
    sizes: Sizes = GOAL_SIZES
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)
    #: by number of files: seconds
    locks: dict[int, float] = field(default_factory=dict)
    #: by number of hosts
    over_ssh: dict[int, Comparison] = field(default_factory=dict)

    @property
    def name(self) -> str:
        what = "the stand-in for" if self.mailman.is_standin else "GNU"
        return f"{what} Mailman {self.mailman.version}, Python {self.mailman.python}"


@dataclass(frozen=True)
class Goal:
    """A goal, and what was measured of it on one server."""

    #: by which notes.md speaks of it
    key: str
    what: str
    wanted: str
    measured: str
    #: None where it was not measured, or not at the size that the goal is about
    met: bool | None

    def __str__(self) -> str:
        return self.measured + {True: f", {MET}", False: f", {NOT_MET}", None: ""}[self.met]


def goals(one: Results, startup: dict[str, float]) -> Iterator[Goal]:
    """Every goal on a server."""
    sizes = one.sizes

    def at_most(
        key: str, what: str, limit: float, value: float | None, form: str = "{:.2f}"
    ) -> Goal:
        wanted = f"≤ {form.format(limit)}".replace(" ", "\N{NO-BREAK SPACE}")
        if value is None:
            return Goal(key, what, wanted, NOT_MEASURED, None)
        met = value <= limit if sizes == GOAL_SIZES else None
        return Goal(key, what, wanted, form.format(value), met)

    def ratio(where: tuple[int, int], what: str, than: str) -> float | None:
        cell = one.cells.get(where)
        if cell is None or not {what, than} <= set(cell.times):
            return None
        return cell.ratio(what, than)

    large, small = size(*sizes.large), size(*sizes.small)
    script = f"{OURS_CODE} / {ORIGINAL}"
    yield at_most("ban", f"{script}, {large}", 0.6, ratio(sizes.large, OURS, ORIGINAL))
    yield at_most(
        "again", f"{AGAIN} / {ORIGINAL}, {large}", 0.25, ratio(sizes.large, AGAIN, ORIGINAL)
    )
    yield at_most("addresses", f"{MANY} / 1 address, {large}", 1.2, ratio(sizes.large, MANY, OURS))
    yield at_most("small", f"{script}, {small}", 1.0, ratio(sizes.small, OURS, ORIGINAL))

    alone, several = one.over_ssh.get(1), one.over_ssh.get(sizes.hosts)
    whole = alone.median(OURS) if alone else None
    lists = size(over_ssh.LISTS, over_ssh.MEMBERS)
    yield at_most("ssh", f"{OURS_CODE}, {lists}, over ssh", 0.35, whole, "{:.2f} s")
    beside = None
    if several:
        faster = min(several.median(PYINFRA), several.median(ANSIBLE))
        beside = several.median(OURS) / faster
    others = "the faster of pyinfra and Ansible"
    yield at_most("hosts", f"{OURS_CODE} / {others}, {sizes.hosts} hosts over ssh", 1.0, beside)
    yield at_most(
        "locks",
        f"`runbook locks`, {sizes.files:,} files",
        1.0,
        one.locks.get(sizes.files),
        "{:.2f} s",
    )

    here = there = None
    few, most = one.cells.get(sizes.few), one.cells.get(sizes.most)
    if few and most and few.cost and most.cost:
        here, there = most.cost.here / few.cost.here, most.cost.on_host / few.cost.on_host
    span = f"{sizes.most[0]:,} / {size(*sizes.few)}"
    yield at_most("memory", f"memory here, {span}", 1.05, here)
    yield at_most("memory there", f"memory on the host, {span}", 1.25, there)
    yield at_most(
        "commands",
        f"commands sent to the host by {OURS_CODE}",
        6,
        max((cell.cost.commands for cell in one.cells.values() if cell.cost), default=None),
        "{:.0f}",
    )
    growth = ratio_of_lists(one, sizes.most, sizes.many)
    span = f"{sizes.most[0]:,} / {size(*sizes.many)}"
    yield at_most("growth", f"time for a list, {span}", 1.25, growth)
    yield at_most("help", HELP, 120, startup[HELP] * 1000, "{:.0f} ms")


def ratio_of_lists(one: Results, many: tuple[int, int], few: tuple[int, int]) -> float | None:
    """The time that a list takes where there are many, as a part of that where there are few."""
    cells = [one.cells.get(many), one.cells.get(few)]
    if not all(cell and OURS in cell.times for cell in cells):
        return None
    there, here = (cell.median(OURS) / cell.lists for cell in cells if cell)
    return there / here
