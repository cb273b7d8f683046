"""Ban from a new list what every other list of its site bans. For Mailman's withlist:

    withlist -q -r catch_up LIST             ban it
    withlist -q -r catch_up.missing LIST     only show it

Do not use withlist's -l: the function locks the list itself, and waits ten seconds at
most. Works with Mailman 2.1 (Python 2) and 2.2 (Python 3).
"""
from __future__ import print_function

import os
import sys

from Mailman import Errors, LockFile, MailList, Utils

# Seconds. Lists that are made in one go do not have the bans either.
TOGETHER = 24 * 60 * 60


def catch_up(m, timeout=10):
    others = ban_lists_but(m)
    try:
        m.Lock(timeout=float(timeout))
        found = lacking(m, others)
        if found:
            m.ban_list.extend(found)
            m.Save()
        tell(m, "banned " + " ".join(found) if found else "nothing to ban")
    except (LockFile.TimeOutError, LockFile.NotLockedError):
        tell(m, "locked by another process, not changed")
    except (Errors.MMUnknownListError, EnvironmentError):
        if os.path.exists(m.fullpath()):
            raise
        tell(m, "removed by another process, not changed")
    finally:
        m.Unlock()


def missing(m):
    tell(m, "lacks " + (" ".join(lacking(m, ban_lists_but(m))) or "nothing"))


def tell(m, text):
    print("%s: %s" % (m.internal_name(), text))


def ban_lists_but(m):
    """The ban lists of all other lists of the site, but for those that are as new."""
    if m is None:  # withlist has said which list it does not know
        sys.exit(1)
    found = []
    for name in sorted(Utils.list_names()):
        if name != m.internal_name():
            try:
                other = MailList.MailList(name, lock=0)
            except Errors.MMCorruptListDatabaseError as e:
                print("%s: corrupt, left out: %s" % (name, e))
                continue
            except Errors.MMUnknownListError:
                continue  # removed just now
            if not is_as_new(other, m):
                found.append(list(other.ban_list))
    return found


def is_as_new(other, m):
    """Whether a list bans nobody and is not much older: it says nothing about bans, then."""
    return not other.ban_list and other.created_at > m.created_at - TOGETHER


def lacking(m, others):
    """The entries of other ban lists that every one of them refuses, and this list does not.

    What an entry matches is Mailman's to say, not ours.
    """
    own, found, seen = list(m.ban_list), [], set()
    sets = [(bans, set(bans)) for bans in others]

    def refuses(bans, known, entry):
        if entry in known:
            return True
        if entry.startswith("^"):
            return False
        m.ban_list = bans
        return m.GetBannedPattern(entry.strip()) is not None

    try:
        for bans in others:
            for entry in bans:
                if entry not in seen:
                    seen.add(entry)
                    if (all(refuses(bans, known, entry) for bans, known in sets)
                            and not refuses(own + found, own + found, entry)):
                        found.append(entry)
    finally:
        m.ban_list = own
    return found
