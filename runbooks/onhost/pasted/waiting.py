"""Discard the subscriptions of an address that wait for a confirmation, or for a moderator.

    withlist -q -a -r waiting.discard ADDRESS ...    on every list of the site
    withlist -q -a -r waiting ADDRESS ...            see what waits; changes nothing
    withlist -q -a -r waiting.who                    see whose wait; changes nothing
    withlist -q -r waiting.discard LIST ADDRESS ...  on one list

Nobody is told, as when a moderator discards a request. Members stay: Mailman's remove_members
removes those.

Do not use withlist's -l: the functions lock a list themselves, and wait ten seconds for a
lock at most. Works with Mailman 2.1 (Python 2) and 2.2 (Python 3).
"""
from __future__ import print_function

import errno
import os
import sys

from Mailman import Errors, LockFile, mm_cfg

try:
    import cPickle as pickle
except ImportError:
    import pickle

# The files in a list's folder, and what Mailman calls the entries that would subscribe somebody.
PENDING, REQUESTS = "pending.pck", "request.pck"
SUBSCRIPTION, CHANGE_OF_ADDRESS = "S", "C"  # in the first
HELD_SUBSCRIPTION = 2  # in the second


def waiting(m, *addresses):
    if m is not None:  # withlist has said which list it does not know
        pending, requests = read(m, PENDING), read(m, REQUESTS)
        say(m, "wait", confirmations(pending, addresses), held(requests, addresses))


def who(m):
    if m is not None:
        everybody = [address for _, address in to_confirm(read(m, PENDING))]
        everybody += [address for _, address in to_decide(read(m, REQUESTS))]
        names = sorted(set(address.lower() for address in everybody))
        print("%s: %s" % (m.internal_name(), ", ".join(names) or "nobody"))


def discard(m, *addresses):
    if m is None:
        return
    try:
        m.Lock(timeout=10.0)
        pending = read(m, PENDING)
        cookies = confirmations(pending, addresses)
        numbers = held(read(m, REQUESTS), addresses)
        if numbers:
            for number in numbers:
                m.HandleRequest(number, mm_cfg.DISCARD)
            m.Save()
        if cookies:
            forget(m, pending, cookies)
        say(m, "discarded", cookies, numbers)
    except (LockFile.TimeOutError, LockFile.NotLockedError):
        print("%s: locked by another process, nothing discarded" % m.internal_name())
    except (Errors.MMUnknownListError, EnvironmentError):
        if os.path.exists(m.fullpath()):
            raise
        print("%s: removed by another process, nothing discarded" % m.internal_name())
    finally:
        m.Unlock()


def say(m, what, cookies, numbers):
    print("%s: %s" % (m.internal_name(), "nothing waits" if not (cookies or numbers) else
                      "%s %s" % (counted(len(cookies), len(numbers)), what)))


def counted(confirmations, requests):
    """As in "1 confirmation and 2 held requests"."""
    parts = [(confirmations, "confirmation"), (requests, "held request")]
    return " and ".join("%d %s%s" % (number, noun, "" if number == 1 else "s")
                        for number, noun in parts if number)


# -- what waits -----------------------------------------------------------------------------


def confirmations(pending, addresses):
    """The keys of confirmations that would make a member of one of the addresses."""
    keys = lowered(addresses)
    return sorted(cookie for cookie, address in to_confirm(pending) if address.lower() in keys)


def to_confirm(pending):
    """(key, whom it would make a member) of each confirmation that would."""
    for cookie, entry in pending.items():
        if cookie not in ("evictions", "version"):
            if entry[0] == SUBSCRIPTION:
                yield cookie, entry[1].address
            elif entry[0] == CHANGE_OF_ADDRESS:  # from the first to the second
                yield cookie, entry[2]


def held(requests, addresses):
    """The numbers of requests to subscribe one of the addresses that a moderator has to decide."""
    keys = lowered(addresses)
    return sorted(number for number, address in to_decide(requests) if address.lower() in keys)


def to_decide(requests):
    """(number, who) of each request to subscribe that a moderator has to decide."""
    for number, entry in requests.items():
        if entry[0] == HELD_SUBSCRIPTION:
            yield number, entry[1][1]


def lowered(addresses):
    return set(address.lower() for address in addresses)


# -- the files ------------------------------------------------------------------------------


def read(m, name):
    try:
        with open(os.path.join(m.fullpath(), name), "rb") as f:
            data = f.read()
    except IOError as e:
        if e.errno != errno.ENOENT:
            raise
        return {}
    if sys.version_info[0] == 2:
        return pickle.loads(data)
    try:
        return pickle.loads(data, encoding="utf-8")
    except UnicodeDecodeError:  # Python 2 wrote it
        return pickle.loads(data, encoding="latin1")


def forget(m, pending, cookies):
    """Remove confirmations. Mailman's own pend_confirm() writes the file anew for each of them."""
    for cookie in cookies:
        del pending[cookie]
        pending["evictions"].pop(cookie, None)
    write(m, PENDING, pending)


def write(m, name, content, *protocol):
    """Write a file as Mailman does. The list is locked."""
    path = os.path.join(m.fullpath(), name)
    temporary = "%s.tmp.%d" % (path, os.getpid())
    umask = os.umask(0o007)
    try:
        with open(temporary, "wb") as f:
            pickle.dump(content, f, *protocol)
            f.flush()
            os.fsync(f.fileno())
        os.rename(temporary, path)
    except EnvironmentError:  # the disk is full
        os.unlink(temporary)
        raise
    finally:
        os.umask(umask)
