"""What is banned, by command: every entry of every ban list, and which run put it there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from runbooks.ban import entries
from runbooks.ban.entries import EntryError
from runbooks.mailman import journal
from runbooks.mailman.events import Adder, Adders, Event, ForAll, Outcome
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Work, over_lists

#: A list, by its site and name.
Place = tuple[str, str]


class Bans(str, Enum):
    """Whom an entry bans, the worst first."""

    EVERYBODY = "everybody"
    NOBODY = "nobody"
    #: it cannot be said
    UNCLEAR = "unclear"
    #: … and that is as it should be
    SOMEBODY = "somebody"

    __str__ = str.__str__


@dataclass(frozen=True)
class Judgement:
    """What there is to say of an entry, wherever it is."""

    bans: Bans
    why: str = ""
    warnings: tuple[str, ...] = ()


@dataclass
class Told:
    """The lists of which one worker told, in its order. Each differs little from the one before."""

    places: list[Place] = field(default_factory=list)
    #: what the last of them has: each entry, with the run that put each spelling of it there
    having: dict[str, dict[str, int | None]] = field(default_factory=dict)
    #: the spans of these
    open: dict[str, Span] = field(default_factory=dict)


@dataclass
class Span:
    """Lists next to each other among those of a worker that have an entry by the same run."""

    told: Told
    first: int
    run: int | None
    #: None: and all that follow
    end: int | None = None

    @property
    def places(self) -> list[Place]:
        return self.told.places[self.first : self.end]

    def __len__(self) -> int:
        return (len(self.told.places) if self.end is None else self.end) - self.first


@dataclass
class Found:
    """An entry, and where it is."""

    text: str
    judgement: Judgement
    #: sites whose GLOBAL_BAN_LIST has it: there all lists refuse it, and no ban list has it
    for_all: set[str] = field(default_factory=set)
    spelled: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    #: lists besides those of the spans
    others: list[Place] = field(default_factory=list)

    def places(self) -> Iterator[Place]:
        """The lists that have it."""
        for span in self.spans:
            yield from span.places
        yield from self.others

    @cached_property
    def runs(self) -> Counter[int | None]:
        """On how many lists each run put it, the oldest first; None: no run is on record."""
        found: Counter[int | None] = Counter()
        for span in sorted(self.spans, key=lambda span: -1 if span.run is None else span.run):
            found[span.run] += len(span)
        if self.others:
            found[None] += len(self.others)
        return found


@dataclass
class Inventory:
    """What is banned on the lists of a target."""

    seen: Work
    #: the lists that could be read
    lists: list[Place]
    #: how many of them have an empty ban list
    without: int
    entries: list[Found]
    #: the runs that put entries there, by number
    adders: tuple[Adder, ...]
    #: what is wrong with a journal, a line each
    problems: list[str]

    @cached_property
    def of_site(self) -> Counter[str]:
        """How many lists of each site could be read."""
        return Counter(site for site, _ in self.lists)

    def number(self, found: Found) -> int:
        """On how many lists an entry is, or is in force."""
        return sum(found.runs.values()) + sum(self.of_site[site] for site in found.for_all)

    def having(self, found: Found) -> list[Place]:
        """The lists on which an entry is, or is in force."""
        there = set(found.places())
        return [place for place in self.lists if place in there or place[0] in found.for_all]

    def lacking(self, found: Found) -> list[Place]:
        """Those on which it is not."""
        there = set(self.having(found))
        return [place for place in self.lists if place not in there]

    def is_everywhere(self, found: Found) -> bool:
        return self.number(found) == len(self.lists)

    def adders_of(self, found: Found) -> list[tuple[Adder, int]]:
        """The runs that put it there, the oldest first, and on how many lists."""
        return [(self.adders[run], n) for run, n in found.runs.items() if run is not None]

    def since(self, found: Found) -> str:
        """When the first of these runs was, in UTC; "" where none is on record."""
        return next((adder.at for adder, _ in self.adders_of(found)), "")


def look(target: Target) -> Inventory:
    """Read every ban list. One command; changes nothing on the host, and waits for no lock."""
    gathering = _Gathering()
    parameters = {"folders": journal.folders(target.installation)}
    done = (Outcome.LOOKED, Outcome.GONE)
    seen = over_lists(target, "banlists", parameters, done, on_event=gathering.hear)
    looks = [answer for answer in seen.answers if answer.outcome is Outcome.LOOKED]
    for answer in sorted(looks, key=lambda one: (one.said.worker, one.said.number)):
        gathering.take(answer)
    return Inventory(
        seen=seen,
        lists=[(answer.site, str(answer.list)) for answer in looks],
        without=gathering.without,
        entries=gathering.found(),
        adders=gathering.adders,
        problems=gathering.problems,
    )


def together(found: Mapping[str, Inventory]) -> Inventory:
    """What is banned on several hosts, as if they were one: its sites are called HOST:SITE."""
    merging = _Merging()
    for host, inventory in found.items():
        merging.take(host, inventory)
    return merging.inventory()


class _Merging:
    """Puts together what hosts tell."""

    def __init__(self) -> None:
        self.seen = Work(frozenset((Outcome.LOOKED, Outcome.GONE)))
        self.lists: list[Place] = []
        self.without = 0
        self.entries: dict[tuple[str, Judgement], Found] = {}
        #: a run on several hosts has one id
        self.adders: dict[str, Adder] = {}
        self.problems: list[str] = []

    def take(self, host: str, inventory: Inventory) -> None:
        def place(of: Place) -> Place:
            return f"{host}:{of[0]}", of[1]

        self.lists += map(place, inventory.lists)
        self.without += inventory.without
        self.problems += [f"{host}: {problem}" for problem in inventory.problems]
        numbers: dict[int | None, int | None] = {None: None}
        for number, adder in enumerate(inventory.adders):
            self.adders.setdefault(adder.run, adder)
            numbers[number] = list(self.adders).index(adder.run)
        told: dict[int, Told] = {}
        for one in inventory.entries:
            entry = self.entries.setdefault(
                (compared(one.text), one.judgement), Found(one.text, one.judgement)
            )
            entry.for_all |= {f"{host}:{site}" for site in one.for_all}
            entry.spelled |= one.spelled
            entry.others += map(place, one.others)
            for span in one.spans:
                places = told.setdefault(
                    id(span.told), Told(places=[place(of) for of in span.told.places])
                )
                entry.spans.append(Span(places, span.first, numbers[span.run], span.end))

    def inventory(self) -> Inventory:
        return Inventory(
            seen=self.seen,
            lists=self.lists,
            without=self.without,
            entries=list(self.entries.values()),
            adders=tuple(self.adders.values()),
            problems=self.problems,
        )


class _Gathering:
    """Puts together what the workers tell."""

    def __init__(self) -> None:
        self.adders: tuple[Adder, ...] = ()
        self.problems: list[str] = []
        self.workers: dict[str, Told] = {}
        self.without = 0
        self.broken: dict[str, str] = {}
        #: by what Mailman compares
        self.entries: dict[str, Found] = {}
        self.for_all: dict[str, Found] = {}
        self.no_text: dict[str, Found] = {}

    def hear(self, event: Event) -> None:
        match event:
            case Adders():
                self.adders = event.runs
            case ForAll():
                self.broken.update(event.broken)
                for text in event.entries:
                    _entry(self.for_all, text).for_all.add(event.site)
                for shown in event.no_text:
                    self._no_text(shown).for_all.add(event.site)
            case _:
                if problem := journal.unreadable_why(event):
                    self.problems.append(problem)

    def take(self, answer: Answer) -> None:
        """A list, behind those of which the same worker told before."""
        said, place = answer.said, (answer.site, str(answer.list))
        told = self.workers.setdefault(said.worker, Told())
        changed = set()
        for text in said.lost:
            changed.add(compared(text))
            del told.having[compared(text)][text]
        for number, texts in said.gained.items():
            run = int(number) if number else None
            for text in texts:
                changed.add(compared(text))
                told.having.setdefault(compared(text), {})[text] = run
        for entry in changed:
            self._turn(told, entry)
        told.places.append(place)
        self.without += not told.having and not said.no_text
        self.broken.update(said.broken)
        for shown in set(said.no_text):
            self._no_text(shown).others.append(place)

    def _turn(self, told: Told, entry: str) -> None:
        """Begin another span of an entry with the next list, or none."""
        if entry in told.open:
            told.open.pop(entry).end = len(told.places)
        spelled = told.having[entry]
        if not spelled:
            del told.having[entry]
            return
        run = max((run for run in spelled.values() if run is not None), default=None)
        span = told.open[entry] = Span(told, len(told.places), run)
        found = _entry(self.entries, min(spelled))
        found.spelled.update(spelled)
        found.spans.append(span)

    def _no_text(self, shown: str) -> Found:
        why = "is not text: Mailman fails on it and accepts no subscription"
        return self.no_text.setdefault(shown, Found(shown, Judgement(Bans.EVERYBODY, why)))

    def found(self) -> list[Found]:
        for found in (*self.entries.values(), *self.for_all.values()):
            found.judgement = judge(found.text, self.broken)
        return [*self.no_text.values(), *self.for_all.values(), *self.entries.values()]


def compared(entry: str) -> str:
    """An entry as Mailman compares it (recording `patterns`); a pattern is what it is."""
    return entry if entry.startswith("^") else entry.strip().lower()


def _entry(known: dict[str, Found], text: str) -> Found:
    return known.setdefault(compared(text), Found(text, Judgement(Bans.SOMEBODY)))


def judge(text: str, broken: dict[str, str]) -> Judgement:
    """What an entry does that is there. `broken`: what the Python of the host does not compile."""
    if text in broken:
        return Judgement(Bans.NOBODY, f"does not compile on the host ({broken[text]})")
    bare = text.strip()
    if not bare:
        return Judgement(Bans.NOBODY, "is blank")
    is_pattern = bare.startswith("^")
    try:
        # Blanks around an address do no harm. Somebody may have insisted on an odd one.
        entry = entries.entry(text if is_pattern else bare, force=not is_pattern)
    except EntryError as e:
        return Judgement(Bans(e.bans or "unclear"), e.why)
    return Judgement(Bans.SOMEBODY, warnings=entry.warnings)
