"""A list's state on the disk: `config.pck`, a pickle of one dictionary, and the copy before it."""

import errno
import os

from Mailman import Errors, mm_cfg
from Mailman.Logging.Syslog import syslog

try:
    import cPickle as pickle

    _unpickle = pickle.loads
except ImportError:
    import pickle

    def _unpickle(data):
        # What Python 2 wrote has byte strings in it.
        return pickle.loads(data, encoding="latin1")


# Both Pythons write what both can read.
PROTOCOL = 1

# Where a state is looked for. The last two are those of Mailman 2.0: the stand-in has none, but
# it is their absence that the recorded error is about.
_NAMES = ("config.pck", "config.pck.last", "config.db", "config.db.last")


def load(folder):
    """The state of the list in `folder`, repaired from `config.pck.last` when that is needed.

    Raises MMCorruptListDatabaseError when there is nothing that can be read.
    """
    for name in _NAMES:
        path = os.path.join(folder, name)
        state, problem = _read(path)
        if state is None:
            continue
        if name != "config.pck":
            syslog("error", "%s: loaded from %s", folder, name)
            _repair(folder, path)
        return state
    raise Errors.MMCorruptListDatabaseError(problem)


def save(folder, state):
    """Write `state`, keeping the one before it as `config.pck.last`."""
    path = os.path.join(folder, "config.pck")
    temporary = "%s.tmp.%s.%d" % (path, os.uname()[1], os.getpid())
    try:
        _write(temporary, pickle.dumps(state, PROTOCOL))
        _link_over(path, path + ".last")
        os.rename(temporary, path)
    except Exception:
        _remove(temporary)
        raise


def _read(path):
    """`(state, None)`, or `(None, problem)` when the file is missing or is not a state."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (IOError, OSError) as error:
        if error.errno != errno.ENOENT:
            raise
        return None, str(error)
    try:
        state = _unpickle(data)
    except Exception as error:  # a pickle that is broken can raise just about anything
        return None, str(error)
    if not isinstance(state, dict):
        return None, "%s is not a dictionary" % path
    return state, None


def _write(path, data):
    umask = os.umask(0o007)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o660)
    finally:
        os.umask(umask)
    with os.fdopen(descriptor, "wb") as file:
        give_to_group(path)
        file.write(data)
        file.flush()
        # On the disk before it takes the old one's name: a crash must not leave an empty state.
        os.fsync(file.fileno())


def _link_over(path, name):
    _remove(name)
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _repair(folder, good):
    import shutil

    path = os.path.join(folder, "config.pck")
    if os.path.exists(path):
        os.rename(path, path + ".corrupt")
    shutil.copy(good, path + ".safety")
    shutil.copy(good, path + ".tmp")
    os.rename(path + ".tmp", path)


def give_to_group(path):
    """When root makes a file or a folder, the group that runs Mailman must be able to use it."""
    if os.geteuid() != 0:
        return
    import grp

    try:
        os.chown(path, -1, grp.getgrnam(mm_cfg.MAILMAN_GROUP).gr_gid)
    except KeyError:
        pass


def _remove(path):
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
