# A list of the site: read as it is on the disk, edited under its lock, read back.
#
# Python 2.7 and 3, standard library alone. Mailman's classes are used as Mailman's own
# programs use them: made, locked, loaded, saved, unlocked, their attributes read and set.
# MailList cannot be subclassed (recording `python_interface`).
#
# Mailman's own loading is no way to look: it repairs a damaged state, and brings an old
# one up to date, on the disk and behind whatever holds the list's lock.
from __future__ import print_function

import contextlib
import errno
import marshal
import os
import pickle
import re
import signal
import socket
import sys

import locks
import opening

PYTHON2 = sys.version_info[0] == 2
# Where Mailman looks for a list's state, in its order. The last two are Mailman 2.0's.
STATE, STATE_BEFORE = "config.pck", "config.pck.last"
STATES = (STATE, STATE_BEFORE, "config.db", "config.db.last")
# Bytes that a state may have: that of a list with a million members is smaller.
LARGEST = 1 << 30
# Seconds for a lock that appears while a list is taken up for the first time, or that
# is tried after the time for waiting is over.
BRIEFLY = 0.5
# Seconds in which a list's patterns must be matched with an address, or a pattern with all
# of a list's members. Mailman itself has no limit, and would hang.
PATIENCE = 5


class Gone(Exception):
    """There is no such list."""


class Corrupt(Exception):
    """The state of the list does not load."""


class NotSaved(Exception):
    """Read again, a list is not what was saved."""


class NotText(Exception):
    """A ban list has an entry on which Mailman itself fails."""


class TooSlow(Exception):
    """A pattern takes so long to match that it would hold up Mailman."""


# -- what is on the disk ----------------------------------------------------------------------


def names(site):
    """The names of a site's lists: those of Utils.list_names(), without Mailman, in order."""
    name_of_list = re.compile("(?:%s)+\\Z" % site["name_characters"])
    return sorted(name for name in os.listdir(site["list_dir"]) if name_of_list.match(name) and any(
        os.path.exists(os.path.join(site["list_dir"], name, state)) for state in STATES))


def unpickled(data):
    """The state in the bytes of a config.pck. Raises whatever a damaged pickle raises."""
    if PYTHON2:
        import cPickle
        state = cPickle.loads(data)
    else:
        try:
            state = pickle.loads(data, fix_imports=True, encoding="utf-8")
        except UnicodeDecodeError:  # Python 2 kept bytes; Mailman 2.2 tries these two first
            state = pickle.loads(data, fix_imports=True, encoding="latin1")
    if not isinstance(state, dict):
        raise ValueError("it holds no list")
    return state


def read_state(folder):
    """(the state of a list, what is wrong with it or ""). Raises Gone, Corrupt."""
    problems = []
    for name in STATES:
        try:
            data = opening.read(os.path.join(folder, name), LARGEST)
        except EnvironmentError as e:
            if e.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            problems.append((name, "missing"))
            continue
        try:
            state = unpickled(data) if name in (STATE, STATE_BEFORE) else of_mailman_20(data)
        except Exception as e:  # a damaged pickle can raise anything
            problems.append((name, "damaged (%s)" % (str(e) or type(e).__name__)))
            continue
        if "data_version" not in state:
            problems.append((name, "damaged (it holds no list)"))
            continue
        return state, note_on(name, problems)
    if all(problem == "missing" for _, problem in problems):
        raise Gone("there is no such list any more")
    raise Corrupt("its state does not load: "
                  + ", ".join("%s is %s" % pair for pair in problems[:2]))


def note_on(name, problems):
    """What is to be said of a state that is not in config.pck, or ""."""
    if name == STATE:
        return ""
    if name == STATE_BEFORE:
        return ("%s is %s; Mailman goes back to config.pck.last when it next loads the list"
                % problems[0])
    return "it is a list of Mailman 2.0 (%s), which Mailman has yet to convert" % name


def of_mailman_20(data):
    state = marshal.loads(data)
    if not isinstance(state, dict):
        raise ValueError("it holds no list")
    if not PYTHON2 and b"data_version" in state:
        # Mailman 2.2 does not find its own attributes in it.
        raise ValueError("Mailman under Python 3 cannot read it")
    return state


# -- a list, with Mailman at hand -------------------------------------------------------------


class Lists(object):
    """The lists of a site. One for each process, once Mailman can be imported."""

    def __init__(self, site):
        from Mailman import Errors, LockFile, MailList, mm_cfg
        self.site = site
        self.settings, self.errors = mm_cfg, Errors
        self.timed_out = LockFile.TimeOutError
        self.new_list, self.new_lock = MailList.MailList, LockFile.LockFile
        # What a state of an old Mailman lacks, and Mailman puts in when it loads it.
        self.defaults = {"ban_list": [], "owner": [], "moderator": [], "description": "",
                         "preferred_language": mm_cfg.DEFAULT_SERVER_LANGUAGE, "created_at": 0}
        signal.signal(signal.SIGALRM, give_up)

    def empty(self, name):
        """The list, with its lock at hand, and nothing loaded yet: Lock() does that."""
        m = self.new_list()  # with a name, it would load at once
        m.InitTempVars(name)
        extension = os.path.join(m.fullpath(), "extend.py")
        if os.path.exists(extension):  # the site's own, which Mailman runs for each list
            space = {}
            with open(extension) as f:
                exec(compile(f.read(), extension, "exec"), space)
            if "extend" in space:
                space["extend"](m)
        return m

    def read(self, name):
        """(the list as it is on the disk, what is wrong with its state or "").

        Nothing is repaired or converted. Raises Gone, Corrupt, EnvironmentError.
        """
        m = self.empty(name)
        state, note = read_state(m.fullpath())
        for key in self.defaults:
            state.setdefault(key, self.defaults[key])
        vars(m).update(state)
        return m, note

    def read_back(self, name):
        """The list as it is on the disk after a save. Raises NotSaved when that is no state."""
        m, note = self.read(name)
        if note:
            raise NotSaved("saved, but " + note)
        return m

    @contextlib.contextmanager
    def locked(self, name, wait):
        """The list, locked and loaded; let go of at the end, whatever happens.

        `wait`: seconds. Raises LockFile.TimeOutError (`timed_out`) when others hold it for
        longer, Gone, Corrupt, EnvironmentError.
        """
        m = self.empty(name)
        for state in STATES:  # Mailman would wait for a FIFO, with the list locked
            opening.refuse_odd(os.path.join(m.fullpath(), state))
        try:
            self.lock(m, wait)
            clear_unfinished(m.fullpath())
            yield m
        finally:
            let_go(m)
            forget(m)

    def lock(self, m, wait):
        try:
            m.Lock(timeout=float(wait or BRIEFLY))
        except self.errors.MMUnknownListError:
            raise Gone("there is no such list any more")
        except (self.timed_out, EnvironmentError):
            raise
        except Exception as e:  # a damaged or an old state can raise anything
            read_state(m.fullpath())  # says which file is damaged
            raise Corrupt("Mailman does not load it: %s: %s" % (type(e).__name__, e))

    @contextlib.contextmanager
    def lock_alone(self, name, wait):
        """The lock of a list whose state is not loaded, and need not even load."""
        lock = self.new_lock(
            os.path.join(self.site["lock_dir"], name + ".lock"),
            lifetime=self.settings.LIST_LOCK_LIFETIME,
            withlogging=self.settings.LIST_LOCK_DEBUGGING)
        lock.lock(float(wait or BRIEFLY))
        try:
            yield
        finally:
            lock.unlock(unconditionally=1)

    def has_lock(self, name):
        return os.path.lexists(os.path.join(self.site["lock_dir"], name + ".lock"))


def failed(e):
    """What became of a list whose work ended in this exception; None for a fault of ours."""
    from Mailman import LockFile
    if isinstance(e, LockFile.TimeOutError):
        return {"outcome": "locked", "detail": ""}
    for kinds, outcome in ((Gone, "gone"), (Corrupt, "corrupt"),
                           ((TooSlow, NotSaved, NotText, EnvironmentError), "error")):
        if isinstance(e, kinds):
            return {"outcome": outcome, "detail": str(e)}
    return None


def let_go(m):
    """Unlock the list, and leave nothing of a save that did not come to its end."""
    m.Unlock()
    unfinished = os.path.join(
        m.fullpath(), "config.pck.tmp.%s.%d" % (socket.gethostname(), os.getpid()))
    if os.path.exists(unfinished):
        os.unlink(unfinished)


def forget(m):
    """Empty a list that is done with: its parts refer to it, and nobody collects garbage here."""
    vars(m).clear()


def clear_unfinished(folder, pid=None):
    """Remove what saves that were cut short have left in a list's folder.

    Nobody else would ever remove them. `pid`: only that of this process, which has ended;
    without one, all such files, and then the caller holds the list's lock, so that nobody is
    saving.
    """
    try:
        for name, writer in locks.unfinished(folder, socket.gethostname()):
            if writer == pid or pid is None and locks.ended(locks.process(writer)):
                os.unlink(os.path.join(locks.as_bytes(folder), name))
    except EnvironmentError:
        pass  # whatever is wrong with the folder is told when the list is saved


# -- patterns, which anybody who owns a list can enter ----------------------------------------


@contextlib.contextmanager
def within(seconds, what):
    """End what is done inside after that many seconds. Raises TooSlow with `what`.

    The engine of regular expressions looks for signals while it matches.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except TooSlow:
        raise TooSlow("%s takes more than %g seconds" % (what, seconds))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def give_up(signum, frame):
    raise TooSlow()


def compiles(pattern):
    try:
        re.compile(pattern, re.IGNORECASE)
    except Exception:
        return False
    return True


def is_text(entry):
    return isinstance(entry, (str, type(u"")))


def check_text(entries):
    """Raise NotText for an entry of a ban list that is no text."""
    for entry in entries:
        if not is_text(entry):
            raise NotText("its ban list has an entry that is no text, %r: Mailman fails on it and"
                          " accepts no subscription" % (entry,))


def usable(entries):
    """Those entries of a ban list that may match somebody.

    Mailman skips a pattern that does not compile, with a line in its error log, and fails on
    what is no text.
    """
    return [entry for entry in entries
            if is_text(entry) and (not entry.startswith("^") or compiles(entry))]
