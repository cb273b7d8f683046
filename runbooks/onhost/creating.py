# Has Mailman's newlist make a list, and finds out whether this run has made it.
#
# Python 2.7 and 3, standard library alone; as Mailman's user.
from __future__ import print_function

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time

import listing
import locks

# Seconds after which a newlist that waits for no lock is stuck, in the mail server's program, say.
LONGEST = 300
# Seconds between two looks, and for newlist to end when it is asked to.
PAUSE = 0.1
ENDING = 2
# Mailman's lock for the aliases files. newlist waits for it without a limit.
ALIASES_LOCK = "creator"


class Newlist(object):
    """One call of newlist. `lists`: the site's, a mailmanlist.Lists; `folder`: the journal's."""

    def __init__(self, lists, folder, name):
        self.lists, self.folder, self.name = lists, folder, name
        self.lock_dir = lists.site["lock_dir"]

    def create(self, admin, options, password, patience):
        """(whether this run made the list, what is wrong or "").

        `patience`: seconds for a lock that others hold. Raises EnvironmentError.
        """
        # Of two newlists with the same name, Mailman lets both make the list; the last one wins.
        with alone(self.folder):
            if self.is_there():
                return False, "it is there already"
            status, said, waited_for = self.run(admin, options, password, patience)
            if not self.is_there():
                return False, waited_for or "newlist: %s" % said
            m, _ = self.lists.read(self.name)
            if m.password != hashlib.sha1(password).hexdigest() or admin not in m.owner:
                return False, "somebody else made it in the same moment"
        if waited_for:
            return True, "%s; the list is there, its mail aliases may not be" % waited_for
        if status:
            return True, ("newlist made the list and ended with status %d: %s; its mail aliases"
                          " may not be there" % (status, said))
        return True, ""

    def is_there(self):
        return self.name in listing.names(self.lists.site)

    def run(self, admin, options, password, patience):
        """(its exit status, the last line that it printed, why it was ended or "")."""
        program = os.path.join(self.lists.site["bin"], "newlist")
        with tempfile.TemporaryFile() as output:
            # Without a terminal, as here, it reads the password from its input.
            child = subprocess.Popen(
                [program, "-q"] + options + [self.name, admin], stdin=subprocess.PIPE,
                stdout=output, stderr=subprocess.STDOUT, close_fds=True)
            try:
                child.stdin.write(password + b"\n")
                child.stdin.close()
            except EnvironmentError as e:
                if e.errno != errno.EPIPE:  # it has ended, and what it printed says why
                    raise
            waited_for = self.wait(child, patience)
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = (lines[-1] if lines else u"it said nothing").encode("ascii", "backslashreplace")
        return child.returncode, last.decode("ascii"), waited_for

    def wait(self, child, patience):
        """Wait until newlist ends; if it had to be ended, why, else ""."""
        began, since, lock = time.time(), None, None
        while child.poll() is None:
            now, time_is = self.others_lock(child.pid), time.time()
            if now != lock:
                since, lock = time_is, now
            if lock is not None and time_is - since >= patience:
                self.end(child)
                return "newlist was ended after %g seconds: it waited for the lock %s, %s" % (
                    patience, os.path.join(self.lock_dir, lock[0]), holder(lock[1]))
            if time_is - began >= LONGEST:
                self.end(child)
                return "newlist was ended after %d seconds: it did not come to its end" % LONGEST
            time.sleep(PAUSE)
        return ""

    def others_lock(self, pid):
        """(name, the claim that it names) of a lock that newlist may be waiting for, or None."""
        for name in (self.name + ".lock", ALIASES_LOCK):
            entry = locks.look(locks.as_bytes(self.lock_dir), locks.as_bytes(name))
            if entry and pid not in locks.pids_in(entry):
                return name, locks.base(entry)
        return None

    def end(self, child):
        """End newlist, and remove the claim with which it waited: nobody else would."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if child.poll() is None:  # Python 2 signals whoever has the id of one that has ended
                child.send_signal(number)
            until = time.time() + ENDING
            while child.poll() is None and time.time() < until:
                time.sleep(PAUSE)
        own = ".%s.%d." % (socket.gethostname(), child.pid)
        for name in os.listdir(self.lock_dir):
            if own in name and name.startswith((self.name + ".lock.", ALIASES_LOCK + ".")):
                try:
                    os.unlink(os.path.join(self.lock_dir, name))
                except OSError as e:
                    if e.errno != errno.ENOENT:  # clear-lock has removed it just now
                        raise


def holder(claim):
    """Who has a lock: LOCK.HOST.PID.NUMBER is the claim that it names."""
    place, _, pid = claim.rpartition(".")[0].rpartition(".")
    if not locks.PID.match(pid):
        return "which does not say who has it"
    pid = int(pid)
    if not place.endswith("." + socket.gethostname()):
        return "which names process %d of another host (%s)" % (pid, claim)
    if locks.ended(locks.process(pid)):
        return "whose process %d no longer runs" % pid
    return "which process %d has" % pid


@contextlib.contextmanager
def alone(folder):
    """Let only one of our runs at a time into the block."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
