# Observes lock folders of Mailman 2, and removes from them what it is told to, if it is unchanged.
#
# Python 2.7 and 3, standard library alone. Observing changes nothing. Removing never uses a
# pattern: it is given names together with the evidence for the decision (inode, size, content,
# change time, processes), and leaves a file alone if any of that has changed.
#
# Why it cannot remove a lock that is in use, whatever happens between look and removal:
#
# * The holder releases its lock and takes it again. The new lock has another change time (and
#   mostly another inode), and its process exists. Both are checked again immediately before
#   the removal. The file is kept open from the first look to the last, so that no other file
#   can get its inode number: same number, same file.
# * A waiting Mailman process breaks an expired lock at the same moment. Unless the expiry is
#   well ahead, it is pushed forward, on the open file and not by its name. From then on no
#   Mailman process begins to break the lock. One that has begun pushes, reads and removes
#   within milliseconds. SETTLE seconds later it is done, and the second look finds that the
#   lock is gone or that its change time has moved. A lock whose expiry is well ahead is not
#   touched: nobody breaks it, and pushing would move the change time, which is evidence. If
#   nothing is removed after all, the expiry is put back.
# * Two removers work at once. Each takes flock() on the file to be removed. The second gets it
#   when the first is done, looks again, and finds the name gone or taken by others. The file
#   is locked and not the folder, so that work on other locks cannot delay it; flock() leaves
#   nothing behind and ends with the process.
# * Somebody (a person with rm, say) frees the name between the last look and the removal, and
#   a process takes it. unlink() goes by name and would remove the new lock. rename() to a name
#   of ours is just as atomic, and what was moved can be checked; the wrong file is linked back
#   to its place within microseconds. Renaming leaves the link count at 2, by which a holder
#   knows its lock; an additional link would make it 3. Our name has the form of a claim of
#   this process: if we die between the two calls, the next look sees debris of a dead process,
#   and nothing unknown.
#
# The lock goes first, then its claim. If we die in between, that leaves a claim without a lock,
# which blocks nobody; the other order would leave a lock without a claim.
#
# What this cannot see: a holder in another container that shares the folder and the host name,
# if this program itself runs in a container. From the host, holders in its containers are seen
# (namesakes).
from __future__ import print_function

import collections
import errno
import fcntl
import os
import re
import socket
import stat
import time

# The most bytes of a file or a command line that are read. A claim is a path, and never longer.
LIMIT = 4096
# No Linux gives a process a higher id (PID_MAX_LIMIT).
HIGHEST_PID = 4194304
# Seconds by which the expiry must lie ahead while a lock is being removed.
AHEAD = 60
# Seconds after pushing the expiry within which a Mailman process that was breaking it is done.
SETTLE = 0.5
# Seconds to wait for another remover of the same file.
GUARD = 10
# The most files that are open at a time.
AT_A_TIME = 64

MASTER = "master-qrunner"
# How precisely starts of processes and times of files can be compared.
SLACK_NS = 10 ** 9 // 4
# These are made when the system (or the container) starts, and never touched again: they show
# what the clock said then.
MADE_AT_START = ("/dev/fd", "/dev/stdin", "/dev/stdout")

# Python 2 decodes these, which stand for no character.
SURROGATE = re.compile(u"[\ud800-\udfff]")
PID = re.compile("[1-9][0-9]{0,9}$")
DIGITS = frozenset(u"123456789")


def as_bytes(name):
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")


def as_text(raw):
    """Bytes as text, and whether the text stands for exactly these bytes.

    If they are not UTF-8, every byte beyond ASCII is shown as ``\\xNN``. A file with such a name
    is shown and never removed.
    """
    try:
        # Nearly all of them, in half the time.
        return raw.decode("ascii"), True
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode("utf-8")
        if not SURROGATE.search(text):
            return text, True
    except UnicodeDecodeError:
        pass
    return u"".join(chr(b) if b < 128 else "\\x%02x" % b for b in bytearray(raw)), False


if hasattr(os.stat("/"), "st_ctime_ns"):
    def nanoseconds(found, which):
        return found.st_ctime_ns if which == "ctime" else found.st_mtime_ns
else:
    def nanoseconds(found, which):
        return int(round((found.st_ctime if which == "ctime" else found.st_mtime) * 1e9))


def read(path, limit=LIMIT):
    """The beginning of a file of /proc, or None when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            data = b""
            while len(data) < limit:
                more = os.read(fd, limit - len(data))
                if not more:
                    break
                data += more
            return data
        finally:
            os.close(fd)
    except EnvironmentError:
        return None


# Processes


def own_proc(known={}):
    """Whether /proc is there, and shows this process under its own id."""
    pid = os.getpid()
    if pid not in known:
        try:
            known[pid] = os.readlink("/proc/self") == str(pid)
        except OSError:
            known[pid] = False
    return known[pid]


# `start`: ticks after boot. `terminal`: like "pts/3", or None.
Stat = collections.namedtuple("Stat", "state parent terminal threads start")


def fields(pid):
    """What /proc/PID/stat says of a process, or None if there is none."""
    data = read("/proc/%d/stat" % pid)
    if not data:
        return None
    # The second field is the program's name in brackets; it may hold blanks and brackets.
    rest = data[data.rindex(b")") + 1:].split()
    return Stat(state=rest[0].decode("ascii"), parent=int(rest[1]), terminal=terminal(int(rest[4])),
                threads=int(rest[17]), start=int(rest[19]))


def terminal(device):
    """The name of a terminal below /dev, from its device number; None for none that has one."""
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        return "pts/%d" % (minor + 256 * (major - 136))
    return "tty%d" % minor if major == 4 and minor < 64 else None


def process(pid):
    """What is known of a process: {"exists": False}, or its start, state, user, command and so on.

    A start of None means that nothing but its existence could be found out.
    """
    # Asked first, since it takes a quarter of the time of a look into /proc.
    if not 0 < pid <= HIGHEST_PID or unknown(pid):
        return {"exists": False}
    known = fields(pid) if own_proc() else None
    if known is None:
        # It has just ended. Or there is no /proc, or one that hides processes of other users.
        if unknown(pid):
            return {"exists": False}
        return {"exists": True, "start_ticks": None, "state": None, "threads": None, "uid": None,
                "command": None, "terminal": None}
    command = read("/proc/%d/cmdline" % pid)
    try:
        uid = os.stat("/proc/%d" % pid).st_uid
    except OSError:
        uid = None
    return {"exists": True, "start_ticks": known.start, "state": known.state,
            "threads": known.threads, "uid": uid, "terminal": known.terminal,
            "command": as_text(command.rstrip(b"\0").replace(b"\0", b" "))[0] if command else None}


def unknown(pid):
    """Whether the system says that there is no such process."""
    try:
        os.kill(pid, 0)
    except OSError as e:
        return e.errno == errno.ESRCH
    return False


def ended(known):
    """Whether nothing of a process runs any more. A stopped process may go on.

    A zombie runs no code, unless it is a dead main thread whose other threads live.
    """
    return not known["exists"] or (known["state"] in ("Z", "X") and known["threads"] <= 1)


def all_pids():
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def inner_ids(pid):
    """The ids that a process has in containers; none if it runs in ours."""
    status = read("/proc/%d/status" % pid) or b""
    at = status.find(b"\nNSpid:")
    return [int(i) for i in status[at + 7:].split(b"\n", 1)[0].split()[1:]] if at >= 0 else []


def namesakes(wanted, folders):
    """Processes in containers of this host with one of the ids `wanted` there: {id: [process]}.

    `sees_folder`: whether one of `folders` ((device, inode), path) is the same folder for it;
    None if that cannot be looked at.
    """
    found = {}
    for pid in all_pids():
        for inner in set(inner_ids(pid)) & wanted:
            known = process(pid)
            if not known["exists"]:
                continue
            sees = False
            for identity, path in folders:
                try:
                    there = os.stat(as_bytes("/proc/%d/root" % pid) + path)
                    if (there.st_dev, there.st_ino) == identity:
                        sees = True
                except OSError as e:
                    if e.errno != errno.ENOENT and not sees:
                        sees = None
            if sees is not False:
                found.setdefault(inner, []).append(dict(known, pid=pid, sees_folder=sees))
    return found


def running(program):
    """The processes that run one of Mailman's programs, but not those in other containers."""
    found = []
    for pid in all_pids():
        words = (read("/proc/%d/cmdline" % pid) or b"").split(b"\0")
        if program in [os.path.basename(word) for word in words[:3]]:
            known = process(pid)
            if not ended(known) and not inner_ids(pid):
                found.append(dict(known, pid=pid))
    return found


def mailmanctls():
    """The processes that run mailmanctl, of whatever site."""
    return running(b"mailmanctl")


def orphans():
    """The queue runners, of whatever site, without a mailmanctl, or whose mailmanctl has ended.

    They go on when it is killed. A new mailmanctl would start a second set beside them.
    """
    found = [(known, fields(known["pid"])) for known in running(b"qrunner")]
    # Looked for last: by now, whoever started one of those is there or has ended.
    masters = set(known["pid"] for known in mailmanctls())
    return [known for known, now in found if now and now.parent not in masters]


def boot_time():
    """The zero of the starts of processes, by the present clock, in nanoseconds, or None.

    Measured with a process that starts now. What the kernel says of its boot is in whole
    seconds, and in some containers it is the start of the container, while starts of
    processes still count from that of the host.

    A machine that stalls meanwhile has processes seem older than they are, never younger: one that
    has a lock would seem to have started after the lock was taken, and the lock to be stale.
    """
    for _ in range(5):
        before = time.time()
        found = starting()
        if time.time() - before < 0.02:
            break
    return int(before * 1e9) - ticks_ns(found.start) if found else None


def starting():
    """What /proc says of a process that starts now."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(theirs)
        os.read(ours, 1)
        os._exit(0)
    try:
        return fields(pid)
    finally:
        os.close(theirs)
        os.close(ours)
        os.waitpid(pid, 0)


def ticks_ns(ticks):
    return ticks * 10 ** 9 // os.sysconf("SC_CLK_TCK")


def clock():
    """The clock, and what is needed to compare starts of processes with times of files."""
    answer = {"now_ns": int(time.time() * 1e9), "ticks_per_second": os.sysconf("SC_CLK_TCK"),
              "utc_offset": int(-time.altzone if time.localtime().tm_isdst > 0 else -time.timezone),
              "boot_ns": None, "init_start_ticks": None, "made_at_start_ns": None}
    if own_proc():
        answer["boot_ns"] = boot_time()
        init = fields(1)
        answer["init_start_ticks"] = init.start if init else None
        made = []
        for path in MADE_AT_START:
            try:
                made.append(nanoseconds(os.lstat(path), "ctime"))
            except OSError:
                pass
        answer["made_at_start_ns"] = min(made) if made else None
    return answer


# Observing


TYPES = {stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFDIR: "dir"}


def look(folder, name, contents=None):
    """One entry of the folder, or None if there is none of that name.

    `contents`: by file, what was read of those with several names, and their status then. Such a
    file is read once, unless it has changed since.
    """
    text, exact = as_text(name)
    content, content_exact, trouble = None, True, None
    if b"\0" in name:
        return None
    path = os.path.join(folder, name)
    try:
        found = os.lstat(path)
        before = contents.get((found.st_dev, found.st_ino)) if contents else None
        if before and version(found) == before[0]:
            content, content_exact = before[1]
        elif stat.S_ISREG(found.st_mode):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as e:
                if e.errno == errno.ENOENT:
                    return None
                trouble = os.strerror(e.errno)
            else:
                try:
                    # Status and content of one and the same file.
                    found = os.fstat(fd)
                    content, content_exact, trouble = content_of(fd, found)
                finally:
                    os.close(fd)
                if contents is not None and found.st_nlink > 1 and trouble is None:
                    file = found.st_dev, found.st_ino
                    contents[file] = version(found), (content, content_exact)
        elif stat.S_ISLNK(found.st_mode):
            # Where it leads to, which may be a claim.
            content, content_exact = as_text(os.readlink(path))
    except OSError as e:
        if e.errno == errno.ENOENT:
            return None
        return {"name": text, "exact": exact, "type": "unknown", "trouble": os.strerror(e.errno)}
    return {"name": text, "exact": exact,
            "type": TYPES.get(stat.S_IFMT(found.st_mode), "other"),
            "inode": found.st_ino, "device": found.st_dev, "nlink": found.st_nlink,
            "mtime_ns": nanoseconds(found, "mtime"), "ctime_ns": nanoseconds(found, "ctime"),
            "uid": found.st_uid, "size": found.st_size,
            "content": content, "content_exact": content_exact, "trouble": trouble}


def version(found):
    """What differs in the status of a file that has been written to, moved, linked or unlinked."""
    return found.st_mode, found.st_nlink, found.st_size, found.st_mtime, found.st_ctime


def odd(entries, text):
    """Whether a lock and its claim do not match, as when a lock is just changing hands."""
    entry = entries[text][1]
    partner = entries.get(base(entry), (None, None))[1]
    return entry["type"] == "file" and base(entry) != text and (
        partner is None or partner.get("inode") != entry["inode"] or entry["nlink"] != 2)


def unchanged(folder, name, entry):
    try:
        found = os.lstat(os.path.join(folder, name))
    except (OSError, ValueError):
        return False
    return (found.st_ino, found.st_nlink, nanoseconds(found, "ctime")) == (
        entry.get("inode"), entry.get("nlink"), entry.get("ctime_ns"))


def content_of(fd, found):
    """(text, whether it is exact, what is wrong or None)"""
    if not stat.S_ISREG(found.st_mode):
        return None, True, "not a file"
    if found.st_size > LIMIT:
        return None, True, "%d bytes, far too many" % found.st_size
    os.lseek(fd, 0, os.SEEK_SET)
    text, exact = as_text(os.read(fd, LIMIT))
    return text, exact, None


def base(entry):
    """The file that the content of an entry names."""
    return (entry.get("content") or u"").rsplit(u"/", 1)[-1]


def pids_in(entry):
    """The ids that may be meant by an entry's name or content: either of the last two parts."""
    return set(int(part) for name in set((entry["name"], base(entry)))
               for part in name.rsplit(u".", 2)[-2:] if part[:1] in DIGITS and PID.match(part))


class Inside(object):
    """A folder, for as long as it is the current one: its names are then found sooner."""

    def __init__(self, folder):
        self.folder = folder
        self.before = None

    def __enter__(self):
        """What to write before a name of the folder, which may be one that cannot be entered."""
        try:
            before = os.open(".", os.O_RDONLY)
        except OSError:
            return self.folder
        try:
            os.chdir(self.folder)
        except OSError:
            os.close(before)
            return self.folder
        self.before = before
        return b""

    def __exit__(self, *failure):
        if self.before is not None:
            os.fchdir(self.before)
            os.close(self.before)


def observe(lock_dir, lifetime=None):
    """Everything that is needed to decide about the locks of a folder, as JSON.

    `lifetime`: seconds for which a list's lock is taken; it is passed on. For a folder that
    cannot be read there is an `error`, and no entries.
    """
    folder = as_bytes(lock_dir)
    answer = {"lock_dir": as_text(folder)[0], "lifetime": lifetime,
              "host": socket.gethostname(), "error": None}
    names = []
    try:
        names = sorted(os.listdir(folder))
    except OSError as e:
        answer["error"] = os.strerror(e.errno)
    with Inside(folder) as prefix:
        entries, processes = observed(prefix, names)
    answer["entries"] = [entries[text][1] for text in sorted(entries)]
    answer["processes"] = dict((str(pid), known) for pid, known in processes.items())
    answer["namesakes"] = {}
    gone = set(pid for pid, known in processes.items() if ended(known))
    if gone and own_proc():
        try:
            folders = views(folder, answer["entries"])
            answer["namesakes"] = dict(
                (str(pid), found) for pid, found in namesakes(gone, folders).items())
        except OSError as e:  # it has gone, and nothing shows who may hold its locks
            answer.update(error=os.strerror(e.errno), entries=[])
    of_master = any(text.startswith(MASTER) for text in entries)
    answer["mailmanctl"] = mailmanctls() if of_master else []
    answer["orphans"] = orphans() if of_master else []
    answer.update(clock())
    return answer


def observed(folder, names):
    """The entries of these names, and the processes that they name.

    {name as text: (name, entry)}, {id: process}
    """
    entries, processes, contents = {}, {}, {}
    for name in names:
        entry = look(folder, name, contents)
        if entry:
            entries[entry["name"]] = (name, entry)

    def table(entry):
        pids = pids_in(entry)
        for pid in pids:
            if pid not in processes:
                processes[pid] = process(pid)
        return any(ended(processes[pid]) for pid in pids)

    dead = set(entry["name"] for _, entry in entries.values() if table(entry))
    # A holder that finished while we looked has left no lock behind: only our view of it is
    # old. A lock that is still there after its process was seen to be dead is left.
    again = [entries[name][0] for name in sorted(entries) if name in dead or odd(entries, name)]
    for _ in range(3):
        partners = set()
        for name in again:
            text = as_text(name)[0]
            # A claim that has gone since the first look may be named by its lock again.
            known = text in dead and entries.get(text)
            if known and unchanged(folder, *known) and not odd(entries, text):
                continue
            entry = look(folder, name)
            if entry is None or entry["type"] == "unknown":
                if text in entries and entries[text][0] == name:
                    del entries[text]
                continue
            entries[text] = (name, entry)
            table(entry)
            if base(entry).startswith(text + u".") and odd(entries, text):
                partners.update((name, as_bytes(base(entry))))
        again = sorted(partners)
    return entries, processes


# Interrupted saves. Mailman writes a list's state to config.pck.tmp.HOST.PID and renames that.
# Once the process has ended, such a file is of no use to anybody.


def unfinished(folder, host):
    """The saves of processes of `host` in a list's folder: [(name, process id)]."""
    prefix = b"config.pck.tmp." + as_bytes(host) + b"."
    found = [(name, name[len(prefix):].decode("latin-1"))
             for name in sorted(os.listdir(as_bytes(folder))) if name.startswith(prefix)]
    return [(name, int(number)) for name, number in found if PID.match(number)]


def views(folder, entries):
    """The folder's identity, with each path by which a process may know it."""
    found = os.stat(folder)
    contents = [entry.get("content") or u"" for entry in entries]
    paths = set(os.path.dirname(as_bytes(content)) for content in contents
                if content.startswith(u"/") and u"\0" not in content)
    # More than a few different folders are noise and no evidence.
    paths = [os.path.abspath(folder)] + sorted(paths)[:8]
    return [((found.st_dev, found.st_ino), path) for path in paths]


# Removing


def pause(seconds):
    """Sleep for the whole time. On Python 2 a signal ends a sleep."""
    end = time.time() + seconds
    while True:
        left = end - time.time()
        # More than the whole time is left: the clock was set back.
        if not 0 < left <= seconds:
            return
        time.sleep(left)


class Stop(Exception):
    """Nothing (more) is done to this lock. Has the result and the reason."""

    def __init__(self, result, reason):
        Exception.__init__(self, result, reason)
        self.result, self.reason = result, reason


class Removal(object):
    """One file with all its names, from the first look to the last."""

    def __init__(self, folder, told):
        self.folder = folder
        self.told = told
        self.fd = None
        self.ctime = None   # the change time that the file must have
        self.expiry = None  # (atime, mtime) before the push
        self.was = None     # its status at the first look
        self.removed = []

    def path(self, name):
        return os.path.join(self.folder, as_bytes(name))

    def begin(self):
        """Open the file, keep other removers off it, look, and push the expiry. True if pushed."""
        told = self.told
        for name in told["files"]:
            if name != told["lock"] and not name.startswith(told["lock"] + "."):
                raise Stop("refused", "%s is not a file of %s" % (name, told["lock"]))
            if not told["lock"] or "/" in name or "\0" in name:
                raise Stop("refused", "%s is not the name of a lock" % name)
        if not told["files"] or not told["processes"]:
            raise Stop("refused", "no evidence was given")
        here, gone = socket.gethostname(), told["gone"]
        if gone == here:
            raise Stop("refused", "%s is this host" % here)
        if told["host"] not in (here, gone):
            raise Stop("refused", "it belongs to the host %s, and this is %s" % (
                told["host"], here))
        self.open()
        self.guard()
        self.ctime = told["ctime_ns"]
        self.look_again()
        self.was = os.fstat(self.fd)
        return self.push()

    def open(self):
        path = self.path(self.told["files"][0])
        flags = os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            try:
                # For writing if possible: some file systems lock nothing else.
                self.fd = os.open(path, os.O_RDWR | flags)
            except OSError as e:
                if e.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
                self.fd = os.open(path, os.O_RDONLY | flags)
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise Stop("gone", "%s is no longer there" % self.told["files"][0])
            if e.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise Stop("changed", "%s is no longer a file" % self.told["files"][0])
            raise Stop("failed", "%s: %s" % (self.told["files"][0], os.strerror(e.errno)))

    def guard(self):
        deadline = time.time() + GUARD
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except EnvironmentError as e:
                if e.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                    raise Stop("failed", "it cannot be kept from another clear-lock: %s"
                               % os.strerror(e.errno))
            if time.time() > deadline:
                raise Stop("refused", "another clear-lock has been at work on it for %d seconds"
                           % GUARD)
            pause(0.05)

    def same(self, found):
        mine = os.fstat(self.fd)
        return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)

    def see(self, name):
        """Raise Stop unless `name` is a name of the file in hand."""
        try:
            if not self.same(os.lstat(self.path(name))):
                raise Stop("changed", "%s is another file now" % name)
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise Stop("gone", "%s is no longer there" % name)
            raise Stop("failed", "%s: %s" % (name, os.strerror(e.errno)))

    def look_again(self):
        """Raise Stop unless file, names and processes are those of the evidence."""
        told = self.told
        found = os.fstat(self.fd)
        if (found.st_dev, found.st_ino) != (told["device"], told["inode"]):
            raise Stop("changed", "%s is another file than before" % told["files"][0])
        self.see(told["files"][0])
        # A microsecond: Python 2 has times as floating point.
        if abs(nanoseconds(found, "ctime") - self.ctime) > 1000:
            raise Stop("changed", "it was taken again, refreshed or changed meanwhile")
        for name in told["files"][1:]:
            self.see(name)
        if found.st_nlink != len(told["files"]):
            raise Stop("changed", "its file has %d names and not %d" % (
                found.st_nlink, len(told["files"])))
        content, exact, trouble = content_of(self.fd, found)
        if trouble or not exact or as_bytes(content) != as_bytes(told["content"]):
            raise Stop("changed", "its content is another one now")
        self.look_at_processes()

    def look_at_processes(self):
        for pid, start in self.told["processes"]:
            known = process(pid)
            if ended(known):
                continue
            what = "process %d%s" % (pid, " (%s)" % known["command"] if known["command"] else "")
            if start is None or known["start_ticks"] != start:
                raise Stop("changed", "%s runs now" % what)
            booted = boot_time() if own_proc() else None
            if booted is None or booted + ticks_ns(start) <= self.told["ctime_ns"] + SLACK_NS:
                raise Stop("refused", "%s ran already when the lock was taken" % what)
        if self.told["files"][0] == MASTER:
            for what, found in (("mailmanctl", mailmanctls()), ("a runner of it", orphans())):
                if found:
                    raise Stop("refused", "%s runs (process %d)" % (what, found[0]["pid"]))

    def look_at_lock(self):
        """Raise Stop if the file is a claim that a lock which is there now names, or may name.

        Then it shows whose lock that is, though it is no longer the same file.
        """
        lock, names = self.told["lock"], self.told["files"]
        if names[0] == lock:
            return
        entry = look(self.folder, as_bytes(lock))
        if entry and (base(entry) in names or entry["trouble"]):
            raise Stop("refused", "%s names it" % lock if not entry["trouble"] else
                       "%s may name it, and cannot be read: %s" % (lock, entry["trouble"]))

    def push(self):
        found = os.fstat(self.fd)
        ahead = time.time() + AHEAD
        if found.st_mtime >= ahead:
            return False
        self.expiry = (found.st_atime, found.st_mtime)
        try:
            self.set_times((ahead, ahead))
        except OSError as e:
            if e.errno not in (errno.EPERM, errno.EACCES):
                raise Stop("failed", "its expiry cannot be moved: %s" % os.strerror(e.errno))
            try:
                # Not the owner. Whoever may write can set the present time, and Mailman
                # breaks nothing until ten seconds after the expiry.
                self.set_times(None)
            except OSError as e:
                raise Stop("failed", "its expiry cannot be moved: %s" % os.strerror(e.errno))
        self.ctime = nanoseconds(os.fstat(self.fd), "ctime")
        return True

    def set_times(self, times):
        if os.utime in getattr(os, "supports_fd", ()):
            os.utime(self.fd, times)
        else:
            os.utime("/proc/self/fd/%d" % self.fd, times)

    def finish(self):
        """Look once more, remove every name of the file, and check that none is left."""
        self.look_again()
        self.look_at_lock()
        for name in self.told["files"]:
            self.take_away(name)
        left = os.fstat(self.fd).st_nlink
        if left:
            raise Stop("failed", "the file still has a name (link count %d)" % left)
        return "removed", None

    def aside(self):
        """A free name in the folder that has the form of a claim of this process."""
        number = 0
        while True:
            name = "%s.%s.%d.%d" % (self.told["lock"], socket.gethostname(), os.getpid(), number)
            try:
                os.lstat(self.path(name))
            except OSError as e:
                if e.errno == errno.ENOENT:
                    return name
                raise
            number += 1

    def take_away(self, name):
        try:
            aside = self.aside()
            os.rename(self.path(name), self.path(aside))
        except OSError as e:
            if e.errno == errno.ENOENT:
                raise Stop("changed", "%s was removed by somebody else just now" % name)
            raise Stop("failed", "%s cannot be removed: %s" % (name, os.strerror(e.errno)))
        if self.same(os.lstat(self.path(aside))):
            os.unlink(self.path(aside))
            self.removed.append(name)
            return
        try:
            os.link(self.path(aside), self.path(name))
        except OSError as e:
            raise Stop("failed", "%s was replaced just now and could not be put back (%s): it is"
                       " kept as %s; see which processes use the list"
                       % (name, os.strerror(e.errno), aside))
        os.unlink(self.path(aside))
        raise Stop("changed", "%s was replaced by another file just now, and that one left" % name)

    def end(self):
        """Put back the expiry if nothing was removed, and let go."""
        if self.fd is None:
            return
        try:
            if self.expiry and not self.removed and os.fstat(self.fd).st_nlink:
                # Unless somebody else has moved it since.
                if nanoseconds(os.fstat(self.fd), "ctime") == self.ctime:
                    self.set_times(self.expiry)
        except OSError:
            pass
        os.close(self.fd)  # and with it the guard
        self.fd = None

    def answer(self, result, reason):
        """What became of it: for the journal, with names, content and times of what was there."""
        told, was = self.told, self.was
        return {"lock": told["lock"], "files": told["files"], "result": result, "reason": reason,
                "removed": self.removed, "content": told["content"], "inode": told["inode"],
                "ctime_ns": told["ctime_ns"],
                "mtime_ns": nanoseconds(was, "mtime") if was else None,
                "uid": was.st_uid if was else None, "processes": told["processes"],
                "now": None if "/" in told["lock"] else look(self.folder, as_bytes(told["lock"]))}


def remove(lock_dir, locks):
    """Remove each of `locks` if it is still what it was. Yields an answer for each.

    A lock: {"lock", "files": its names in the order of removal, "inode", "device",
    "ctime_ns", "content", "host", "gone": a host that somebody has said no longer exists, or
    None, "processes": [[id, start in ticks or None if there was none]]}. An answer's `result`:

    removed  every name is gone and read back as gone
    gone     it was not there any more; nothing was done
    changed  it is not what it was, or its process runs; nothing was done (`removed` names
             what had been, if anything)
    refused  it must not be removed
    failed   the system said no

    `now` is what is at the lock's name afterwards: None, or who has it.
    """
    folder = as_bytes(lock_dir)
    # In the same order for everybody, so that two removers never wait for each other.
    rest = sorted(locks, key=lambda told: [as_bytes(name) for name in told["files"]])
    while rest:
        batch, rest = [Removal(folder, told) for told in rest[:AT_A_TIME]], rest[AT_A_TIME:]
        outcomes, pushed = {}, False
        try:
            for one in batch:
                pushed = attempt(one, one.begin, outcomes) is True or pushed
            if pushed:
                pause(SETTLE)
            for one in batch:
                if one not in outcomes:
                    done = attempt(one, one.finish, outcomes)
                    if one not in outcomes:
                        outcomes[one] = done
        finally:
            for one in batch:
                one.end()
        for one in batch:
            yield one.answer(*outcomes[one])


def attempt(one, step, outcomes):
    """Take a step. After one that fails, let go at once: the next lock may be of the same file."""
    try:
        return step()
    except Stop as e:
        outcomes[one] = (e.result, e.reason)
    except EnvironmentError as e:
        outcomes[one] = ("failed", str(e))
    one.end()


def run(parameters, emit):
    """{"action": "observe" or "remove", and either "lock_dir" or "sites": [{"name", "lock_dir"}]}.

    A site that is observed may have a "lock_lifetime"; one to remove from has "locks".
    """
    for site in parameters.get("sites") or [parameters]:
        name = site.get("name")
        if parameters["action"] == "observe":
            observation = observe(site["lock_dir"], site.get("lock_lifetime"))
            emit({"event": "locks", "site": name, "observation": observation})
        elif parameters["action"] == "remove":
            for answer in remove(site["lock_dir"], site["locks"]):
                emit(dict(answer, event="removal", site=name))
        else:
            raise ValueError("unknown action %r" % (parameters["action"],))
