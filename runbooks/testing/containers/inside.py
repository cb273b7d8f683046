# ruff: noqa: BLE001, C405, SIM105, UP010, UP024, UP031
"""What a `Box` runs inside its container: commands, and the way back to a clean site.

One process of this program serves one command after another, over its standard input and output,
which costs a tenth of a `docker exec` for each. It is Python 2.7 and Python 3 code with the
standard library alone, since the only Python in the container is the one that Mailman runs on.
It is sent over standard input and never stored in the container.

A request and its answer are one line of JSON each. Bytes travel in base64. A path is the base64
of its bytes, since a test may create a name that is not UTF-8.
"""

from __future__ import print_function

import base64
import errno
import fcntl
import grp
import json
import os
import pwd
import select
import signal
import stat
import time

# What tests may change, and what of it is no business of theirs (Docker mounts the three files
# over the container's own).
WATCHED = (
    b"/dev/shm /etc /home /media /mnt /opt /root /run /srv /tmp /usr/lib/mailman /usr/local /var"
).split()
SKIPPED = frozenset(
    b"/etc/hostname /etc/hosts /etc/resolv.conf /var/cache/apt /var/lib/apt /var/lib/dpkg".split()
)
LARGEST_KEPT = 1 << 20  # bytes of one file

held_open = []  # ends of pipes that a background process may still write to
clean = {}  # path: what was there when the container was clean
protected = set()  # (process id, start time) of the processes that belong to the container


def encoded(data):
    return base64.b64encode(data).decode("ascii")


def decoded(text):
    return base64.b64decode(text.encode("ascii"))


# Processes


def processes():
    """{process id: (parent, session, start time, state)} of everything in the container."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as source:
                text = source.read()
        except (IOError, OSError):
            continue
        # The name, in brackets, may itself contain blanks and brackets.
        fields = text[text.rindex(b")") + 2 :].split()
        found[int(name)] = (int(fields[1]), int(fields[3]), int(fields[19]), fields[0])
    return found


def end(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError as problem:
            if problem.errno != errno.ESRCH:
                raise


def family(leader):
    """The processes that `leader` started, also those that left its session, and itself."""
    everything = processes()
    members = set([leader])
    members.update(pid for pid, entry in everything.items() if entry[1] == leader)
    grown = True
    while grown:
        grown = False
        for pid, entry in everything.items():
            if entry[0] in members and pid not in members:
                members.add(pid)
                grown = True
    return members


def reap():
    """Collect children that were left behind and have ended."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except OSError:
            return
        if pid == 0:
            return


def end_strangers():
    """End every process that was not there when the container was clean."""
    deadline = time.time() + 10
    while True:
        reap()
        strangers = [
            pid
            for pid, entry in processes().items()
            if pid != os.getpid() and (pid, entry[2]) not in protected and entry[3] != b"Z"
        ]
        if not strangers:
            return
        if time.time() > deadline:
            raise RuntimeError("processes that SIGKILL does not end: %s" % strangers)
        end(strangers)
        time.sleep(0.002)


# Commands


def become(user):
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def child(argv, user, environment, ends):
    """The forked process: put on the user and the pipes, and become the command."""
    try:
        os.setsid()
        for number, end_of_pipe in enumerate(ends):
            os.dup2(end_of_pipe, number)
        # os.pipe() in Python 2 sets no close-on-exec.
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2:
                try:
                    os.close(int(name))
                except OSError:  # the one that the listing itself used
                    pass
        for ignored in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", None)):
            if ignored is not None:
                signal.signal(ignored, signal.SIG_DFL)
        os.chdir("/")
        os.umask(0o022)
        if user:
            become(user)
        os.execvpe(argv[0], argv, environment)
    except BaseException as problem:
        words = "cannot run %s: %s\n" % (argv[0].decode("utf-8", "replace"), problem)
        os.write(2, words.encode("utf-8", "replace"))
    finally:
        os._exit(127)


def initial_environment():
    """What `docker exec` gave, without what Python 3 itself has added (LC_CTYPE)."""
    entries = read(b"/proc/self/environ").split(b"\0")
    return [tuple(entry.split(b"=", 1)) for entry in entries if b"=" in entry]


def nonblocking(descriptor):
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)


def drain(descriptor, parts):
    """Read what is there. False: the other end is closed."""
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError as problem:
            if problem.errno == errno.EAGAIN:
                return True
            if problem.errno == errno.EINTR:
                continue
            raise
        if not data:
            return False
        parts.append(data)


def run(request):
    user = request["user"]
    environment = dict(initial_environment())
    if user:
        environment[b"HOME"] = pwd.getpwnam(user).pw_dir.encode("utf-8")
    environment.update((decoded(name), decoded(value)) for name, value in request["env"])
    argv = [decoded(word) for word in request["argv"]]

    feed = None
    if request["stdin"] is None:
        source = os.open(os.devnull, os.O_RDONLY)
        to_send = b""
    else:
        source, feed = os.pipe()
        to_send = decoded(request["stdin"])
    out, out_end = os.pipe()
    err, err_end = os.pipe()

    pid = os.fork()
    if pid == 0:
        child(argv, user, environment, (source, out_end, err_end))
    for descriptor in (source, out_end, err_end):
        os.close(descriptor)

    parts = {out: [], err: []}
    reading = set([out, err])
    for descriptor in (out, err) + ((feed,) if feed is not None else ()):
        nonblocking(descriptor)
    if feed is not None and not to_send:
        os.close(feed)
        feed = None
    deadline = time.time() + request["timeout"]
    status = None
    timed_out = False
    pause = 0.001
    while status is None:
        finished, status_now = os.waitpid(pid, os.WNOHANG)
        if finished:
            status = status_now
            break
        if time.time() > deadline and not timed_out:
            timed_out = True
            end(family(pid))
            continue
        if not reading and feed is None:
            time.sleep(pause)
        else:
            readable, writable, _ = select.select(
                list(reading), [feed] if feed is not None else [], [], pause
            )
            for descriptor in readable:
                if not drain(descriptor, parts[descriptor]):
                    reading.discard(descriptor)
            if writable:
                try:
                    to_send = to_send[os.write(feed, to_send[:4096]) :]
                except OSError as problem:
                    if problem.errno not in (errno.EPIPE, errno.EAGAIN):
                        raise
                    if problem.errno == errno.EPIPE:
                        to_send = b""
                if not to_send:
                    os.close(feed)
                    feed = None
        # A command that closed its output is about to end, or is a server.
        pause = min(pause * 1.2, 0.02 if reading else 0.005)
    if feed is not None:
        os.close(feed)
    # Whatever the command wrote is in the pipes by now. A background process that it left behind
    # may keep them open, and must not be killed by SIGPIPE for writing to them.
    for descriptor in (out, err):
        if descriptor not in reading or not drain(descriptor, parts[descriptor]):
            os.close(descriptor)
        else:
            held_open.append(descriptor)
    rc = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    return {
        "rc": rc,
        "stdout": encoded(b"".join(parts[out])),
        "stderr": encoded(b"".join(parts[err])),
        "timed_out": timed_out,
    }


# Files


def read(path):
    with open(path, "rb") as source:
        return source.read()


def write(path, data, mode, uid, gid, times=None):
    """Write beside the place and rename, so that a name never shows half of its content."""
    beside = path + b".box-servant"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(data)
        os.chown(beside, uid, gid)
        os.chmod(beside, mode)
        if times is not None:
            os.utime(beside, times)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def put(request):
    user, _, group = request["owner"].partition(":")
    write(
        decoded(request["path"]),
        decoded(request["data"]),
        request["mode"],
        pwd.getpwnam(user).pw_uid,
        grp.getgrnam(group or user).gr_gid,
    )
    return {}


def look(path):
    """What a name is: kind, mode, owner, group, and what changes whenever it is touched."""
    entry = os.lstat(path)
    mode = stat.S_IMODE(entry.st_mode)
    if stat.S_ISDIR(entry.st_mode):
        return ["directory", mode, entry.st_uid, entry.st_gid]
    if stat.S_ISLNK(entry.st_mode):
        return ["link", encoded(os.readlink(path)), entry.st_uid, entry.st_gid]
    if stat.S_ISREG(entry.st_mode):
        return [
            "file",
            mode,
            entry.st_uid,
            entry.st_gid,
            entry.st_size,
            entry.st_nlink,
            entry.st_mtime,
            entry.st_ctime,
        ]
    return ["other", entry.st_mode, entry.st_uid, entry.st_gid]


def scan():
    """{path: look(path)} of everything watched. A directory comes before what is in it."""
    found = {}
    waiting = [path for path in WATCHED if os.path.isdir(path)]
    while waiting:
        path = waiting.pop()
        if path in SKIPPED:
            continue
        try:
            found[path] = look(path)
        except OSError as problem:
            if problem.errno != errno.ENOENT:
                raise
            continue
        if found[path][0] == "directory":
            try:
                waiting.extend(os.path.join(path, name) for name in os.listdir(path))
            except OSError as problem:
                if problem.errno != errno.ENOENT:
                    raise
    return found


def snapshot(request):
    """Remember everything watched, with content, and the processes, as what clean means."""
    clean.clear()
    for path, entry in scan().items():
        content = None
        if entry[0] == "file" and entry[4] <= LARGEST_KEPT:
            content = encoded(read(path))
        clean[path] = {"entry": entry, "content": content}
    protected.clear()
    protected.update((pid, entry[2]) for pid, entry in processes().items() if pid != os.getpid())
    return {
        "clean": [[encoded(path), kept["entry"], kept["content"]] for path, kept in clean.items()],
        "protected": sorted(protected),
    }


def adopt(request):
    """Take over the memory of a servant that a test has ended."""
    clean.clear()
    for path, entry, content in request["clean"]:
        clean[decoded(path)] = {"entry": entry, "content": content}
    protected.clear()
    protected.update(tuple(pair) for pair in request["protected"])
    return {}


def alike(entry, kept):
    """Whether a changed file still has the content, mode and owner it had."""
    return entry[:5] == kept["entry"][:5] and entry[0] != "other"


def differences():
    """[(path, what happened to it)], parents first."""
    now = scan()
    found = []
    for path, entry in now.items():
        if path not in clean:
            found.append((path, "added"))
        elif entry != clean[path]["entry"]:
            found.append((path, "changed"))
    found.extend((path, "removed") for path in clean if path not in now)
    return sorted(found), now


def changes(request):
    found = []
    for path, what in differences()[0]:
        if what == "changed":
            kept = clean[path]
            if alike(look(path), kept) and kept["content"] == encoded(read(path)):
                continue
        found.append([encoded(path), what])
    return {"changes": found}


def remove(path):
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError as problem:
        if problem.errno != errno.ENOENT:
            raise


def restore(path):
    kept = clean[path]
    entry = kept["entry"]
    kind, mode, uid, gid = entry[:4]
    try:
        present = look(path)
    except OSError:
        present = None
    if present is not None and present[0] != kind:
        remove(path)
        present = None
    if kind == "directory":
        if present is None:
            os.mkdir(path)
        os.chown(path, uid, gid)
        os.chmod(path, mode)
    elif kind == "link":
        if present is not None:
            os.unlink(path)
        os.symlink(decoded(mode), path)
        os.lchown(path, uid, gid)
    elif kind == "file" and kept["content"] is not None:
        # The time as well: Python 2 tells by the second whether compiled code is still good.
        write(path, decoded(kept["content"]), mode, uid, gid, (entry[6], entry[6]))
        kept["entry"] = look(path)
    else:
        raise RuntimeError("cannot bring back %r: its content was not kept" % path)


def reset(request):
    """End what earlier tests left running and bring every watched path back. Then look again."""
    end_strangers()
    while held_open:
        os.close(held_open.pop())
    for _ in range(3):
        found, now = differences()
        if not found:
            return {}
        gone = [path for path, what in found if what == "added"]
        # What took the place of a directory goes before the directory's content comes back.
        wrong_kind = [
            path
            for path, what in found
            if what == "changed" and now[path][0] != clean[path]["entry"][0]
        ]
        for path in sorted(gone, reverse=True):
            remove(path)
        for path in sorted(wrong_kind, reverse=True):
            remove(path)
        for path, what in found:
            if what != "added":
                restore(path)
    raise RuntimeError("still changed after a reset: %s" % differences()[0][:10])


def main():
    operations = {
        "ping": lambda request: {},
        "run": run,
        "put": put,
        "read": lambda request: {"data": encoded(read(decoded(request["path"])))},
        "snapshot": snapshot,
        "adopt": adopt,
        "changes": changes,
        "reset": reset,
    }
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    while True:
        line = requests.readline()
        if not line:
            return
        request = json.loads(line.decode("ascii"))
        try:
            answer = operations[request["operation"]](request)
        except Exception as problem:
            answer = {"problem": "%s: %s" % (type(problem).__name__, problem)}
        data = json.dumps(answer).encode("ascii") + b"\n"
        while data:
            data = data[os.write(answers, data) :]


main()
