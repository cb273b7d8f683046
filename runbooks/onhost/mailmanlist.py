# Reads a list of the site as it is on the disk, edits it under its lock, and reads it back.
#
# Python 2.7 and 3, standard library alone. Mailman's classes are used as Mailman's own
# programs use them: objects are made, locked, loaded, saved and unlocked, and their attributes
# read and set. MailList cannot be subclassed (recording `python_interface`).
#
# Lists are not looked at by having Mailman load them: it would repair a damaged state and
# upgrade an old one, on the disk, whoever holds the list's lock.
from __future__ import print_function

import contextlib
import errno
import marshal
import os
import re
import signal
import socket
import sys
import types

import locks
import opening
from listing import STATE, STATE_BEFORE, STATES

try:
    import cPickle as pickle  # Python 2, whose other one takes ten times as long
except ImportError:
    import pickle

PYTHON2 = sys.version_info[0] == 2
# The most bytes that a state may have. A list with a million members has fewer.
LARGEST = 1 << 30
# Seconds to wait for a lock on the first try of a list, and on a last try after the time for
# waiting is over.
BRIEFLY = 0.5
# Seconds for matching a list's patterns with an address, or a pattern with all members of a
# list. Mailman itself has no limit, and would hang.
PATIENCE = 5
# An object of a list that was forgotten, if there is one, for the next list.
spare = []


class Gone(Exception):
    """There is no such list."""

    def __init__(self):
        Exception.__init__(self, "the list no longer exists")


class Corrupt(Exception):
    """The state of the list cannot be loaded."""


class NotSaved(Exception):
    """A list that was read again is not what was saved."""


class NotText(Exception):
    """A ban list has an entry that makes Mailman itself fail."""


class TooSlow(Exception):
    """A pattern takes so long to match that it would block Mailman."""


# -- what is on the disk ----------------------------------------------------------------------


def unpickled(data):
    """The state in the bytes of a config.pck. May raise anything if the pickle is damaged."""
    if PYTHON2:
        state = pickle.loads(data)
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
        raise Gone()
    raise Corrupt("its state does not load: "
                  + ", ".join("%s is %s" % pair for pair in problems[:2]))


def note_on(name, problems):
    """A remark on a state that does not come from config.pck, or ""."""
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


def unpickled_alone(value):
    """A part of a state, as somebody has it who reads it from a pickle."""
    return pickle.loads(pickle.dumps(value, 1))


class Pickling(object):
    """Stands in Mailman's module MailList for Python's own module of pickles.

    It reads and writes the same bytes, in one piece: with files, cPickle takes half as long again.
    `written`: the state that was saved last.
    """

    def __init__(self, module):
        self.module = module
        self.written = None

    @classmethod
    def of(cls, maillist):
        """What stands in the module of lists. None: that has no such part to put it in place of."""
        for name in ("cPickle", "pickle"):
            found = getattr(maillist, name, None)
            if isinstance(found, types.ModuleType):
                found = cls(found)
                setattr(maillist, name, found)
            if found is not None:
                return found

    def __getattr__(self, name):
        return getattr(self.module, name)

    def load(self, f, **options):
        return self.module.loads(f.read(), **options)

    def dump(self, state, f, protocol):
        self.written = self.module.dumps(state, protocol)
        f.write(self.written)


# -- a list, with Mailman at hand -------------------------------------------------------------


class Lists(object):
    """The lists of a site. Each process has one, as soon as Mailman can be imported."""

    def __init__(self, site):
        from Mailman import Errors, LockFile, MailList, mm_cfg
        self.site = site
        self.pickling = Pickling.of(MailList)
        self.settings, self.errors = mm_cfg, Errors
        self.timed_out, self.not_locked = LockFile.TimeOutError, LockFile.NotLockedError
        self.new_list, self.new_lock = MailList.MailList, LockFile.LockFile
        # What the state of an old Mailman lacks: Mailman adds it when it loads the list.
        self.defaults = {"ban_list": [], "owner": [], "moderator": [], "description": "",
                         "preferred_language": mm_cfg.DEFAULT_SERVER_LANGUAGE, "created_at": 0}
        signal.signal(signal.SIGALRM, give_up)

    def empty(self, name):
        """The list, unlocked and with nothing loaded: Lock() loads it."""
        # To make an object takes as long as to lock a list. With a name, it would load at once.
        m = spare.pop() if spare else self.new_list()
        made = vars(m).setdefault("_as_made", dict(vars(m)))
        vars(m).update(made)
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

    def is_as_saved(self, m):
        """Whether the disk has, byte for byte, the state that Mailman has just saved of a list.

        Then its ban list is what a reader gets of it. Where the answer is False, only `read_back`
        tells what is there.
        """
        if self.pickling is None or self.pickling.written is None:
            return False
        written, self.pickling.written = self.pickling.written, None
        if opening.read(os.path.join(m.fullpath(), STATE), LARGEST) != written:
            return False
        m.ban_list = unpickled_alone(m.ban_list)
        return True

    def read_back(self, name):
        """The list as it is on the disk after a save. Raises NotSaved if that is unsound."""
        m, note = self.read(name)
        if note:
            raise NotSaved("saved, but " + note)
        return m

    @contextlib.contextmanager
    def locked(self, name, wait):
        """The list, locked and loaded. It is unlocked at the end, whatever happens.

        `wait`: seconds. Raises LockFile.TimeOutError (`timed_out`) if others hold the lock for
        longer, Gone, Corrupt, EnvironmentError.
        """
        m = self.empty(name)
        for state in STATES:  # Mailman would block on a FIFO, with the list locked
            opening.refuse_odd(os.path.join(m.fullpath(), state))
        try:
            self.lock(m, wait)
            clear_unfinished(m.fullpath())
            yield m
        except (EnvironmentError, self.not_locked):
            # rmlist asks nobody, and removes the lock and the claims of those who wait for it.
            if not os.path.exists(m.fullpath()):
                raise Gone()
            raise
        finally:
            let_go(m)
            forget(m)

    def lock(self, m, wait):
        try:
            m.Lock(timeout=float(wait or BRIEFLY))
        except self.errors.MMUnknownListError:
            raise Gone()
        except (self.timed_out, EnvironmentError):
            raise
        except Exception as e:  # a damaged or an old state can raise anything
            read_state(m.fullpath())  # says which file is damaged
            raise Corrupt("Mailman does not load it: %s: %s" % (type(e).__name__, e))
        # A process of Mailman that waits takes a lock that has just gone for one that has expired,
        # and breaks the next one. By now it has done so. Save() would end with NotLockedError.
        if not m.Locked():
            raise self.timed_out("another process broke the lock")

    @contextlib.contextmanager
    def lock_alone(self, name, wait):
        """The lock of a list, without its state: that may be damaged.

        Ask it whether it is `locked` before anything is written: see `lock`.
        """
        lock = self.new_lock(
            os.path.join(self.site["lock_dir"], name + ".lock"),
            lifetime=self.settings.LIST_LOCK_LIFETIME,
            withlogging=self.settings.LIST_LOCK_DEBUGGING)
        lock.lock(float(wait or BRIEFLY))
        try:
            yield lock
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
    """Unlock the list, and remove the file of a save that was not completed."""
    m.Unlock()
    unfinished = os.path.join(
        m.fullpath(), "config.pck.tmp.%s.%d" % (socket.gethostname(), os.getpid()))
    if os.path.exists(unfinished):
        os.unlink(unfinished)


def forget(m):
    """Free a list that is done with. Its parts refer to it, and garbage collection is off."""
    made = vars(m).get("_as_made")
    vars(m).clear()
    if made is not None and not spare:
        vars(m)["_as_made"] = made
        spare.append(m)


def clear_unfinished(folder, pid=None):
    """Remove the files that interrupted saves have left in a list's folder.

    Nobody else would ever remove them. `pid`: only the file of this process, which has ended.
    Without it, all such files: the caller must hold the list's lock, so that nobody is saving.
    """
    try:
        for name, writer in locks.unfinished(folder, socket.gethostname()):
            if writer == pid or pid is None and locks.ended(locks.process(writer)):
                os.unlink(os.path.join(locks.as_bytes(folder), name))
    except EnvironmentError:
        pass  # what is wrong with the folder is reported when the list is saved


# -- patterns: the owner of a list can enter any -----------------------------------------------


@contextlib.contextmanager
def within(seconds, what):
    """Interrupt the block after that many seconds. Raises TooSlow with `what`.

    Python handles signals even while it matches a regular expression.
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
    return not why_not_compiled(pattern)


def why_not_compiled(pattern):
    """What Python says of a pattern that does not compile, or ""."""
    try:
        re.compile(pattern, re.IGNORECASE)
    except Exception as e:
        return str(e) or type(e).__name__
    return ""


def is_text(entry):
    return isinstance(entry, (str, type(u"")))


def check_text(entries):
    """Raise NotText if an entry of a ban list is no text."""
    for entry in entries:
        if not is_text(entry):
            raise NotText("its ban list has an entry that is not text, %r: Mailman fails on it and"
                          " accepts no subscription" % (entry,))


def usable(entries):
    """The entries of a ban list that can match somebody.

    Mailman skips a pattern that does not compile, with a line in its error log, and fails on an
    entry that is no text.
    """
    return [entry for entry in entries
            if is_text(entry) and (not entry.startswith("^") or compiles(entry))]
