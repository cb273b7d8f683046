"""What on-host programs say: a dataclass for each kind of event, and one answer for each list.

On the way, events are JSON. Here alone they are read as such; from here on they have types.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from runbooks.errors import LostError, short
from runbooks.mailman.fromjson import MisfitError, made

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    from runbooks.mailman.locks import Observation
else:

    def dataclass_transform(**options):
        """For mypy alone; Python 3.10 has none."""
        return lambda cls: cls


class Outcome(str, Enum):
    """What became of a list, or of whatever else a command is about."""

    # as was asked
    BANNED = "banned"
    UNBANNED = "unbanned"
    UNSUBSCRIBED = "unsubscribed"
    CREATED = "created"
    CHANGED = "changed"
    RESTORED = "restored"
    UNDONE = "undone"
    CLEARED = "cleared"
    WRITTEN = "written"
    # … and was so before
    ALREADY = "already"
    ABSENT = "absent"
    UNCHANGED = "unchanged"
    FREE = "free"
    GONE = "gone"
    # of a look, and of a dry run
    LOOKED = "looked"
    PLANNED = "planned"
    REFUSES = "refuses"
    ACCEPTS = "accepts"
    # not as was asked
    LOCKED = "locked"
    CORRUPT = "corrupt"
    ERROR = "error"
    FAILED = "failed"
    REFUSED = "refused"
    CHANGED_SINCE = "changed since"
    # the record does not say what became of it
    BEGUN = "begun"
    UNKNOWN = "unknown"

    # As JSON and sentences have it, under every Python.
    __str__ = str.__str__

    @property
    def is_done(self) -> bool:
        """Whether the list is as was asked."""
        return self not in _NOT_DONE


_NOT_DONE = frozenset(
    {
        Outcome.LOCKED,
        Outcome.CORRUPT,
        Outcome.ERROR,
        Outcome.FAILED,
        Outcome.REFUSED,
        Outcome.CHANGED_SINCE,
        Outcome.BEGUN,
        Outcome.UNKNOWN,
    }
)


class StrangeEventError(LostError):
    """An on-host program said what nobody here understands: what it did since was not heard."""


_completing = threading.Lock()


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Part:
    """Each class made of this is a frozen dataclass, from the first time that it is needed.

    To make all of them takes a quarter of the time in which a short command begins, and it hears
    few of them.
    """

    def __init__(self, *values: object, **members: object) -> None:
        # From now on, the class has one of its own.
        type(self).complete()
        type(self).__init__(self, *values, **members)

    @classmethod
    def complete(cls) -> None:
        """Make it a dataclass, unless it is one."""
        # Several hosts may say the same for the first time at once.
        with _completing:
            for kind in reversed(cls.__mro__[: cls.__mro__.index(Part)]):
                if kind is not Event and "__dataclass_fields__" not in vars(kind):
                    # The two methods below need not be made for each.
                    dataclass(frozen=True, eq=False, repr=False)(kind)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class Event(Part):
    """Something that an on-host program said. `kinds`: by the name that each has there."""

    kinds: ClassVar[dict[str, type[Event]]] = {}

    def __init_subclass__(cls, kind: str) -> None:
        Event.kinds[kind] = cls


def decode(json: Mapping[str, object], host: str) -> Event:
    """The event that a program on `host` sent as `json`. Raises StrangeEventError."""
    name = str(json.get("event"))
    try:
        if name not in Event.kinds:
            raise MisfitError("is of no known kind")
        return made(Event.kinds[name], json)
    except MisfitError as e:
        raise StrangeEventError(
            f"{host}: the program on the host sent what runbook does not understand:"
            f" the event {short(name)} {e}"
        ) from None


# -- of an installation -------------------------------------------------------------------


class Absent(Event, kind="absent"):
    """There is no Mailman 2, or none that may be asked."""

    why: Literal["none", "mailman3", "unreadable", "no_interpreter", "loose_interpreter"]
    detail: str


class SiteDescription(Part):
    """A site as its mm_cfg.py has it, settings by Mailman's own names."""

    site_dir: str | None
    version: str
    note: str
    uid: int | None
    lists: int
    first_list: str
    problems: tuple[str, ...]
    #: an expression for each of the characters that a list's name may have
    name_characters: str
    VAR_PREFIX: str
    LIST_DATA_DIR: str
    LOCK_DIR: str
    LIST_LOCK_LIFETIME: int
    MAILMAN_USER: str
    MAILMAN_GROUP: str
    MAILMAN_SITE_LIST: str
    DEFAULT_EMAIL_HOST: str
    DEFAULT_URL_HOST: str


class Refusal(Part):
    """A site that does not describe itself, and what it says instead."""

    site_dir: str | None
    said: str


class Described(Event, kind="installation"):
    """An installation describes itself."""

    bin: str
    #: the folders of further ones
    others: tuple[str, ...]
    interpreter: str
    python: str
    hostname: str
    #: its clock, in seconds since 1970, and how many seconds its local time is ahead of UTC
    now: float
    utc_offset: int
    processors: int
    uid: int
    sites: tuple[SiteDescription, ...]
    refusals: tuple[Refusal, ...]


# -- of a run -----------------------------------------------------------------------------


class Recorded(Event, kind="recorded"):
    run: str
    path: str
    #: where its end will be, for who goes on with the run
    room: int = 0


class Unrecorded(Event, kind="unrecorded"):
    """The record cannot be written. `begun`: that it can be so no longer."""

    why: str
    begun: bool


class Stopped(Event, kind="stopped"):
    """The run was interrupted."""


class Stopping(Event, kind="stopping"):
    #: for which what is in hand may go on
    seconds: float


class Refused(Event, kind="refused"):
    """What was asked for cannot be done to any list."""

    why: str
    #: of a script: the line that is to blame, the functions that it has, the Python
    line: int | None = None
    functions: tuple[str, ...] = ()
    python: str = ""


# -- of printed steps ---------------------------------------------------------------------


class Begun(Event, kind="begun"):
    """A step is about to be run."""


class LinePrinted(Event, kind="printed"):
    """A line that a step has printed, with its line feed."""

    text: str


class Stepped(Event, kind="stepped"):
    """A step has ended."""

    status: int
    interrupted: bool


class Told(Event, kind="answer"):
    """What a command has printed that only looks."""

    text: str
    complaint: str
    status: int


# -- of lists -----------------------------------------------------------------------------


class SiteLists(Event, kind="site"):
    """How many lists a site has, or why they cannot be named."""

    site: str
    lists: int = 0
    error: str | None = None


class Waiting(Event, kind="waiting"):
    lists: int
    seconds: float


#: One thing that differs between two states of a list: "from" and "to", or what was "added",
#: "removed" and "altered" (what, from, to), and how much "more". It stays the JSON that it was.
Change = TypedDict(
    "Change",
    {
        "name": str,
        "from": str,
        "to": str,
        "added": tuple[str, ...],
        "removed": tuple[str, ...],
        "altered": tuple[tuple[str, str, str], ...],
        "more": int,
    },
    total=False,
)


class ListEvent(Event, kind="list"):
    """What became of a list, or was seen of it. What a program does not say is as by default."""

    site: str
    list: str
    outcome: Outcome
    detail: str = ""
    #: lists of the same site of which the same is said
    alike: tuple[str, ...] = ()
    #: its lock was seen in a look; or it is the lock that is in the way, and `detail` says of what
    locked: bool = False
    #: nothing is to be done to it
    is_done: bool = False
    has_lock: bool = False
    #: the process that had it in hand died, and may have left its lock
    left_lock: bool = False
    #: Mailman does not see it
    unseen: bool = False
    #: there is none
    unknown: bool = False
    #: of an exception
    traceback: str = ""

    # banning: which of the addresses (see `mailman/numbering.py`)
    #: … it refuses, by the entry; "" is the address itself
    refused: Mapping[str, str] = field(default_factory=dict)
    #: … it refuses by an entry for every list alone
    for_all: str = ""
    #: … are entries of its ban list
    has: str = ""
    #: … were banned, or unbanned; and those that it accepts after it was saved
    did: str = ""
    accepted: str = ""
    #: … are members, and how many members there are
    subscribed: str = ""
    of_members: int = 0
    #: by the number of a pattern: how many members it would match, and the first of them
    matched: Mapping[int, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    #: by the number of an address: owners, moderators and the site's own whom it would match
    people: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    # unsubscribing: as above which are members; and by the number of an address, how many
    # subscriptions of it wait for a confirmation, and how many for a moderator
    confirming: Mapping[int, int] = field(default_factory=dict)
    requesting: Mapping[int, int] = field(default_factory=dict)

    # undoing: entries, and the description to go back to
    take_out: tuple[str, ...] = ()
    put_back: tuple[str, ...] = ()
    describe: str | None = None
    #: the description that somebody set since
    described_since: str | None = None
    #: attributes to go back, with their values, and those that somebody set since
    set: Mapping[str, object] = field(default_factory=dict)
    set_since: tuple[str, ...] = ()
    #: "members", "confirmations" and "requests": how many to put back, and how many to take out
    returning: Mapping[str, int] = field(default_factory=dict)
    leaving: Mapping[str, int] = field(default_factory=dict)
    #: members that somebody subscribed, or whose settings somebody changed, since
    subscribed_since: tuple[str, ...] = ()

    # scripting: attributes and files that the script changed
    changed: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    #: of a rehearsal: what it would change, also of other lists
    changes: tuple[Change, ...] = ()
    others: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    #: no other list would fare better
    hopeless: bool = False

    # restoring: what changed without the list's lock, and is not put back
    strays: tuple[str, ...] = ()

    # banlists: what differs from the list of which the same worker told before: by the number of
    # the run that put them there ("" where no run is on record), entries that this list has and
    # that one had not, or had by another run; entries that only that one had
    gained: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    #: the worker, and how many lists it has told of; patterns that its Python does not compile, and
    #: why, each told once
    worker: str = ""
    number: int = 0
    broken: Mapping[str, str] = field(default_factory=dict)
    #: what this list has among its entries that is no text
    no_text: tuple[str, ...] = ()

    # adding: the description that was replaced, and entries that the ban list got
    description_was: str | None = None
    added: tuple[str, ...] = ()

    def without_list(self) -> ListEvent:
        """The same of no list: equal to what is said of another, if that is the same."""
        if not self.list and not self.alike:
            return self
        found = object.__new__(ListEvent)
        vars(found).update(vars(self), list="", alike=())
        return found


class Output(Event, kind="output"):
    site: str
    list: str
    text: str


class Seen(Event, kind="seen"):
    """What a list has, by the names that `runbooks.mailman.truth` asks for."""

    site: str
    list: str
    has: Mapping[str, object]


class Compiled(Event, kind="compiled"):
    python: str


class Kept(Event, kind="kept"):
    """Where a run kept the states of lists; sites of which it kept some and that are gone."""

    path: str
    lists: int
    sites_gone: tuple[str, ...]


class Names(Event, kind="names"):
    """The lists of a site, or why they cannot be named."""

    site: str
    names: tuple[str, ...] = ()
    why: str | None = None


class Looked(Event, kind="looked"):
    """A list, for adding it: without `exists` or with `unreadable`, there is no more to say."""

    exists: bool
    #: where Mailman itself writes aliases
    alias_files: tuple[str, ...]
    unreadable: str | None = None
    note: str = ""
    owner: tuple[str, ...] = ()
    description: str = ""
    mail_host: str = ""
    web_page_url: str = ""
    #: what all `others` refuse and this list does not
    lacking: tuple[str, ...] = ()
    others: int = 0
    #: lists that cannot be read, and those that are as new as this one
    left_out: tuple[str, ...] = ()
    as_new: tuple[str, ...] = ()


class Aliases(Event, kind="aliases"):
    """What a file has of a list's aliases, or why it cannot be read."""

    path: str
    missing: tuple[str, ...] = ()
    #: those that stand for something else
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    #: of how many other lists it has some
    others: int = 0
    #: the file that the mail server reads in its place, and that is older
    stale: str | None = None
    why: str | None = None
    absent: bool = False


class Adder(Part):
    """A run that put entries into ban lists."""

    run: str
    at: str
    command: str
    login: str


class Adders(Event, kind="adders"):
    """The runs that put entries into ban lists, oldest first. Their numbers are their places."""

    runs: tuple[Adder, ...]


class ForAll(Event, kind="for_all"):
    """The entries of a site's GLOBAL_BAN_LIST, those that do not compile, and what is no text."""

    site: str
    list: str
    entries: tuple[str, ...]
    broken: Mapping[str, str]
    no_text: tuple[str, ...]


# -- of locks -----------------------------------------------------------------------------


class Locks(Event, kind="locks"):
    """What the lock folder of a site holds."""

    site: str
    observation: Observation

    @staticmethod
    def late_names() -> dict[str, object]:
        # Where nothing is locked, nothing of this is needed.
        from runbooks.mailman.locks import Observation

        return {"Observation": Observation}


class Taken(Locks, kind="taken"):
    """… when some that waited have `locks`."""

    locks: tuple[str, ...]


class After(Locks, kind="after"):
    """… when all is removed that was to be."""


class Removal(Event, kind="removal"):
    """What became of a lock, or of a save."""

    site: str
    #: the first is what it is known by
    files: tuple[str, ...]
    result: Literal["removed", "gone", "changed", "refused", "failed"]
    reason: str | None


class ListNames(Event, kind="lists"):
    """The lists of a site, and what stood in the way of seeing them."""

    site: str
    names: tuple[str, ...]
    error: str | None


class UnfinishedSave(Part):
    list: str
    name: str
    host: str
    pid: int
    inode: int
    device: int
    size: int
    ctime_ns: int


class Saves(Event, kind="saves"):
    """The saves of a site that were cut short, and what stood in the way of seeing them."""

    site: str
    saves: tuple[UnfinishedSave, ...]
    error: str | None


# -- of the journal -----------------------------------------------------------------------


class Found(Event, kind="found"):
    #: how many there are, or may be meant
    runs: int


class Ambiguous(Event, kind="ambiguous"):
    runs: tuple[str, ...]


class Unreadable(Event, kind="unreadable"):
    #: of a journal
    path: str
    why: str


class Damaged(Event, kind="damaged"):
    #: of a journal, and how many lines of it are no record
    path: str
    lines: int


class Login(Part):
    """Who was logged in, as the host saw it."""

    login: str = ""
    client: str = ""


class Beginning(Part):
    """What a run recorded when it began; `rest`: what its command alone records."""

    at: str = ""
    command: str = "?"
    arguments: tuple[str, ...] = ()
    login: str = "?"
    user: str = "?"
    from_: str = "?"
    host: Login = field(default_factory=Login)
    sites: tuple[str, ...] = ()
    undoes: str = ""
    rest: Mapping[str, object] = field(default_factory=dict)


class KeptOfList(Part):
    """What a run recorded of a list beside its outcome; `rest`: what its command alone records."""

    detail: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    rest: Mapping[str, object] = field(default_factory=dict)


class StepOnRecord(Part):
    """What a run recorded of a step, before it was run or since."""

    name: str
    #: "begun", "run", "interrupted", "by hand", "skipped"; or "judged"
    how: str
    at: str = ""
    #: as it was run, where it was
    command: str = ""
    status: int | None = None
    printed: str = ""
    #: of a judgement: what was not as the page shows it
    differs: str = ""


class RunFound(Event, kind="run"):
    """One record. An outcome in it is text: another version of the command may have written it."""

    run: str
    path: str
    state: str
    counts: Mapping[str, int]
    begin: Beginning
    ended: str
    undone_by: tuple[str, ...]
    #: site, list, outcome, and what else is on record; of a single run alone
    lists: tuple[tuple[str, str, str, KeptOfList], ...] = ()
    #: of a single run alone
    steps: tuple[StepOnRecord, ...] = ()
