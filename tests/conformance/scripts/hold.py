"""What a list's lock does to whoever wants it."""

from __future__ import print_function

import sys
import time

from Mailman.LockFile import AlreadyLockedError, NotLockedError, TimeOutError


def hold(m, seconds):
    """Hold the lock for a while; `held` is shown once it is had."""
    m.Lock()
    print("held")
    sys.stdout.flush()
    time.sleep(float(seconds))
    m.Unlock()


def timed(m, seconds):
    """Wait for the lock for so many seconds."""
    try:
        m.Lock(timeout=int(seconds))
    except TimeOutError:
        print("timed out")
    else:
        print("locked")
        m.Unlock()


def twice(m):
    """Lock a list that this process has locked; then look, unlock, and look again."""
    m.Lock()
    try:
        m.Lock()
        print("locked twice")
    except AlreadyLockedError:
        print("AlreadyLockedError")
    print(bool(m.Locked()))
    m.Unlock()
    print(bool(m.Locked()))


def save_unlocked(m):
    """Save without the lock."""
    try:
        m.Save()
        print("saved")
    except NotLockedError:
        print("NotLockedError")
