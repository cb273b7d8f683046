# Runs an on-host program that came over standard input, and sends its events back.
#
# Python 2.7 and 3, standard library alone. Events are lines on standard output:
# the mark below and one JSON object. What anything else prints on standard output
# (a chatty mm_cfg.py, a script) goes to standard error, so that it cannot be taken
# for an event.
from __future__ import print_function

import grp
import json
import linecache
import os
import pwd
import select
import sys
import traceback
import types

MARK = b"@@runbook "
PYTHON2 = sys.version_info[0] == 2


class Emit(object):
    """Sends events; knows whether anybody is still listening."""

    def __init__(self, fd, watch_input):
        self.fd = fd
        self.watch_input = watch_input
        self.ended = False

    def __call__(self, event):
        data = MARK + json.dumps(unicoded(event), ensure_ascii=True).encode("ascii") + b"\n"
        try:
            while data:
                data = data[os.write(self.fd, data):]
        except OSError:
            # Nobody listens any more. The list in hand is finished all the same.
            self.ended = True

    def stopping(self):
        """True when the other end has gone or has asked to stop."""
        if self.watch_input and not self.ended:
            ready = select.select([0], [], [], 0)[0]
            if ready and not os.read(0, 1):
                self.ended = True
        return self.ended


def unicoded(value):
    """`value` fit for JSON. Bytes that are not UTF-8 become lone surrogates, as Python 3 reads them."""
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
            return u"".join(unichr(ord(c) if ord(c) < 128 else 0xdc00 + ord(c)) for c in value)  # noqa: F821
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


class Finder(object):
    """Imports the modules that came along, before any of that name on the host."""

    def __init__(self, sources):
        self.sources = sources

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
        text = self.sources[name]
        filename = "<runbook>/%s.py" % name
        linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
        exec(compile(text, filename, "exec", 0, True), module.__dict__)


def main(payload):
    payload = native(json.loads(payload))
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    events = os.dup(1)
    os.dup2(2, 1)
    emit = Emit(events, payload["watch_input"])
    try:
        os.chdir("/")
        os.environ.update(payload["environment"])
        if payload["run_as"]:
            become(*payload["run_as"])
        sys.modules["boot"] = sys.modules["__main__"]
        sys.meta_path.insert(0, Finder(dict(payload["modules"])))
        __import__(payload["modules"][-1][0]).run(payload["parameters"], emit)
    except Exception as e:
        emit({"event": "failed", "error": "%s: %s" % (type(e).__name__, e), "traceback": traceback.format_exc()})
    emit({"event": "end"})
