# The journal: what commands have changed on this host, in lines of JSON.
#
# Python 2.7 and 3, standard library alone. It is written on the host, by the program that
# makes the change: there is a record even if the connection is lost or a laptop goes to sleep.
# A run has several lines, each {"run": ID, KIND: ...}:
#
#   begin   who, when, from where, the arguments, what is to be changed; it is on the disk
#           before anything is changed
#   room    blank; it becomes the end, which needs no further room if the disk is full by then
#   lists   {"begun": [[SITE, LIST], ...], "done": [[SITE, LIST, OUTCOME, {...}], ...]}:
#           a list is entered as begun before it is touched, and as done with its outcome;
#           of entries that were "added", "all" stands for the addresses of the beginning
#   step    one step of a procedure that a reader goes through: {"step": NAME, "how": ...},
#           before it is run ("begun") and when something has come of it
#   end     when, and how
#
# A reader puts the lines of a run together. A run that was killed has no end; it was working
# on the lists that are begun and not done.
#
# The journal survives many writers and a kill at any moment. Whole lines are appended (O_APPEND)
# under flock(), and only the room of a run is ever overwritten, by that run. If it was cut off,
# by somebody who shortened the journal, the end is appended. If a killed writer has left an
# incomplete line, it has no line feed: readers ignore it, and the next writer ends it before
# its own line.
#
# The folder has mode 0700 and the file 0600, and both belong to Mailman's user: only that user
# and root can read them. No password is written, and no address of a member unless it was an
# argument of the command; addresses in what a program or an exception said are replaced. What a
# run put into a ban list or took out of it, and a description that it replaced, are settings.
# They are written to the letter, since nothing else says what is to be taken back.
from __future__ import print_function

import binascii
import errno
import fcntl
import json
import os
import pwd
import re
import socket
import stat
import time

import locks
from boot import as_json, native

NAME = "journal.jsonl"
# Seconds between two fsync() calls while lists are worked on: they cost milliseconds each.
SYNC_EVERY = 1.0
# So many of the newest runs may have been stopped by a lock that is still there.
RECENT = 100
LINE = re.compile(
    br'\{"run": "([0-9]{8}-[0-9]{6}-[0-9a-f]{6})", "(begin|room|lists|step|end)": (\{.*\}) *\}$')
# Bytes of the line that becomes the end: it has a time, a state, and a number per outcome.
ROOM = 1024
# What came of a step in the end, as it is counted.
CAME = ("run", "by hand", "skipped")
# The state of a run that stopped because a result could not be written.
UNWRITTEN = "the journal could not be written"
ADDRESS = re.compile(r"""[^\s'"<>(),;:]+@[^\s'"<>(),;:]+""")


class JournalError(Exception):
    """The journal cannot be written or read."""


# -- writing --------------------------------------------------------------------------------


def begin(parameters, emit):
    """Begin the record of a run on the disk, and emit where. None for a run without a record.

    `parameters`: from `journal.parameters()` on the other side, or None. After a JournalError
    nothing may be changed.
    """
    if not parameters:
        return None
    record = Record(parameters)
    emit({"event": "recorded", "run": record.run, "path": record.path})
    return record


class Record(object):
    """One run in the journal, being written.

    `run`: its id. `folder`: the folder of the journal, private to Mailman's user, where the
    run may keep what it replaces.
    """

    def __init__(self, parameters, process=None):
        """Begin a run. `process`: the one that lives as long as the run, if not this one.

        A run on several hosts has the same id on each, which its parameters then give.
        """
        given = parameters.get("run")
        self.prepare(parameters, native(given or new_run()))
        try:
            self.fd = open_journal(self.folder)
            first = self.line("begin", dict(parameters["begin"], at=now(), host=here(process),
                                            arguments=parameters["arguments"]))
            # Both or none: a run with only a beginning would look as if it had been killed.
            lines = first + self.line("room", {}, ROOM)
            self.room = append(self.fd, lines, new=self.run if given else None) + len(first)
            self.sync()
            sync_folder(self.folder)
        except EnvironmentError as e:
            help = ""
            if e.errno in (errno.EACCES, errno.EPERM):
                help = " (Mailman's user must be able to make the folder, or own it)"
            raise JournalError("%s: %s%s" % (e.filename or self.path, e.strerror or e, help))

    def prepare(self, parameters, run):
        self.run = run
        self.folder = parameters["folder"]
        self.path = os.path.join(self.folder, NAME)
        given = parameters["arguments"] + parameters["begin"].get("addresses", [])
        self.arguments = addresses_in(" ".join(given))
        self.outcomes = {}
        self.begun, self.finished = [], []

    @classmethod
    def again(cls, parameters, run, room):
        """The record of a run that another process has begun. `room`: where that is."""
        record = cls.__new__(cls)
        record.prepare(parameters, run)
        try:
            record.fd = open_journal(record.folder)
            if not is_at(record.fd, room, record.line("room", {}, ROOM)):
                raise JournalError("%s no longer has the run %s, or has its end" % (
                    record.path, run))
        except EnvironmentError as e:
            raise JournalError("%s: %s" % (e.filename or record.path, e.strerror or e))
        record.room = room
        return record

    def step(self, body, process):
        """Write what came of a step, on the disk at once. `process`: lives as long as the run."""
        body = dict(body, at=now(), host=known_process(process))
        for key in ("printed", "differs"):
            if key in body:
                body[key] = self.without_addresses(body[key])
        try:
            append(self.fd, self.line("step", body))
            self.sync()
        except EnvironmentError as e:
            raise JournalError("%s: %s" % (self.path, e.strerror or e))

    def begin_list(self, site, name):
        """Note that a list is about to be changed. Call `flush` before it is."""
        if self.outcomes.get((site, name)) != "begun":
            self.begun.append([site, name])
            self.outcomes[site, name] = "begun"

    def done(self, site, name, outcome, detail="", **kept):
        """Note what became of a list. `kept`: what is needed to take it back."""
        if detail:
            kept["detail"] = self.without_addresses(detail)
        entry = [site, name, outcome]
        self.finished.append(entry + [kept] if kept else entry)
        self.outcomes[site, name] = outcome

    def flush(self):
        """Write what was noted: from then on a kill of this process does not lose it."""
        if not self.begun and not self.finished:
            return
        body = {}
        if self.begun:
            body["begun"] = self.begun
        if self.finished:
            body["done"] = self.finished
        self.begun, self.finished = [], []
        try:
            append(self.fd, self.line("lists", body))
            if not 0 <= time.time() - self.synced < SYNC_EVERY:
                self.sync()
        except EnvironmentError as e:
            self.write_end(UNWRITTEN)
            raise JournalError("%s: %s" % (self.path, e.strerror or e))

    def end(self, state="done"):
        """End the record. `state`: "done", "interrupted", or what went wrong."""
        self.flush()
        self.write_end(state)

    def write_end(self, state, counts=None):
        """Write the end into the room that was kept for it. `counts`: of lists, if not given."""
        if counts is None:
            counts = counted(outcome for outcome in self.outcomes.values()
                             if outcome != "begun")  # it was stopped before it touched the list
        try:
            overwrite(self.fd, self.room, self.line("room", {}, ROOM), self.line(
                "end", {"at": now(), "state": state, "counts": counts}, ROOM))
            self.sync()
            os.close(self.fd)
        except EnvironmentError as e:
            raise JournalError("%s: %s" % (self.path, e.strerror or e))

    def without_addresses(self, text):
        """`text` without any address that was not an argument."""
        def shown(found):
            return found.group() if found.group().lower() in self.arguments else "(an address)"
        return ADDRESS.sub(shown, text)

    def line(self, kind, body, size=0):
        """A line, padded with blanks to `size` bytes."""
        text = b'{"run": "%s", "%s": %s' % (
            self.run.encode("ascii"), kind.encode("ascii"), as_json(body, sort_keys=True))
        return text.ljust(size - 2) + b"}\n"

    def sync(self):
        os.fsync(self.fd)
        self.synced = time.time()


def counted(outcomes):
    counts = {}
    for outcome in outcomes:
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def addresses_in(text):
    return set(address.lower() for address in ADDRESS.findall(text))


def append(fd, lines, new=None):
    """Append whole lines, or nothing; the offset at which they begin.

    `new`: a run of which there must be no line yet.
    """
    lock(fd)
    try:
        begin = size = os.fstat(fd).st_size
        if new and has_run(fd, new):
            raise JournalError("two of the hosts are one: the run %s is on record already" % new)
        if size:
            os.lseek(fd, size - 1, os.SEEK_SET)
            if os.read(fd, 1) != b"\n":
                lines, begin = b"\n" + lines, size + 1
        try:
            while lines:
                lines = lines[os.write(fd, lines):]
        except EnvironmentError:
            os.ftruncate(fd, size)  # on a full disk, part of a line may be written
            raise
        return begin
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def has_run(fd, run):
    wanted = b'{"run": "%s"' % run.encode("ascii")
    os.lseek(fd, 0, os.SEEK_SET)
    data = before = b""
    while True:
        data = os.read(fd, 1 << 20)
        if not data:
            return False
        if wanted in before + data:
            return True
        before = (before + data)[-len(wanted):]


def overwrite(fd, begin, there, line):
    """Overwrite the line `there` with one of the same length, or append that if it has gone.

    Somebody may have shortened the journal, and other runs have appended to it since. Whoever
    shortens it takes no lock, and may do it between the look and the write: hence a second look.
    """
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    lock(fd)
    try:
        if is_at(fd, begin, there):
            # With this flag, everything is written at the end of the file, whatever the offset.
            fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
            os.lseek(fd, begin, os.SEEK_SET)
            rest = line
            while rest:
                rest = rest[os.write(fd, rest):]
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)
            if is_at(fd, begin, line):
                return
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
    append(fd, line)


def is_at(fd, begin, line):
    """Whether a line begins there. It is not the first one."""
    os.lseek(fd, begin - 1, os.SEEK_SET)
    return os.read(fd, 1 + len(line)) == b"\n" + line


def lock(fd):
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            return
        except EnvironmentError as e:
            if e.errno != errno.EINTR:  # a signal, on Python 2
                raise


def new_run():
    """A unique id that sorts by time."""
    return "%s-%s" % (time.strftime("%Y%m%d-%H%M%S", time.gmtime()),
                      binascii.hexlify(os.urandom(3)).decode("ascii"))


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def private_folder(path):
    """Make `path` a folder of this user that nobody else but root can read."""
    try:
        os.mkdir(path, 0o700)
    except OSError as e:
        if e.errno != errno.EEXIST:
            raise
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise JournalError("%s is not a folder" % path)
    if found.st_uid != os.geteuid():
        raise JournalError("%s belongs to %s and not to %s" % (
            path, user_name(found.st_uid), user_name(os.geteuid())))
    # A new folder inherits the set-group-ID bit of the one that it is in.
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.chmod(path, 0o700)


def open_journal(folder):
    private_folder(folder)
    path = os.path.join(folder, NAME)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise JournalError("%s is a link" % path)
        raise
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(fd)
        raise JournalError("%s is not a file of %s" % (path, user_name(os.geteuid())))
    if stat.S_IMODE(found.st_mode) != 0o600:
        os.fchmod(fd, 0o600)
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)
    return fd


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# -- who ------------------------------------------------------------------------------------


def user_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "user %d" % uid


def here(process=None):
    """What this host sees: who is logged in, from where, and which process does the work."""
    login = (os.environ.get("SUDO_USER") or login_of_session() or os.environ.get("LOGNAME")
             or user_name(os.getuid()))
    client = os.environ.get("SSH_CONNECTION", os.environ.get("SSH_CLIENT", "")).split(" ")[0]
    return dict(known_process(process or os.getpid()), name=socket.gethostname(), login=login,
                client=client)


def known_process(pid):
    """A process, so that it is known again."""
    return {"process": pid, "started": started(pid), "boot": boot_id()}


def login_of_session():
    """Who logged in: the kernel remembers it through su and sudo. None where it does not."""
    text = text_of("/proc/self/loginuid")
    return user_name(int(text)) if text.isdigit() and int(text) != 0xffffffff else None


def text_of(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except EnvironmentError:
        return ""


def started(pid):
    """When a process began, in ticks after the boot; None if there is no such process."""
    known = locks.process(pid)
    return None if locks.ended(known) else known["start_ticks"]


def boot_id():
    return text_of("/proc/sys/kernel/random/boot_id")


# -- reading --------------------------------------------------------------------------------


class Run(object):
    """One run, put together from its lines."""

    def __init__(self, run, path):
        self.run = run
        self.path = path
        self.begin = {}
        self.end = None
        self.lines = []
        self.steps = []

    def state(self):
        """"done", "interrupted", ..., or for a run without an end "running" or "killed"."""
        if self.end:
            return self.end["state"]
        # The connection may have been lost, and made anew, between two steps.
        host = (self.steps or [self.begin])[-1].get("host", {})
        alive = (host.get("boot") == boot_id() and host.get("started") is not None
                 and started(host["process"]) == host["started"])
        return "running" if alive else "killed"

    def lists(self):
        """[site, list, outcome, kept] of each list; "begun" is the outcome of one in hand."""
        found = {}
        for text in self.lines:
            try:
                body = native(json.loads(text))
            except ValueError:
                continue
            for site, name in body.get("begun", ()):
                found[site, name] = [site, name, "begun", {}]
            for entry in body.get("done", ()):
                site, name, outcome, kept = (entry + [{}])[:4]
                if kept.get("added") == "all":
                    # None are known if somebody has shortened the journal above this line.
                    kept["added"] = self.begin.get("addresses", [])
                found[site, name] = [site, name, outcome, kept]
        # A run with an end has nothing in hand: what is only begun was not touched. But if
        # the journal could not be written, a result may be missing.
        told = self.end and self.end["state"] != UNWRITTEN
        return [found[key] for key in sorted(found) if found[key][2] != "begun" or not told]

    def counts(self):
        if self.end:
            return self.end["counts"]
        return counted([entry[2] for entry in self.lists()]
                       + [step["how"] for step in self.steps if step["how"] in CAME])

    def event(self, undone_by, lists=None):
        event = {"event": "run", "run": self.run, "path": self.path, "state": self.state(),
                 "counts": self.counts(), "begin": self.begin,
                 "ended": (self.end or {}).get("at", ""), "undone_by": undone_by}
        if lists is not None:
            event["lists"] = lists
            event["steps"] = self.steps
        return event


def read(folder):
    """(the runs in a journal, oldest first; how many lines are not part of any)."""
    path = os.path.join(folder, NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR):
            return [], 0
        raise
    with os.fdopen(fd, "rb") as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
            raise JournalError("%s is not a file" % path)
        data = f.read()
    runs, order, damaged = {}, [], 0
    # After the last line feed there may be a line that is being written, or was cut short.
    for line in data.split(b"\n")[:-1]:
        found = LINE.match(line)
        if not found:
            damaged += bool(line)
            continue
        try:
            name, kind, body = [native(part.decode("ascii")) for part in found.groups()]
            if kind != "lists":  # there are many, and they are seldom needed
                body = native(json.loads(body))
        except ValueError:
            damaged += 1
            continue
        if name not in runs:
            runs[name] = Run(name, path)
            order.append(runs[name])
        if kind == "lists":
            runs[name].lines.append(body)
        elif kind == "step":
            runs[name].steps.append(body)
        elif kind != "room":
            setattr(runs[name], kind, body)
    return order, damaged


def find(runs, wanted):
    """The runs that `wanted` can mean: an id, its beginning, or its last part."""
    exact = [r for r in runs if r.run == wanted]
    return exact or [r for r in runs if r.run.startswith(wanted) or r.run.endswith("-" + wanted)]


def stopped(runs, wanted):
    """(run, its entries) of what locks kept from some of the lists `wanted`, newest first.

    Runs about addresses alone: they can be repeated for one list. What was repeated is left out.
    """
    found, seen = [], set()
    for r in reversed(runs[-RECENT:]):
        what = r.begin.get("command"), tuple(r.begin.get("addresses", ()))
        if not what[1]:
            continue
        entries = [entry for entry in r.lists() if entry[:2] in wanted]
        new = [entry for entry in entries if (what, entry[0], entry[1]) not in seen]
        seen.update((what, entry[0], entry[1]) for entry in entries)
        if any(entry[2] == "locked" for entry in new):
            found.append((r, [entry for entry in new if entry[2] == "locked"]))
    return found


def read_all(folders, emit):
    """The runs of several journals, oldest first. What cannot be read is an event."""
    runs = []
    for folder in folders:
        try:
            found, damaged = read(folder)
        except EnvironmentError as e:
            emit({"event": "unreadable", "path": os.path.join(folder, NAME),
                  "why": e.strerror or str(e)})
            continue
        except JournalError as e:
            emit({"event": "unreadable", "path": os.path.join(folder, NAME), "why": str(e)})
            continue
        if damaged:
            emit({"event": "damaged", "path": os.path.join(folder, NAME), "lines": damaged})
        runs += found
    runs.sort(key=lambda r: r.begin.get("at", ""))  # stable: file order within a second
    return runs


def run(parameters, emit):
    """Show the newest runs of the journals in `folders`, or the run that is `wanted`.

    With lists that `stopped` names, the runs that found them locked.
    """
    runs = read_all(parameters["folders"], emit)
    undone = {}
    for r in runs:
        if r.begin.get("undoes"):
            undone.setdefault(r.begin["undoes"], []).append(r.run)
    if parameters.get("stopped"):
        for r, entries in stopped(runs, parameters["stopped"]):
            emit(r.event(undone.get(r.run, []), entries))
        return
    wanted = parameters.get("wanted")
    chosen = find(runs, wanted) if wanted else runs
    emit({"event": "found", "runs": len(chosen)})
    if wanted and len(chosen) > 1:
        emit({"event": "ambiguous", "runs": [r.run for r in chosen[-20:]]})
        return
    for r in reversed(chosen[-(parameters.get("limit") or len(chosen)):]):
        emit(r.event(undone.get(r.run, []), r.lists() if wanted else None))
