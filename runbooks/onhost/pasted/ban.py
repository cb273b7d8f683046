"""Ban addresses from a list, lift the bans, or ask who refuses them. For Mailman's withlist:

    withlist -q -a -r ban ADDRESS...          every list of the site
    withlist -q -r ban LIST ADDRESS...        one list
    withlist -q -a -r ban.unban ADDRESS...    lift them
    withlist -q -a -r ban.banned ADDRESS...   ask every list

Do not use withlist's -l: the functions lock a list themselves, and wait ten seconds
for a lock at most (a number of seconds among the addresses changes that). Works with
Mailman 2.1 (Python 2) and 2.2 (Python 3).
"""
from __future__ import print_function

import os
import re
import socket
import sys

from Mailman import Errors, LockFile, MailList, Utils

TIMEOUT = 10.0  # seconds


def ban(m, *words):
    tell(m, words, lambda addresses, timeout: change(m, add, addresses, timeout))


def unban(m, *words):
    tell(m, words, lambda addresses, timeout: change(m, remove, addresses, timeout))


def banned(m, *words):
    tell(m, words, lambda addresses, timeout: [ask(m, address) for address in addresses])


def tell(m, words, do):
    """Do it, and say what happened to the list: a line for each address, or one for all."""
    numbers = [word for word in words if re.match(r"[0-9]+([.][0-9]+)?(e-[0-9]+)?$", word)]
    addresses = [word for word in words if word not in numbers]
    if not addresses:
        sys.exit("Nothing was done: no address was given")
    if m is None:  # withlist has said which list it does not know
        if not visiting_all:
            sys.exit(1)
        return
    for outcome, detail in do(addresses, float(numbers[0]) if numbers else TIMEOUT):
        say("%s: %s%s" % (m.internal_name(), outcome, " " + detail if detail else ""))


def say(line):
    # Python 2 has text, where an entry came as such, and cannot print all of it.
    print(line if isinstance(line, str) else line.encode("utf-8"))
    sys.stdout.flush()


def ask(m, address):
    entry = refused_by(m, address)
    if entry is None:
        return "accepts", address
    return "refuses", "%s (matched %s)" % (address, entry)


def refused_by(m, address):
    """The entry by which the list refuses the address (a pattern: by itself), or None.

    What an entry matches is Mailman's to say, not ours.
    """
    if address.startswith("^"):
        return address if address in m.ban_list else None
    return m.GetBannedPattern(address)


def add(m, address):
    if refused_by(m, address) is not None:
        return "already"
    m.ban_list.append(address)
    return "banned"


def remove(m, address):
    kept = [entry for entry in m.ban_list if not same(entry, address)]
    if len(kept) == len(m.ban_list):
        return "absent"
    m.ban_list = kept
    return "unbanned"


def same(entry, address):
    """Whether the entry is this address, as Mailman compares them; a pattern, to the letter."""
    if address.startswith("^"):
        return entry == address
    return entry.strip().lower() == address.strip().lower()


def change(m, edit, addresses, timeout):
    """Lock the list, edit it, save it once if that changed it: the outcomes, with details."""
    try:
        m.Lock(timeout=timeout)
        outcomes = [edit(m, address) for address in addresses]
        if "banned" in outcomes or "unbanned" in outcomes:
            m.Save()
    except (LockFile.TimeOutError, LockFile.NotLockedError):
        return [("locked", "by another process, not changed")]
    except LockFile.AlreadyLockedError:
        return [("error", "not changed: do not use withlist -l")]
    except Errors.MMCorruptListDatabaseError as e:
        return [("corrupt", "not changed: %s" % e)]
    except (Errors.MMUnknownListError, EnvironmentError) as e:
        if not os.path.exists(m.fullpath()):
            return [("removed", "by another process, not changed")]
        return [("error", "not changed: %s" % e)]
    finally:
        let_go(m)
    if len(addresses) == 1:  # it needs not be named again
        return [(outcomes[0], "")]
    return list(zip(outcomes, addresses))


def let_go(m):
    """Unlock the list, and leave nothing of a claim or a save that did not come to its end."""
    m.Unlock()
    unfinished = "config.pck.tmp.%s.%d" % (socket.gethostname(), os.getpid())
    if os.path.exists(os.path.join(m.fullpath(), unfinished)):
        os.unlink(os.path.join(m.fullpath(), unfinished))


visiting_all = []


def only_loadable(names):
    """The lists that load, in order; the others are named.

    ``withlist -a`` ends at the first list that does not load, and never comes to the
    lists after it. It takes the names of the lists from Utils.list_names().
    """
    visiting_all.append(True)
    for name in sorted(names()):
        try:
            MailList.MailList(name, lock=0)
        except Errors.MMCorruptListDatabaseError as e:
            say("%s: corrupt, not changed: %s" % (name, e))
        except EnvironmentError as e:
            say("%s: error, not changed: %s" % (name, e))
        except Errors.MMUnknownListError:
            pass  # removed just now
        else:
            yield name


if os.path.basename(sys.argv[0]) == "withlist":
    Utils.list_names = lambda names=Utils.list_names: only_loadable(names)
