"""Puts locks in a lock folder, with real processes that hold them, wait for them or are dead.

Runs in the container under Mailman's Python, as Mailman's user, for the site in its environment.
Standard input: {"lists", "seed"}, then a line for each question:

    look    what the lock folder holds: {name: [type, link count, content]}
    end     ends every process that still runs

Prints first what it has set up, a list of
{"list", "kind", "holder": process id or null, "waiters": [process ids],
 "gone": files that must go, "kept": files that must stay}
"""

from __future__ import print_function

import json
import os
import random
import signal
import socket
import sys
import time

sys.path.insert(0, "/usr/lib/mailman/bin")
import paths  # noqa: F401
from Mailman import MailList, mm_cfg

HOST = socket.gethostname()
FOLDER = mm_cfg.LOCK_DIR
children = []


def path(name):
    return os.path.join(FOLDER, name)


def write(name, content):
    with open(path(name), "w") as f:
        f.write(content)


def child(work):
    """A child process that does `work` and then sleeps; its id, once it has said a word."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(told)
            work(lambda: os.write(tell, b"x"))
            time.sleep(3600)
        finally:
            os._exit(1)
    os.close(tell)
    os.read(told, 1)
    os.close(told)
    children.append(pid)
    return pid


def holder(name):
    def work(say):
        m = MailList.MailList(name, lock=0)
        m.Lock()
        say()
        while True:  # the lock is let go of when the object is
            time.sleep(3600)
    return child(work)


def waiter(name):
    """A process that wants the lock, and has its claim in the folder."""
    def work(say):
        say()
        m = MailList.MailList(name, lock=0)
        m.Lock()
        while True:
            time.sleep(3600)
    pid = child(work)
    deadline = time.time() + 10
    while not claims(name, pid):
        if time.time() > deadline:
            raise RuntimeError("no claim of process %d" % pid)
        time.sleep(0.005)
    return pid


def claims(name, pid):
    start = "%s.lock.%s.%d." % (name, HOST, pid)
    return [one for one in os.listdir(FOLDER) if one.startswith(start)]


def kill(pid, reap=True):
    os.kill(pid, signal.SIGKILL)
    if reap:
        os.waitpid(pid, 0)
        children.remove(pid)


def crafted(name, host, pid):
    """The files of a lock that a process has taken, without that process."""
    claim = "%s.lock.%s.%d.0" % (name, host, pid)
    write(claim, path(claim))
    expires = time.time() + mm_cfg.LIST_LOCK_LIFETIME
    os.utime(path(claim), (expires, expires))
    os.link(path(claim), path(name + ".lock"))
    return [name + ".lock", claim]


def nothing():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def reuse(name):
    """A lock whose holder's id another process has by now."""
    for _ in range(5):
        wanted = nothing() + 200
        files = crafted(name, HOST, wanted)
        time.sleep(1.0)
        while nothing() < wanted - 1:
            pass
        pid = child(lambda say: say())
        if pid == wanted:
            return files, pid
        kill(pid)
        for file in files:
            os.unlink(path(file))
    raise RuntimeError("process ids are not given out one after the other")


def set_up(name, kind):
    lock = name + ".lock"
    found = {"list": name, "kind": kind, "holder": None, "waiters": [], "gone": [], "kept": []}
    if kind in ("held", "stopped", "held, expired", "held, waiter dead", "held, waiter waits"):
        pid = found["holder"] = holder(name)
        if kind == "stopped":
            os.kill(pid, signal.SIGSTOP)
        elif kind == "held, expired":
            os.utime(path(lock), (time.time() - 5, time.time() - 5))
        elif kind == "held, waiter dead":
            dead = waiter(name)
            found["gone"] = claims(name, dead)
            kill(dead)
        elif kind == "held, waiter waits":
            found["waiters"] = [waiter(name)]
    elif kind in ("dead", "dead, expired", "zombie", "dead, waiter waits", "dead, waiter dead"):
        dead = holder(name)
        found["gone"] = claims(name, dead)
        if kind == "dead, waiter waits":
            found["waiters"] = [waiter(name)]
        elif kind == "dead, waiter dead":
            second = waiter(name)
            found["gone"] += claims(name, second)
            kill(second)
        if kind != "dead, waiter waits":
            found["gone"].append(lock)
        kill(dead, reap=kind != "zombie")
        if kind == "dead, expired":
            os.utime(path(lock), (time.time() - 5, time.time() - 5))
    elif kind == "claim of a dead waiter alone":
        first = holder(name)
        dead = waiter(name)
        found["gone"] = claims(name, dead)
        kill(dead)
        for file in claims(name, first) + [lock]:
            os.unlink(path(file))
        kill(first)
    elif kind == "process id reused":
        found["gone"], _ = reuse(name)
    elif kind == "foreign":
        found["kept"] = crafted(name, "elsewhere.example.org", nothing())
    elif kind == "a folder":
        os.mkdir(path(lock))
        found["kept"] = [lock]
    elif kind == "empty":
        write(lock, "")
        found["kept"] = [lock]
    elif kind == "a symbolic link":
        os.symlink("/etc/passwd", path(lock))
        found["kept"] = [lock]
    elif kind == "claim missing":
        write(lock, path("%s.%s.%d.0" % (lock, HOST, nothing())))
        found["gone"] = [lock]
    elif kind == "claim is another file":
        claim = "%s.%s.%d.0" % (lock, HOST, nothing())
        write(lock, path(claim))
        write(claim, path(claim))
        found["gone"] = [lock, claim]
    elif kind == "claim is another file, lock a link":
        claim = "%s.%s.%d.0" % (lock, HOST, nothing())
        write(claim, path(claim))
        os.symlink(claim, path(lock))
        found["kept"] = [lock, claim]
    else:
        raise ValueError(kind)
    return found


def shown(name):
    try:
        found = os.lstat(path(name))
    except OSError:
        return None
    kind = "%o" % (found.st_mode >> 12)
    content = None
    if kind == "10":
        try:
            with open(path(name)) as f:
                content = f.read()
        except EnvironmentError:
            return None
    return [kind, found.st_nlink, content]


def answer(value):
    print(json.dumps(value))
    sys.stdout.flush()


order = json.loads(sys.stdin.readline())
chance = random.Random(order["seed"])
situations = []
for name in order["lists"]:
    situations.append(set_up(name, chance.choice(order["kinds"])))
answer(situations)
for line in iter(sys.stdin.readline, ""):
    if line.strip() == "end":
        break
    listing = dict((name, shown(name)) for name in os.listdir(FOLDER))
    answer(dict((name, entry) for name, entry in listing.items() if entry))
for pid in children:
    os.kill(pid, signal.SIGKILL)
