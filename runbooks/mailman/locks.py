"""What a lock folder of Mailman 2 means: who holds each lock, who waits, what may be removed.

Pure: it decides from an observation that ``runbooks/onhost/locks.py`` made on the list
server. Facts about Mailman's locks are those of its protocol as observed: a process that
wants the lock ``alpha.lock`` writes a claim ``alpha.lock.HOST.PID.SEQ``, whose content is
its own path, and hard-links it to ``alpha.lock``. The modification time is the moment at
which the lock expires, the change time (``ctime``) the one at which it was last taken.

Every doubt is decided for the holder: a lock counts as stale only when its holder cannot
be alive.

* The claim's host must be this machine's name to the letter. ``Lists`` and
  ``lists.example.org`` are other hosts than ``lists``.
* A process with the holder's id that started before the lock was taken is its holder, also
  when it is stopped. A zombie has ended.
* One that started later has the id by reuse, if it started later by more than the clocks
  may be wrong: see `SLACK_NS`, `FILE_SERVER_NS` and `Observation.set_forward_ns`. When one
  of the times is unknown, it is the holder.
"""

from __future__ import annotations

import enum
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from runbooks.mailman.clock import Clock
from runbooks.mailman.fromjson import made

NS = 1_000_000_000

#: By how much a process must have started after a lock was taken not to be its holder.
#: Starts are told in hundredths of a second, change times by a clock that ticks a few
#: hundred times a second, and their common zero is measured to some hundredths. A clock that
#: is kept right without being set takes the starts with it.
SLACK_NS = NS // 4

#: How far the clock of a file server may be behind. The change time is the server's; the
#: expiry was set by the holder's own clock, and tells on it.
FILE_SERVER_NS = 3600 * NS

#: How long after process 1 the files of `Observation.made_at_start_ns` may have been made.
#: A step of the clock that is smaller may stay unseen there; it matters only where it
#: falls between the start of a holder and now, for a holder that took the lock within as
#: many seconds of its start.
START_LAG_NS = 10 * NS

#: No Linux gives a process a higher id.
HIGHEST_PID = 4_194_304

#: The lock of mailmanctl, in the same folder. Its claim has no sequence number.
MASTER = "master-qrunner"

START_MAILMANCTL = "mailmanctl -s start"

_NUMBER = re.compile(r"0|[1-9][0-9]*")


class Verdict(enum.Enum):
    """What became of a lock's holder. `STALE` and `DEBRIS` may be removed; see `Lock.orphaned`."""

    #: its process runs, and started before the lock was taken
    HELD = "held"
    #: it was this host's, and its process is gone
    STALE = "stale"
    #: its claim names another host
    FOREIGN = "foreign"
    #: its process runs, and the lifetime is over: Mailman's next claimant breaks it
    EXPIRED = "expired"
    #: content, name, link count or type are not a lock's
    MALFORMED = "malformed"
    #: a claim that no lock names, whose process is gone
    DEBRIS = "debris"
    #: a claim of a process that waits for a lock, which nobody has just now
    WAITING = "waiting"


@dataclass(frozen=True)
class Process:
    """What is known of the process with an id."""

    pid: int
    exists: bool
    #: clock ticks after boot; None when that could not be learned
    start_ticks: int | None = None
    state: str | None = None
    threads: int | None = None
    uid: int | None = None
    command: str | None = None
    #: the one that it was started in, like ``pts/3``; None when it has none
    terminal: str | None = None
    #: in a container of the host: whether it has the lock folder; None when unknown
    sees_folder: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs. A zombie may be a dead main thread with live others."""
        if not self.exists:
            return True
        return self.state in ("Z", "X") and self.threads is not None and self.threads <= 1

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop, as by Ctrl-Z, and goes on only when it is told to."""
        return self.exists and self.state == "T"


@dataclass(frozen=True)
class Entry:
    """One name in the lock folder."""

    name: str
    #: whether `name` is what is on the disk, and not escaped
    exact: bool
    type: str
    inode: int = 0
    device: int = 0
    nlink: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    uid: int = 0
    size: int = 0
    content: str | None = None
    content_exact: bool = True
    #: why there is no content
    trouble: str | None = None

    @property
    def file(self) -> tuple[int, int]:
        """Which file it is a name of."""
        return self.device, self.inode

    @property
    def names(self) -> str:
        """The file that its content names, without folders. A site's folder has many paths."""
        return (self.content or "").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Observation:
    """What a lock folder and the process table held, at one moment."""

    lock_dir: str
    host: str
    now_ns: int
    #: seconds for which a list's lock is taken; None when not known
    lifetime: int | None
    entries: tuple[Entry, ...]
    processes: Mapping[int, Process]
    #: processes in containers of the host that have an id there that nobody has here
    namesakes: Mapping[int, tuple[Process, ...]]
    mailmanctl: tuple[Process, ...]
    #: queue runners whose mailmanctl has ended
    orphans: tuple[Process, ...]
    ticks_per_second: int
    #: when the system started, by its present clock
    boot_ns: int | None
    #: start of process 1, and what the clock showed then
    init_start_ticks: int | None
    made_at_start_ns: int | None
    #: seconds that the host's local time is ahead of UTC
    utc_offset: int = 0
    #: why the folder could not be read
    error: str | None = None

    @classmethod
    def from_json(cls, raw: Mapping[str, object]) -> Observation:
        """From what ``observe`` of the on-host program returned. Raises MisfitError."""
        processes = made(dict[int, dict[str, object]], raw.get("processes"))
        with_ids = {str(pid): {**one, "pid": pid} for pid, one in processes.items()}
        return made(cls, {**raw, "processes": with_ids})

    def started_ns(self, process: Process) -> int | None:
        """When a process started, by the present clock, to a few hundredths of a second."""
        if self.boot_ns is None or process.start_ticks is None:
            return None
        return self.boot_ns + process.start_ticks * NS // self.ticks_per_second

    @cached_property
    def set_forward_ns(self) -> int | None:
        """By how much the clock was set forward since the system (or container) started.

        A clock that is set forward (after the pause of a virtual machine, say) moves the
        starts of all processes with it, but not the times of files: a holder would seem to
        have started after it took the lock. Files made together with process 1 show it.
        None when there is nothing to tell by; too little by up to `START_LAG_NS`, and below
        zero where it was not set forward.
        """
        if self.boot_ns is None or self.init_start_ticks is None or self.made_at_start_ns is None:
            return None
        start = self.boot_ns + self.init_start_ticks * NS // self.ticks_per_second
        return start - self.made_at_start_ns

    def taken_by_ns(self, entry: Entry) -> int:
        """The latest moment at which the file can have been taken, by the holder's clock."""
        if self.lifetime is not None:
            taken = entry.mtime_ns - self.lifetime * NS
            if 0 < taken - entry.ctime_ns <= FILE_SERVER_NS:
                return taken
        return entry.ctime_ns

    def can_have_taken(self, process: Process, entry: Entry) -> bool:
        """Whether a process, for all that is known, may be the one that took `entry`."""
        if process.ended:
            return False
        started, forward = self.started_ns(process), self.set_forward_ns
        if started is None or forward is None or started > self.now_ns + SLACK_NS:
            return True
        doubt = SLACK_NS
        if entry.ctime_ns % NS == 0:  # a file system that keeps whole seconds
            doubt += NS
        if forward > SLACK_NS:
            doubt += forward + START_LAG_NS
        return started <= self.taken_by_ns(entry) + doubt

    def time(self, ns: int) -> str:
        """A moment as the host's own clock shows it."""
        return self._clock.time(ns // NS)

    @cached_property
    def _clock(self) -> Clock:
        return Clock(self.now_ns // NS, self.utc_offset)


@dataclass(frozen=True)
class Claim:
    """What the name of a claim says."""

    name: str
    #: the lock it is for, ``alpha.lock``
    lock: str
    host: str
    pid: int
    seq: int | None


def parse_claim(name: str, lock: str) -> Claim | None:
    """`name` read as a claim of `lock`, from the right; None when it is none.

    A list's claim ends in PID.SEQ, that of mailmanctl in PID. The other form counts only
    where the usual one is impossible.
    """
    if not name.startswith(f"{lock}."):
        return None
    labels = name[len(lock) + 1 :].split(".")
    for numbers in (1, 2) if lock == MASTER else (2, 1):
        host, last = labels[:-numbers], labels[-numbers:]
        if not host or not all(host) or not all(_NUMBER.fullmatch(number) for number in last):
            continue
        if len(last[0]) > 7 or not 0 < int(last[0]) <= HIGHEST_PID:
            continue
        # Compared as text: a sequence number may be longer than int() takes.
        seq = int(last[1]) if numbers == 2 and len(last[1]) < 4000 else None
        return Claim(name, lock, ".".join(host), int(last[0]), seq)
    return None


def claim_readings(name: str, locks: Collection[str] = ()) -> tuple[Claim, ...]:
    """Every way to read `name` as a claim. Lists and hosts may have ``.lock.`` in their names.

    `locks`: names of locks that do not end in ``.lock``.
    """
    candidates = [name[: at.start() + 5] for at in re.finditer(r"(?<=.)(?=\.lock\.)", name)]
    candidates += [lock for lock in {MASTER, *locks} if name.startswith(f"{lock}.")]
    claims = (parse_claim(name, lock) for lock in candidates)
    return tuple(claim for claim in claims if claim is not None)


@dataclass(frozen=True)
class Waiter:
    """A live process that waits for a lock, or one on another host that may."""

    claim: Claim
    process: Process | None
    since_ns: int


@dataclass(frozen=True)
class Lock:
    """One lock, or one file that was left behind, with the verdict and what it rests on."""

    #: ``alpha.lock``; for debris and waiting claims the lock they are for
    name: str
    verdict: Verdict
    #: its names in the folder, in the order of removal
    files: tuple[str, ...]
    entry: Entry
    observation: Observation
    claim: Claim | None = None
    #: the process that has the id now: the holder, or whoever has it by reuse
    process: Process | None = None
    #: every id that must be gone, with what has it now
    looked_at: tuple[Process, ...] = ()
    waiters: tuple[Waiter, ...] = ()
    #: why: one clause
    reason: str = ""
    #: the lock itself is there, and not only a claim of it
    present: bool = False
    #: not as Mailman makes locks, or of a host that no longer exists, and all that can be read of
    #: it names one process, which is gone
    orphaned: bool = False

    @property
    def list(self) -> str | None:
        """The list it locks; None for `master-qrunner` and others that lock no list."""
        return self.name.removesuffix(".lock") if self.name.endswith(".lock") else None

    @property
    def taken_ns(self) -> int:
        return self.entry.ctime_ns

    @property
    def expires_ns(self) -> int:
        return self.entry.mtime_ns

    @property
    def expired(self) -> bool:
        return self.observation.now_ns > self.entry.mtime_ns

    @property
    def stopped(self) -> bool:
        """Whether it is held by a process that does nothing until it is told to go on."""
        held = self.verdict in (Verdict.HELD, Verdict.EXPIRED)
        return held and self.process is not None and self.process.stopped

    @property
    def is_left(self) -> bool:
        """Whether a process that is gone has left it."""
        return self.orphaned or self.verdict in (Verdict.STALE, Verdict.DEBRIS)

    @property
    def blocks(self) -> bool:
        """Whether it keeps everybody from its list until somebody sees to it.

        One that is malformed does not while the process that it names runs: the look may have
        fallen between two steps of that process.
        """
        match self.verdict:
            case Verdict.STALE | Verdict.FOREIGN:
                return self.present
            case Verdict.MALFORMED:
                return self.present and (self.orphaned or not self.looked_at)
        return self.stopped

    @property
    def evidence(self) -> tuple[str, ...]:
        """What the verdict rests on, a line each."""
        seen, time = self.observation, self.observation.time
        lines = [f"{' and '.join(map(printable, self.files))} in {printable(seen.lock_dir)}"]
        if self.entry.type == "file":
            end = "expired" if self.expired else "expires"
            lines.append(
                f"inode {self.entry.inode}, link count {self.entry.nlink},"
                f" taken {time(self.taken_ns)}, {end} {time(self.expires_ns)}"
            )
            if self.verdict is Verdict.MALFORMED:
                content = printable(self.entry.content or self.entry.trouble or "")
                lines.append(f"{self.entry.size} bytes: {content}")
        if self.claim and (self.orphaned or self.claim.host == seen.host):
            lines.extend(_fact(process, seen) for process in self.looked_at if process.exists)
        forward = seen.set_forward_ns or 0
        if self.process and self.process.exists and forward > SLACK_NS:
            lines.append(f"the clock was set forward by {forward / NS:.0f} s since the start")
        if self.reason:
            lines.append(self.reason)
        lines.extend(
            f"{_who(waiter.claim)} waits since {time(waiter.since_ns)}" for waiter in self.waiters
        )
        return tuple(lines)

    def order(self) -> dict[str, object]:
        """What ``remove`` of the on-host program is told: the names and the evidence.

        Raises ValueError for a lock that must not be removed.
        """
        why_not = refusal(self)
        if why_not is not None or self.claim is None:
            raise ValueError(why_not or "no claim")
        return {
            "lock": self.name,
            "files": list(self.files),
            "inode": self.entry.inode,
            "device": self.entry.device,
            "ctime_ns": self.entry.ctime_ns,
            "content": self.entry.content,
            "host": self.claim.host,
            "gone": self.claim.host if self.claim.host != self.observation.host else None,
            "processes": [[p.pid, None if p.ended else p.start_ticks] for p in self.looked_at],
        }

    def as_json(self) -> dict[str, object]:
        """For programs. Times in seconds since 1970."""
        process = self.process if self.process and self.process.exists else None
        return {
            "lock": self.name,
            "list": self.list,
            "verdict": self.verdict.value,
            "removable": removable(self),
            "blocks": self.blocks,
            "files": list(self.files),
            "holder": {
                "host": self.claim.host if self.claim else None,
                "pid": self.claim.pid if self.claim else None,
                "command": process.command if process else None,
                "stopped": self.stopped,
            },
            "taken": self.taken_ns / NS,
            "expires": self.expires_ns / NS,
            "expired": self.expired,
            "waiters": [
                {"host": w.claim.host, "pid": w.claim.pid, "since": w.since_ns / NS}
                for w in self.waiters
            ],
            "reason": self.reason,
            "evidence": list(self.evidence),
        }


def examine(seen: Observation, gone: str | None = None) -> list[Lock]:
    """Every lock of the folder with its verdict, by name; then what belongs to no lock.

    A live process that waits for a lock is among its waiters and not in the list, unless
    nobody has that lock.

    `gone`: a host of which somebody has said that it no longer exists. What names it is of a
    process that is gone, unless this host has one that may be it: it may have had that name.
    """
    return _Examination(seen, gone).locks()


class _Examination:
    def __init__(self, seen: Observation, gone: str | None) -> None:
        self.seen = seen
        #: hosts whose processes would be here
        self.here = {seen.host, gone}
        self.entries = {entry.name: entry for entry in seen.entries}
        self.same_file: dict[tuple[int, int], list[str]] = {}
        for entry in seen.entries:
            self.same_file.setdefault(entry.file, []).append(entry.name)
        self.lock_names = {entry.name for entry in seen.entries if self.is_lock(entry)}
        self.other_locks = {name for name in self.lock_names if not name.endswith(".lock")}
        self.locked_files = {
            self.entries[name].file for name in self.lock_names if self.entries[name].type == "file"
        }
        #: the lock that names a claim, by the name of the claim
        self.named_by = {self.entries[name].names: name for name in sorted(self.lock_names)}

    def is_lock(self, entry: Entry) -> bool:
        if entry.name == MASTER or (entry.name.endswith(".lock") and len(entry.name) > 5):
            return True
        # Mailman has a few locks of other names. Their content gives them away.
        return parse_claim(entry.names, entry.name) is not None and not claim_readings(entry.name)

    def locks(self) -> list[Lock]:
        found = [self.judge_lock(self.entries[name]) for name in sorted(self.lock_names)]
        waiting: dict[str, list[Waiter]] = {}
        rest: list[Lock] = []
        for entry in self.seen.entries:
            # A file of several names is judged once; the claim of a lock with its lock.
            if entry.name in self.lock_names or entry.file in self.locked_files:
                continue
            lock = self.judge_claim(entry)
            if lock is None:
                continue
            alive = lock.verdict is Verdict.WAITING or (
                lock.verdict is Verdict.FOREIGN and not lock.looked_at
            )
            if lock.claim and lock.name in self.lock_names and alive:
                waiting.setdefault(lock.name, []).append(
                    Waiter(lock.claim, lock.process, entry.ctime_ns)
                )
            else:
                rest.append(lock)
        for at, lock in enumerate(found):
            if lock.name in waiting:
                waiters = sorted(waiting[lock.name], key=lambda waiter: waiter.since_ns)
                found[at] = replace(lock, waiters=tuple(waiters))
        return found + sorted(rest, key=lambda lock: (lock.name, lock.files))

    def judge_lock(self, entry: Entry) -> Lock:
        claim = parse_claim(entry.names, entry.name)

        def malformed(reason: str) -> Lock:
            return self.lock(entry, entry.name, Verdict.MALFORMED, reason, claim)

        trouble = self.not_a_file(entry)
        if trouble:
            return malformed(trouble)
        if claim is None:
            return malformed(
                f"its content is not a claim of it: {printable(entry.content or '')!r}"
            )
        partner = self.entries.get(claim.name)
        if partner is None or partner.file != entry.file:
            missing = "is not there" if partner is None else "is another file"
            return self.odd(entry, claim, f"its claim {printable(claim.name)} {missing}")
        number = entry.nlink if entry.nlink != 2 else len(self.same_file[entry.file])
        if number != 2:
            return self.odd(entry, claim, f"its file has {number} names instead of 2")
        files = (entry.name, claim.name)
        if claim.host not in self.here:
            return self.lock(
                entry, entry.name, Verdict.FOREIGN, self.expiry_note(entry), claim, files
            )
        process, holder = self.holder(claim, entry)
        if claim.host != self.seen.host:
            reason = holder or self.gone(process)
            found = self.lock(entry, entry.name, Verdict.FOREIGN, reason, claim, files, (process,))
            return replace(found, orphaned=not holder)
        if holder:
            verdict = Verdict.EXPIRED if self.seen.now_ns > entry.mtime_ns else Verdict.HELD
            return self.lock(entry, entry.name, verdict, holder, claim, files, (process,))
        return self.lock(
            entry, entry.name, Verdict.STALE, self.gone(process), claim, files, (process,)
        )

    def odd(self, entry: Entry, claim: Claim, reason: str) -> Lock:
        """A lock whose file is not one of two names, though it says whose it is.

        A folder that was restored from a backup has such locks.
        """
        others = [name for name in self.same_file[entry.file] if name != entry.name]
        claims = [claim, *(parse_claim(name, entry.name) for name in others)]
        whose = {(one.host, one.pid) if one else None for one in claims}
        of_one = whose == {(claim.host, claim.pid)} and entry.nlink == 1 + len(others)
        files = (entry.name, *others) if of_one else None

        def malformed(reason: str, *looked_at: Process) -> Lock:
            return self.lock(entry, entry.name, Verdict.MALFORMED, reason, claim, files, looked_at)

        if claim.host not in self.here:
            return malformed(reason)
        process, holder = self.holder(claim, entry)
        if holder:
            # It has it, or takes it or lets go of it just now.
            return malformed(f"{reason}, and process {process.pid} runs: {holder}", process)
        return replace(malformed(reason, process), orphaned=True) if of_one else malformed(reason)

    def judge_claim(self, entry: Entry) -> Lock | None:
        """A file that belongs to no lock; None when it was judged under another name of it."""
        readings = claim_readings(entry.name, self.other_locks)
        if not readings:
            return self.lock(entry, entry.name, Verdict.MALFORMED, "its name is not a lock's")
        named_by = self.named_by.get(entry.name)
        readings = tuple(one for one in readings if one.lock == named_by) or readings
        hosts = {claim.host for claim in readings}
        claim = next((one for one in readings if one.host in self.here), readings[0])

        def found(verdict: Verdict, reason: str) -> Lock:
            return self.lock(entry, claim.lock, verdict, reason, claim)

        trouble = self.not_a_file(entry)
        if trouble:
            return found(Verdict.MALFORMED, trouble)
        if not hosts & self.here:
            return found(Verdict.FOREIGN, "")
        if len(hosts) > 1:
            either = " or ".join(sorted(map(printable, hosts)))
            return found(Verdict.MALFORMED, f"its host may be {either}: its name is ambiguous")
        claims = [claim]
        # Empty: between the creation of the claim and the writing of it. Another claim of the
        # same lock: what an interrupted removal leaves.
        if entry.content and entry.names != entry.name:
            other = parse_claim(entry.names, claim.lock)
            if other is None or other.host != claim.host:
                return found(
                    Verdict.MALFORMED, f"its content is not its name: {printable(entry.content)!r}"
                )
            claims.append(other)
        names = self.same_file[entry.file]
        for name in names:
            other = parse_claim(name, claim.lock)
            if other is None or other.host != claim.host:
                return found(Verdict.MALFORMED, f"it is the same file as {printable(name)}")
            if other not in claims:
                claims.append(other)
        if entry.nlink != len(names):
            return found(Verdict.MALFORMED, f"its file has {entry.nlink} names")
        looked_at = tuple(self.process(one.pid) for one in claims)
        verdict = Verdict.WAITING if claim.host == self.seen.host else Verdict.FOREIGN
        for one in claims:
            process, holder = self.holder(one, entry)
            if holder:
                return self.lock(
                    entry, claim.lock, verdict, holder, claim, None, (process, *looked_at)
                )
        if names[0] != entry.name:
            return None
        reason = "; ".join(dict.fromkeys(self.gone(process) for process in looked_at))

        def left(verdict: Verdict, reason: str) -> Lock:
            return self.lock(
                entry, claim.lock, verdict, reason, claim, tuple(sorted(names)), looked_at
            )

        lock = self.entries.get(claim.lock)
        if lock and any(self.named_by.get(name) == claim.lock for name in names):
            # It goes with its lock, or stays with it: what else would say whose that lock is?
            named = left(Verdict.MALFORMED, f"{claim.lock} names it, and is another file")
            return replace(named, orphaned=removable(self.judge_lock(lock)))
        if lock and lock.trouble:
            return left(Verdict.MALFORMED, f"{claim.lock} may name it, and cannot be read")
        if verdict is Verdict.FOREIGN:
            return replace(left(verdict, reason), orphaned=True)
        return left(Verdict.DEBRIS, reason)

    def not_a_file(self, entry: Entry) -> str | None:
        text = entry.name + (entry.content or "")
        if not (entry.exact and entry.content_exact and text.isprintable()):
            return "its name or content is not text"
        if entry.type != "file":
            return (
                f"it is not a file but a {entry.type}"
                if entry.type != "unknown"
                else (f"it cannot be examined: {entry.trouble}")
            )
        if entry.content is None:
            return f"it cannot be read: {entry.trouble}"
        return None

    def process(self, pid: int) -> Process:
        # An id that was not looked up is one of which nothing is known.
        return self.seen.processes.get(pid, Process(pid, exists=True))

    def holder(self, claim: Claim, entry: Entry) -> tuple[Process, str]:
        """What has the claim's id now, and why it may be what took `entry` ("" if not)."""
        process = self.process(claim.pid)
        if self.seen.can_have_taken(process, entry):
            if self.seen.started_ns(process) is None or self.seen.set_forward_ns is None:
                return process, "whether it is the one that took the lock cannot be told"
            return process, "it started before the lock was taken"
        for namesake in self.seen.namesakes.get(claim.pid, ()):
            # One whose folders may not be looked at must at least be the file's user, or have
            # been root when it took the lock.
            sees = namesake.sees_folder
            if sees is None:
                sees = entry.uid == 0 or namesake.uid in (None, entry.uid)
            if sees and self.seen.can_have_taken(namesake, entry):
                return namesake, f"process {namesake.pid} here is {claim.pid} in its container"
        return process, ""

    def gone(self, process: Process) -> str:
        if not process.exists:
            return f"no process has the id {process.pid}"
        if process.ended:
            return f"process {process.pid} is a zombie"
        started = self.seen.started_ns(process)
        when = self.seen.time(started) if started is not None else "later"
        return f"the id {process.pid} is now that of a process that started {when}"

    def expiry_note(self, entry: Entry) -> str:
        return "its lifetime is over" if self.seen.now_ns > entry.mtime_ns else ""

    def lock(
        self,
        entry: Entry,
        name: str,
        verdict: Verdict,
        reason: str,
        claim: Claim | None = None,
        files: tuple[str, ...] | None = None,
        looked_at: tuple[Process, ...] = (),
    ) -> Lock:
        return Lock(
            name=name,
            verdict=verdict,
            files=files or (entry.name,),
            entry=entry,
            observation=self.seen,
            claim=claim,
            process=looked_at[0] if looked_at else None,
            looked_at=looked_at,
            reason=reason,
            present=entry.name in self.lock_names,
        )


def find(locks: Iterable[Lock], name: str) -> Lock | None:
    """The lock of the list `name`, or the lock so called (``master-qrunner``), or None."""
    held = [lock for lock in locks if lock.verdict not in (Verdict.DEBRIS, Verdict.WAITING)]
    for wanted in (f"{name}.lock", name):
        for lock in held:
            if lock.files[0] == wanted:
                return lock
    return None


def left_behind(locks: Iterable[Lock], name: str) -> list[Lock]:
    """The debris of processes that wanted the lock of the list `name`."""
    return [lock for lock in locks if lock.verdict is Verdict.DEBRIS and lock.list == name]


def removable(lock: Lock) -> bool:
    """Whether it may be removed."""
    return refusal(lock) is None


def refusal(lock: Lock) -> str | None:
    """Why a lock is not removed and what to do instead; None when it may be removed."""
    seen = lock.observation
    match lock.verdict:
        case _ if lock.is_left:
            return _refusal_of_master(lock) if lock.name == MASTER and lock.present else None
        case Verdict.HELD | Verdict.EXPIRED if lock.name == MASTER:
            return (
                f"mailmanctl runs ({_who(lock.claim)}{_command(lock.process)},"
                f" since {seen.time(lock.taken_ns)}): it holds this lock for as long as it runs;"
                " mailmanctl stop ends it"
            )
        case Verdict.HELD if lock.process and lock.process.stopped:
            return f"process {lock.process.pid} is stopped, as by Ctrl-Z: {_go_on(lock.process)}"
        case Verdict.HELD:
            return (
                f"{_who(lock.claim)} runs and holds it since {seen.time(lock.taken_ns)}"
                f"{_command(lock.process)}: wait for it, or end that process first"
                f" (sudo kill {lock.process.pid if lock.process else '?'})"
            )
        case Verdict.EXPIRED:
            return (
                f"{_who(lock.claim)} {_runs(lock)}{_command(lock.process)}, though its time for the"
                f" lock was over at {seen.time(lock.expires_ns)}: Mailman's next claimant breaks"
                " the lock ten seconds after that by itself"
            )
        case Verdict.FOREIGN:
            host = printable(lock.claim.host) if lock.claim else "another host"
            if lock.looked_at:
                return (
                    f"{host} may have been this host, or a container on it, and the process may"
                    f" run: process {lock.looked_at[0].pid}{_command(lock.process)}: {lock.reason}"
                )
            if lock.expired and lock.present:
                then = "its lifetime is over, so Mailman's next claimant breaks it by itself"
            else:
                then = (
                    f"run this on {host}, where its process can be looked up; if {host} no longer"
                    f" exists, clear-lock --gone {shlex.quote(host)} removes it"
                )
            return f"it belongs to {host}, and this is {printable(seen.host)}: {then}"
        case Verdict.WAITING:
            return f"{_who(lock.claim)} runs and waits for it{_command(lock.process)}"
        case _:
            return (
                f"not a lock as Mailman makes them: {lock.reason}; see"
                f" ls -li {printable(seen.lock_dir)}, and remove it by hand when nothing uses it"
            )


def _refusal_of_master(lock: Lock) -> str | None:
    """Why the lock of a mailmanctl that is gone is not removed; None when it may be."""
    seen = lock.observation
    if seen.orphans:
        pids = " ".join(str(runner.pid) for runner in seen.orphans)
        return (
            "queue runners of a mailmanctl that is gone still work"
            f" ({', '.join(map(_runner, seen.orphans))}); a new mailmanctl would start a second set"
            f" beside them: end them first (sudo kill {pids}), and run this again when they have"
            " ended"
        )
    if seen.mailmanctl:
        running = ", ".join(str(process.pid) for process in seen.mailmanctl)
        then = (
            f"{START_MAILMANCTL} for this site removes the lock and starts it"
            if lock.verdict is Verdict.STALE
            else "stop it (mailmanctl stop), and start it again afterwards"
        )
        return f"mailmanctl runs (process {running}), for this site or another: {then}"
    return None


def _runner(process: Process) -> str:
    """``ArchRunner 812``"""
    found = re.search(r"--runner=(\w+)", process.command or "")
    return f"{found[1] if found else 'qrunner'} {process.pid}"


def _go_on(process: Process) -> str:
    """What lets a stopped process go on, and what ends it."""
    pid = process.pid
    on = f"sudo kill -CONT {pid} lets it go on"
    if process.terminal:
        on = f"fg in the shell that started it (terminal {process.terminal}) lets it go on"
    return f"{on}; sudo kill -KILL {pid} ends it, and leaves a stale lock"


def describe(lock: Lock) -> str:
    """One line: ``locked since 05:28 UTC by process 83 on lists, which no longer runs``."""
    time, who = lock.observation.time, _who(lock.claim)
    since = time(lock.taken_ns)
    match lock.verdict:
        case Verdict.HELD:
            return f"locked since {since} by {who}, which {_runs(lock)}{_command(lock.process)}"
        case Verdict.EXPIRED:
            return (
                f"locked since {since} by {who}, which {_runs(lock)}{_command(lock.process)};"
                f" its time was over at {time(lock.expires_ns)}"
            )
        case Verdict.STALE:
            reused = lock.process is not None and lock.process.exists
            return f"locked since {since} by {who}, which no longer runs" + (
                f" ({lock.reason})" if reused else ""
            )
        case Verdict.FOREIGN:
            verb = "locked" if lock.present else "claimed"
            if lock.looked_at:
                return f"{verb} since {since} by {who}, a host that is said to be gone"
            note = f" ({lock.reason})" if lock.reason else ""
            return f"{verb} since {since} by {who}, which is another host{note}"
        case Verdict.DEBRIS:
            return f"left behind at {since} by {who}, which no longer runs"
        case Verdict.WAITING:
            return f"wanted since {since} by {who}, which runs{_command(lock.process)}"
        case Verdict.MALFORMED:
            dead = f"; {who}, which it names, no longer runs" if lock.orphaned else ""
            return f"not a lock as Mailman makes them: {lock.reason}{dead}"


def printable(text: str) -> str:
    """Text from the host, fit for a terminal: no control characters, no endless lines."""
    shown = text[:500]
    if not shown.isprintable():
        shown = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown
        )
    return shown if len(shown) <= 300 else f"{shown[:299]}…"


def _who(claim: Claim | None) -> str:
    return f"process {claim.pid} on {printable(claim.host)}" if claim else "an unknown process"


def _runs(lock: Lock) -> str:
    return "is stopped (Ctrl-Z)" if lock.stopped else "runs"


def _command(process: Process | None) -> str:
    return f" ({printable(process.command)})" if process and process.command else ""


def _fact(process: Process, seen: Observation) -> str:
    started = seen.started_ns(process)
    when = f"started {seen.time(started)}" if started is not None else "start unknown"
    state = {"T": ", stopped", "t": ", stopped", "Z": ", a zombie"}.get(process.state or "", "")
    return f"process {process.pid}: {when}{state}{_command(process)}"
