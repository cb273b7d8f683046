# Runs on-host programs that come over standard input, and sends back their events.
#
# Python 2.7 and 3, standard library alone. Programs run one after the other until the input
# ends, apart from this process, in one that may become another user. It is a new one for each
# program, unless the one before lasts and is of the same kind. An event is a line on
# standard output: the mark below and one JSON object. Whatever else is printed on standard
# output (by a chatty mm_cfg.py, or a script) goes to standard error, so that it cannot be taken
# for an event.
from __future__ import print_function

import errno
import fcntl
import grp
import json
import linecache
import os
import pwd
import select
import sys
import traceback
import types
import zlib

MARK = b"@@runbook "
# Of the standard library, what Mailman imports and what in turn imports most: four fifths of the
# time that a Mailman takes to start. Not every Python has all of it.
LARGE = (
    "calendar", "cgi", "Cookie", "datetime", "email.generator", "email.header", "email.iterators",
    "email.mime.message", "email.mime.text", "email.parser", "email.policy", "email.utils",
    "gettext", "hmac", "http.client", "http.cookies", "mailbox", "shlex", "shutil", "ssl",
    "subprocess", "tempfile", "urllib.request", "urllib2")
PYTHON2 = sys.version_info[0] == 2
TEXT = type(u"")
# Of the modules that were sent, the code: one program has most of them from the one before. The
# modules that were sent together, by the bytes in which they came.
compiled, opened = {}, {}
# The pipes of a process that waits for a further program when it has run one. Whatever it forks has
# to close them: while they are open elsewhere, nobody sees its end. What it calls at its end.
lasting, at_last = [], []


def retried(call, *arguments):
    """A system call that a signal may interrupt: Python 2 does not go on by itself."""
    while True:
        try:
            return call(*arguments)
        except (EnvironmentError, select.error) as e:
            if e.args[0] != errno.EINTR:
                raise


def write_all(fd, data):
    while data:
        data = data[retried(os.write, fd, data):]


class Emit(object):
    """Sends events; knows whether anybody is still listening."""

    def __init__(self, fd, watch_input):
        self.fd = fd
        self.watch_input = watch_input
        self.ended = False

    def __call__(self, *events):
        """Send events in one piece: each piece wakes several processes on its way."""
        try:
            write_all(self.fd, b"".join(MARK + as_json(event) + b"\n" for event in events))
        except OSError:
            # Nobody is listening any more. The list in hand is finished all the same.
            self.ended = True

    def stopping(self):
        """True when the other end has gone or has asked to stop."""
        if self.watch_input and not self.ended:
            ready = retried(select.select, [0], [], [], 0)[0]
            if ready and not retried(os.read, 0, 1):
                self.ended = True
        return self.ended


def as_json(value, sort_keys=False):
    """`value` as ASCII bytes."""
    try:
        # Three times as fast as converting everything first.
        text = json.dumps(value, default=unicoded, sort_keys=sort_keys)
    except (TypeError, UnicodeDecodeError):
        text = json.dumps(unicoded(value), sort_keys=sort_keys)
    return text.encode("ascii")


def unicoded(value):
    """`value` fit for JSON. Bytes that are not UTF-8 become lone surrogates, as on Python 3."""
    if isinstance(value, TEXT):
        return value
    if isinstance(value, dict):
        return dict((unicoded(k), unicoded(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return [unicoded(item) for item in value]
    if isinstance(value, bytes):
        if not PYTHON2:
            return value.decode("utf-8", "surrogateescape")
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return u"".join(unichr(b if b < 128 else 0xdc00 + b)  # noqa: F821  Python 2 alone
                            for b in bytearray(value))
    return value


def native(value):
    """`value` from JSON with text as this Python's own `str`."""
    if isinstance(value, dict):
        return dict((native(k), native(v)) for k, v in value.items())
    if isinstance(value, list):
        return [native(item) for item in value]
    if PYTHON2 and not isinstance(value, (str, int, float, bool, type(None))):
        return value.encode("utf-8") if hasattr(value, "encode") else value
    return value


def become(user, group):
    """Give up root for Mailman's user: what is written then belongs to Mailman."""
    if os.geteuid() != 0:
        return
    entry = pwd.getpwnam(user)
    gid = grp.getgrnam(group).gr_gid
    os.initgroups(user, gid)
    os.setgid(gid)
    os.setuid(entry.pw_uid)


def keep_open(*wanted):
    """Close everything else but the three standard streams.

    Scripts, and code that Mailman's user may have written, must not have it: whoever has the file
    for events can send any.
    """
    try:
        # Trying all possible numbers takes Python 2 a tenth of a second.
        there = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        there = range(3, min(os.sysconf("SC_OPEN_MAX"), 65536))
    for fd in there:
        if fd in wanted:
            fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)
        elif fd > 2:
            try:
                os.close(fd)
            except OSError:
                pass  # the one with which the folder was read


class Finder(object):
    """Imports the modules that were sent, rather than any of that name on the host."""

    def __init__(self):
        self.sources = {}

    def find_module(self, name, path=None):  # Python 2
        return self if name in self.sources else None

    def load_module(self, name):  # Python 2
        module = sys.modules[name] = types.ModuleType(name)
        try:
            self.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def find_spec(self, name, path=None, target=None):
        if name in self.sources:
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        text, filename = self.sources[name], filename_of(name)
        linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
        exec(code_of(name, text), module.__dict__)


finder = Finder()


def filename_of(name):
    return "<runbook>/%s.py" % name


def code_of(name, text):
    if (name, text) not in compiled:
        compiled[name, text] = compile(text, filename_of(name), "exec", 0, True)
    return compiled[name, text]


def unpacked(modules, order):
    """A program, its modules compiled."""
    if modules not in opened:
        opened[modules] = contents(modules)
        for name, text in opened[modules]:
            code_of(name, text)
    return dict(contents(order), modules=opened[modules])


def contents(packed):
    return native(json.loads(zlib.decompress(packed).decode("ascii")))


def begin():
    """Keep standard output for events; the file for them."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    # They were for this process, in which the C library keeps memory that was freed: else getting
    # it anew for each list takes a fifth of the time. What is started from here need not have them.
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.pop(name, None)
    sys.modules["boot"] = sys.modules["__main__"]
    events = os.dup(1)
    os.dup2(2, 1)
    return events


def run(payload, emit):
    """Run one program in this process, and send all of its events."""
    try:
        os.environ.update(payload["environment"])
        if payload["run_as"]:
            become(*payload["run_as"])
        if finder not in sys.meta_path:
            sys.meta_path.insert(0, finder)
        finder.sources.update(payload["modules"])
        __import__(payload["modules"][-1][0]).run(payload["parameters"], emit)
    except Exception as e:
        emit({"event": "failed", "error": "%s: %s" % (type(e).__name__, e),
              "traceback": traceback.format_exc()})


def get_ready():
    """Import what Mailman is about to import, once for all the processes that are forked.

    An old Mailman brings an ``email`` of its own (in pythonlib): then all is left for it to import.
    """
    prefix = os.path.dirname(os.environ.get("RUNBOOK_BIN", ""))
    own = set()
    for folder in (prefix, os.path.join(prefix, "bin"), os.path.join(prefix, "pythonlib")):
        try:
            own.update(name.split(".")[0] for name in os.listdir(folder))
        except OSError as e:
            if e.errno != errno.ENOENT:
                return
    if own.intersection(name.split(".")[0] for name in LARGE):
        return
    for name in LARGE:
        try:
            __import__(name)
        except ImportError:
            pass


def fork():
    """os.fork(). No two processes draw the same random numbers, not even for Mailman."""
    pid = os.fork()
    if pid == 0 and "random" in sys.modules:
        sys.modules["random"].seed()  # Python 3.7 does so itself
    return pid


class Child(object):
    """A process that takes orders from a pipe and answers through another, until the orders end.

    A class has `live(orders, answers)`, its life, for the pipes' other ends.
    """

    def __init__(self):
        self.status = None
        orders, self.input = os.pipe()
        self.output, answers = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            status = 70
            try:
                os.close(self.input)
                os.close(self.output)
                self.live(orders, answers)
                status = 0
            finally:
                os._exit(status)
        os.close(orders)
        os.close(answers)

    def send(self, data):
        try:
            write_all(self.input, data)
        except OSError:
            pass  # it died, which is seen when its answers end

    def is_gone(self):
        """Whether it died while it had nothing to do."""
        pid, status = retried(os.waitpid, self.pid, os.WNOHANG)
        if pid:
            self.status = status
        return pid != 0

    def end(self):
        """Let it end; what waitpid() says of it."""
        for fd in (self.input, self.output):
            os.close(fd)
        if self.status is None:
            self.status = retried(os.waitpid, self.pid, 0)[1]
        return self.status


class Apart(Child):
    """A process of its own for a program; for one that lasts, and others of its kind after it."""

    def __init__(self, payload, events):
        self.payload, self.events = payload, events
        self.kind = kind_of(payload)
        Child.__init__(self)

    def live(self, orders, answers):
        lasting.extend([orders, answers])
        payload = self.payload
        try:
            while payload is not None:
                if not payload["lasts"]:
                    part_with_lasting()
                run(payload, Emit(self.events, True))
                if not lasting:
                    break
                write_all(answers, b".")
                parts = framed(orders)
                payload = parts and unpacked(*parts)
            # Where process 1 collects nobody, they would stay as zombies.
            for last in at_last:
                last()
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()

    def give(self, parts):
        """Have it run a further program."""
        self.send(b"".join(b"%08d" % len(part) + part for part in parts))

    def lives(self, emit):
        """Wait for the end of the program; whether the process waits for another one.

        If it ended early, that is reported.
        """
        if retried(os.read, self.output, 1):
            return True
        status = self.end()
        if status:
            emit({"event": "failed", "error": "it was %s" % ended_how(status)})
        return False


def kind_of(payload):
    """What two programs have in common that one process can run."""
    return payload["modules"][-1][0], payload["run_as"], payload["environment"]


def part_with_lasting():
    """Close the pipes of a process that waits for programs: this one runs none, or no further."""
    for fd in lasting:
        os.close(fd)
    del lasting[:]


def ended_how(status):
    """What waitpid() says of a process that did not end well."""
    if os.WIFSIGNALED(status):
        return "killed by signal %d" % os.WTERMSIG(status)
    return "ended with status %d" % os.WEXITSTATUS(status)


def read(size, fd=0):
    """That many bytes of the input, or None if it ends before."""
    data = b""
    while len(data) < size:
        more = retried(os.read, fd, size - len(data))
        if not more:
            return None
        data += more
    return data


def secret(size):
    """That many bytes of the input, which nobody else can see."""
    data = read(size)
    if data is None:
        raise EOFError("the secret did not arrive")
    return data


def framed(fd):
    """The parts of the next program, each with its size in eight digits before it, or None."""
    parts = []
    for _ in range(2):
        size = read(8, fd)
        if not size or not size.isdigit():
            return None
        parts.append(read(int(size), fd))
    return parts if None not in parts else None


def serve():
    """Programs from standard input."""
    events = begin()
    is_ready, apart = False, None
    while True:
        parts = framed(0)
        if parts is None:
            if apart:
                apart.end()
            return
        payload = unpacked(*parts)
        if apart and (apart.is_gone() or apart.kind != kind_of(payload)):
            apart.end()
            apart = None
        if apart:
            apart.give(parts)
        else:
            apart = Apart(payload, events)
        if not is_ready:
            # Whatever asks first, which installation there is, say, needs little of it.
            get_ready()
            is_ready = True
        emit = Emit(events, True)
        if not apart.lives(emit):
            apart = None
        emit({"event": "end"})


def once(modules, order):
    """One program, where there is no standard input."""
    emit = Emit(begin(), False)
    run(unpacked(modules, order), emit)
    emit({"event": "end"})
