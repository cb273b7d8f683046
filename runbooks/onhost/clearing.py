# What `runbook locks` and `runbook clear-lock` do on the host: look, remove, see who is next.
#
# Python 2.7 and 3, standard library alone. The other side has decided what may be removed, from
# what was seen; locks.py makes sure that nothing else is. This program keeps the record of the
# run, puts things in order, and looks again afterwards.
#
# The lock of a list that no longer exists can be in the way too: rmlist does not ask who holds it.
#
# Besides locks, it removes what interrupted saves have left in the folders of lists. A process
# that is gone never completes its save, so no lock is needed to remove the file. Whether the
# process is gone is checked again immediately before.
from __future__ import print_function

import errno
import os
import signal
import stat
import time

import listing
import locks

# Seconds in which a process that was waiting for a lock should take it. Mailman sleeps for up
# to two seconds between two tries.
PATIENCE = 5.0
# Seconds between two looks at who took it.
INTERVAL = 0.02


def names_of_lists(site):
    """The names of all lists, and why they cannot be read or None."""
    try:
        return listing.names(site), None
    except OSError as e:
        return [], "%s: %s" % (site["list_dir"], os.strerror(e.errno))


def working(site, pids):
    """The `pids` in use, here or in a container that has the site's lists."""
    here = set(pid for pid in pids if not locks.ended(locks.process(pid)))
    found = os.stat(locks.as_bytes(site["list_dir"]))
    path = locks.as_bytes(site["list_dir"])
    there = locks.namesakes(pids - here, [((found.st_dev, found.st_ino), path)])
    return here | set(there)


def saves(site, host):
    """The interrupted saves of `host` in all lists' folders, and what could not be read or None."""
    folder, found, error = locks.as_bytes(site["list_dir"]), [], None
    try:
        for name in sorted(os.listdir(folder)):
            text, exact = locks.as_text(name)
            try:
                for file, pid in locks.unfinished(os.path.join(folder, name), host):
                    status = os.lstat(os.path.join(folder, name, file))
                    if exact and stat.S_ISREG(status.st_mode):
                        found.append({
                            "list": text, "name": locks.as_text(file)[0], "host": host, "pid": pid,
                            "inode": status.st_ino, "device": status.st_dev,
                            "size": status.st_size,
                            "ctime_ns": locks.nanoseconds(status, "ctime")})
            except OSError as e:
                # It is not a folder, or it or the save has just gone.
                if e.errno not in (errno.ENOTDIR, errno.ENOENT):
                    error = "%s: %s" % (e.filename, os.strerror(e.errno))
        busy = working(site, set(one["pid"] for one in found)) if found else ()
    except OSError as e:
        return [], "%s: %s" % (site["list_dir"], os.strerror(e.errno))
    return [one for one in found if one["pid"] not in busy], error


def remove_save(site, order):
    """Remove an interrupted save, if it is still the same. `result` and why."""
    folder = os.path.join(locks.as_bytes(site["list_dir"]), locks.as_bytes(order["list"]))
    name = locks.as_bytes(order["name"])
    if "/" in order["list"]:
        return "refused", "%s is not a list" % order["list"]
    try:
        if name not in [one for one, _ in locks.unfinished(folder, order["host"])]:
            return "gone", "it is no longer there"
        path = os.path.join(folder, name)
        status = os.lstat(path)
        now = (status.st_ino, status.st_dev, locks.nanoseconds(status, "ctime"))
        if now != (order["inode"], order["device"], order["ctime_ns"]):
            return "changed", "it was written meanwhile"
        if working(site, set([order["pid"]])):
            return "changed", "a process %d runs now" % order["pid"]
        os.unlink(path)
    except EnvironmentError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR):
            return "gone", "it is no longer there"
        return "failed", os.strerror(e.errno)
    return ("failed", "it is still there") if os.path.lexists(path) else ("removed", None)


def moment(ns):
    return None if ns is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // 10 ** 9))


def observe(site, emit, event, **more):
    emit(dict(more, event=event, site=site["name"],
              observation=locks.observe(site["lock_dir"], site["lock_lifetime"])))


def look(parameters, emit):
    for site in parameters["sites"]:
        observe(site, emit, "locks")
        if parameters["with_lists"]:
            names, error = names_of_lists(site)
            emit({"event": "lists", "site": site["name"], "names": names, "error": error})
        if parameters["saves_of"] is not None:
            found, error = saves(site, parameters["saves_of"])
            emit({"event": "saves", "site": site["name"], "saves": found, "error": error})


def outcome_of(result):
    return {"removed": "cleared"}.get(result, result)


class Clearing(object):
    """One run: it records what it removes, and knows whether it was asked to stop."""

    def __init__(self, parameters, emit):
        self.parameters = parameters
        self.emit = emit
        self.record = None
        self.stopped = False

    def stop(self, signum, frame):
        self.stopped = True

    def stopping(self):
        self.stopped = self.stopped or self.emit.stopping()
        return self.stopped

    def begin(self):
        """Begin the record; whether the run may go on."""
        import journal
        try:
            self.record = journal.begin(self.parameters["journal"], self.emit)
        except journal.JournalError as e:
            self.emit({"event": "unrecorded", "why": str(e), "begun": False})
            return False
        return True

    def recorded(self, step, *arguments, **kept):
        """Take a step in the record; whether that worked. If not, nothing more is begun."""
        if self.record is None:
            return False
        try:
            getattr(self.record, step)(*arguments, **kept)
            return True
        except Exception as e:
            self.record, self.stopped = None, True
            self.emit({"event": "unrecorded", "why": str(e), "begun": True})
            return False

    def run(self):
        if not self.begin():
            return
        waited_for = []
        for site in self.parameters["sites"]:
            waited_for += [(site, order) for order in self.remove(site)]
            self.remove_saves(site)
        self.recorded("end", "interrupted" if self.stopped else "done")
        self.follow(waited_for)
        for site in self.parameters["sites"]:
            observe(site, self.emit, "after")
        if self.stopped:
            self.emit({"event": "stopped"})

    def remove(self, site):
        """Remove locks from one folder; the orders that were carried out and have waiters."""
        def key(order):
            return [locks.as_bytes(name) for name in order["files"]]

        # In the order in which locks.remove() would take all of them.
        rest = sorted(site["locks"], key=key)
        freed = []
        while rest and not self.stopping():
            batch, rest = rest[:locks.AT_A_TIME], rest[locks.AT_A_TIME:]
            for order in batch:
                self.recorded("begin_list", site["name"], order["label"])
            if not self.recorded("flush"):
                break
            # The answers come in the same order.
            for order, answer in zip(batch, locks.remove(site["lock_dir"], batch)):
                self.note(site, order, answer)
                self.emit(dict(answer, event="removal", site=site["name"], label=order["label"]))
                if answer["result"] == "removed" and order["waiters"]:
                    freed.append(order)
            self.recorded("flush")
        return freed

    def remove_saves(self, site):
        for order in site["saves"]:
            if self.stopping():
                break
            self.recorded("begin_list", site["name"], order["label"])
            if not self.recorded("flush"):
                break
            result, reason = remove_save(site, order)
            self.recorded("done", site["name"], order["label"], outcome_of(result), reason or "",
                          bytes=order["size"])
            self.emit({"event": "removal", "site": site["name"], "label": order["label"],
                       "files": [order["label"]], "result": result, "reason": reason})
        self.recorded("flush")

    def note(self, site, order, answer):
        """Record what was there and what became of it."""
        self.recorded(
            "done", site["name"], order["label"], outcome_of(answer["result"]),
            answer["reason"] or "",
            files=answer["removed"] or answer["files"], content=answer["content"],
            inode=answer["inode"], owner=answer["uid"], taken=moment(answer["ctime_ns"]),
            expires=moment(answer["mtime_ns"]), evidence=order["evidence"])

    def follow(self, waited_for):
        """See which of the waiting processes takes each lock."""
        deadline = time.time() + PATIENCE
        while waited_for and time.time() < deadline and not self.stopping():
            taken = {}
            still = []
            for site, order in waited_for:
                def there(name):
                    return os.path.lexists(os.path.join(site["lock_dir"], name))

                if there(order["lock"]):
                    taken.setdefault(site["name"], (site, []))[1].append(order["lock"])
                elif any(there(name) for name in order["waiters"]):
                    still.append((site, order))
            for site, names in taken.values():
                observe(site, self.emit, "taken", locks=names)
            waited_for = still
            locks.pause(INTERVAL)


def run(parameters, emit):
    """`action`: "look" or "clear". A site: "name", "lock_dir", "lock_lifetime", "list_dir",
    "name_characters".

    look   events "locks" with an observation, and with `with_lists` "lists" with the names, and
           with `saves_of`, a host, "saves" that its processes did not complete
    clear  a site's "locks" are orders for locks.remove(), with "label" (for the record),
           "waiters" (names of claims) and "evidence" (for the record). Events "removal" for each,
           "taken" when one that waited has a lock, "after" with an observation for each site.
           Its "saves" are orders as a look found them, with "label"
    """
    if parameters["action"] == "look":
        return look(parameters, emit)
    work = Clearing(parameters, emit)
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, work.stop)
    return work.run()
