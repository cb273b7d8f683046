"""Locks between processes, and between hosts that share a folder: Mailman's protocol.

A process that wants the lock `alpha.lock` writes a *claim*, `alpha.lock.HOST.PID.SEQ`, whose
content is its own full path, and tries to hard-link it to `alpha.lock`. Whoever succeeds holds
the lock: two names of one inode. The modification time of that inode is the moment at which the
lock expires; CLOCK_SLOP seconds later anybody who waits may break it.
"""

import errno
import os
import time

from Mailman.Files import remove

DEFAULT_LOCK_LIFETIME = 15  # seconds
CLOCK_SLOP = 10  # seconds that the clocks of two hosts may differ

# How long a waiting process sleeps between two attempts, in seconds: not always the same, so
# that several that wait do not try in step.
SLEEP = (0.05, 0.25)


class LockError(Exception):
    """Anything that is wrong with a lock."""


class AlreadyLockedError(LockError):
    """This lock object holds the lock already."""


class NotLockedError(LockError):
    """This lock object does not hold the lock."""


class TimeOutError(LockError):
    """The lock was not to be had in the time that was given."""


class LockFile(object):
    """One process's wish for, or hold on, the lock `lockfile` (a full path).

    `lifetime` is in seconds. The claim of a lock with `sequence` ends in a number of its own, so
    that one process can claim the same lock several times. `withlogging` is ignored.
    """

    _next_sequence = 0

    def __init__(
        self, lockfile, lifetime=DEFAULT_LOCK_LIFETIME, withlogging=False, sequence=True
    ):
        self._lockfile = lockfile
        self._lifetime = lifetime
        self._claim = "%s.%s.%d" % (lockfile, os.uname()[1], os.getpid())
        if sequence:
            self._claim += ".%d" % LockFile._next_sequence
            LockFile._next_sequence += 1

    def __del__(self):
        # Whoever drops a lock object lets go of the lock.
        self.unlock(unconditionally=True)

    def __repr__(self):
        state = "locked" if self.locked() else "unlocked"
        return "<LockFile %s: %s [%s seconds]>" % (self._lockfile, state, self._lifetime)

    def lock(self, timeout=0):
        """Take the lock, waiting for it `timeout` seconds, or for as long as needed when 0.

        Raises AlreadyLockedError when this object holds it, TimeOutError when the time is over.
        Whose claim has been removed never gets the lock: OSError when the time is over.
        """
        if self.locked():
            raise AlreadyLockedError("We already had the lock")
        deadline = time.time() + timeout if timeout else None
        self._write_claim()
        self._expire_later(self._claim)
        while True:
            if self._link():
                self._expire_later(self._claim)
                return
            if deadline is not None and time.time() > deadline:
                os.unlink(self._claim)
                raise TimeOutError()
            self._break_if_expired()
            _sleep()

    def unlock(self, unconditionally=False):
        """Let go of the lock. Raises NotLockedError, unless `unconditionally`."""
        locked = self.locked()
        if not locked and not unconditionally:
            raise NotLockedError()
        # The lock before the claim: the other way round, a crash in between would leave a lock
        # that names a claim that is not there.
        if locked:
            remove(self._lockfile)
        remove(self._claim)

    def refresh(self, newlifetime=None, unconditionally=False):
        """Make the lock expire a full lifetime from now. Raises NotLockedError as `unlock`."""
        if newlifetime is not None:
            self._lifetime = newlifetime
        if not self.locked() and not unconditionally:
            raise NotLockedError()

    def locked(self):
        """Whether this object holds the lock; to ask makes it last a full lifetime from now.

        A lock with a third name, such as a copy made of links, is nobody's.
        """
        try:
            self._expire_later(self._claim)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            return False
        found = _stat(self._lockfile)
        return found is not None and found.st_nlink == 2 and self.holder() == self._claim

    def holder(self):
        """The full path of the claim that has the lock, or None."""
        try:
            with open(self._lockfile) as file:
                return file.read()
        except (IOError, OSError) as error:
            if error.errno != errno.ENOENT:
                raise
            return None

    def _write_claim(self):
        umask = os.umask(0o002)
        try:
            with open(self._claim, "w") as file:
                file.write(self._claim)
        finally:
            os.umask(umask)

    def _expire_later(self, path):
        expiry = time.time() + self._lifetime
        try:
            os.utime(path, (expiry, expiry))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _link(self):
        try:
            os.link(self._claim, self._lockfile)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOENT):
                raise
            return False
        return True

    def _break_if_expired(self):
        found = _stat(self._lockfile)
        # As in GNU Mailman, a lock that has just been let go counts as expired, and nobody looks
        # again: whoever takes it in this moment loses it, and hears of that when it saves.
        if found is not None and found.st_mtime + CLOCK_SLOP >= time.time():
            return
        # Into the future first, so that hardly anybody else breaks it too.
        self._expire_later(self._lockfile)
        claim = self.holder()
        remove(self._lockfile)
        if claim and os.path.dirname(claim) == os.path.dirname(self._lockfile):
            remove(claim)


def _sleep():
    # Only here: whoever need not wait does not pay for it.
    import random

    time.sleep(random.uniform(*SLEEP))


def _stat(path):
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return None
