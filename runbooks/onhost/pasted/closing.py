"""Close lists to subscription for the length of an attack, and open them again.

    withlist -q -a -r closing.close         every list of the site
    withlist -q -a -r closing.reopen        as they were before
    withlist -q -a -r closing.status        which are closed
    withlist -q -r closing.close LIST       one list

A list that is closed has its administrator approve each subscription. Nobody is asked to
confirm one, so that the attacker's requests are written to nobody. What the list did before
is kept with the list itself: closing it twice does not lose it.

Do not use withlist's -l: the functions lock a list themselves, and wait ten seconds for a
lock at most. Works with Mailman 2.1 (Python 2) and 2.2 (Python 3).
"""
from __future__ import print_function

import os

from Mailman import Errors, LockFile

APPROVAL = 2  # subscribe_policy: 1 is confirmation, 2 approval, 3 both
KEPT = "subscribe_policy_before_closing"


def close(m):
    change(m, closed)


def reopen(m):
    change(m, opened)


def status(m):
    if m is None:  # withlist has said which list it does not know
        return
    if KEPT in vars(m):
        print("%s: closed (subscribe_policy %s, before %s)" % (
            m.internal_name(), m.subscribe_policy, vars(m)[KEPT]))
    else:
        print("%s: open (subscribe_policy %s)" % (m.internal_name(), m.subscribe_policy))


def closed(m):
    if KEPT in vars(m):
        return None
    setattr(m, KEPT, m.subscribe_policy)
    m.subscribe_policy = APPROVAL
    return "closed"


def opened(m):
    if KEPT not in vars(m):
        return None
    before = vars(m).pop(KEPT)
    if m.subscribe_policy != APPROVAL:
        return "open, and left as somebody set it since"
    m.subscribe_policy = before
    return "open again"


def change(m, edit):
    if m is None:
        return
    try:
        m.Lock(timeout=10.0)
        said = edit(m)
        if said:
            m.Save()
    except (LockFile.TimeOutError, LockFile.NotLockedError):
        said = "locked by another process, not changed"
    except (Errors.MMUnknownListError, EnvironmentError):
        if os.path.exists(m.fullpath()):
            raise
        said = "removed by another process, not changed"
    finally:
        m.Unlock()
    print("%s: %s" % (m.internal_name(), said or "nothing to do"))
