"""The files that have a list's state; above all `config.pck`, a pickle of one dictionary."""

import errno
import marshal
import os
import shutil
import sys

from Mailman import mm_cfg
from Mailman.Files import remove

try:
    import cPickle as pickle
except ImportError:
    import pickle

# Both Pythons write what both can read.
PROTOCOL = 1

# Where a state is looked for. The last two are those of Mailman 2.0.
NAMES = ("config.pck", "config.pck.last", "config.db", "config.db.last")

# What a file may raise that counts as damaged; anything else a loading ends with. Mailman 2.2
# takes whatever it is for damage.
_DAMAGE = (
    (EOFError, ValueError, TypeError, MemoryError, pickle.PickleError)
    if sys.version_info[0] == 2
    else (Exception,)
)


class NothingToLoad(Exception):
    """There is no file that can be read; the argument says what is wrong with the last one."""


def load(folder, loaded_at):
    """`(name, state)` from the first file that can be read; None when it is older than `loaded_at`.

    Raises NothingToLoad.
    """
    problem = None
    for name in NAMES:
        path = os.path.join(folder, name)
        try:
            if os.stat(path).st_mtime < loaded_at:
                return None
            with open(path, "rb") as file:
                data = file.read()
        except (IOError, OSError) as error:
            if error.errno != errno.ENOENT:
                raise
            problem = error
            continue
        try:
            state = marshal.loads(data) if ".db" in name else unpickled(data)
        except _DAMAGE as error:
            problem = error
            continue
        if isinstance(state, dict):
            return name, state
        problem = "%s is not a dictionary" % path
    raise NothingToLoad(problem)


def repair(folder, name):
    """Put the copy `name` in the place of the file that it was made of."""
    copy = os.path.join(folder, name)
    path = copy[: -len(".last")]
    if os.path.exists(path):
        os.rename(path, path + ".corrupt")
    remove(path + ".safety")
    shutil.copy(copy, path)
    shutil.copy(copy, path + ".safety")


def save(folder, state, dump):
    """Write `state`, keeping the one before it as `config.pck.last`; return when it was written.

    `dump`: writes the pickle.
    """
    path = os.path.join(folder, "config.pck")
    temporary = "%s.tmp.%s.%d" % (path, os.uname()[1], os.getpid())
    try:
        _write(temporary, state, dump)
    except (IOError, OSError):
        # Only then: a state that cannot be pickled leaves the file behind, as in Mailman.
        remove(temporary)
        raise
    _link_over(path, path + ".last")
    os.rename(temporary, path)
    return os.stat(path).st_mtime


def read_other(path):
    """What another pickle holds, or None when there is no such file."""
    try:
        with open(path, "rb") as file:
            return unpickled(file.read())
    except (IOError, OSError) as error:
        if error.errno != errno.ENOENT:
            raise
        return None


def write_other(path, content):
    temporary = path + ".tmp"
    _write(temporary, content)
    os.rename(temporary, path)


def unpickled(data):
    if sys.version_info[0] == 2:
        return pickle.loads(data)
    # What Python 2 wrote has byte strings in it. Mailman 2.2 tries UTF-8 before Latin 1.
    try:
        return pickle.loads(data, encoding="utf-8")
    except UnicodeDecodeError:
        return pickle.loads(data, encoding="latin1")


def make_folder(path):
    """Make a folder that Mailman's group can use; nothing when it is there."""
    if os.path.isdir(path):
        return
    umask = os.umask(0o002)
    try:
        os.makedirs(path, 0o2775)
    finally:
        os.umask(umask)
    give_to_group(path)
    os.chmod(path, 0o2775)


def give_to_group(path):
    """When root makes a file or a folder, the group that runs Mailman must be able to use it."""
    if os.geteuid() != 0:
        return
    import grp

    try:
        os.chown(path, -1, grp.getgrnam(mm_cfg.MAILMAN_GROUP).gr_gid)
    except KeyError:
        pass


def _write(path, content, dump=pickle.dump):
    umask = os.umask(0o007)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o660)
    finally:
        os.umask(umask)
    with os.fdopen(descriptor, "wb") as file:
        give_to_group(path)
        dump(content, file, PROTOCOL)
        file.flush()
        # On the disk before it takes the old one's name: a crash must not leave an empty state.
        os.fsync(file.fileno())


def _link_over(path, name):
    remove(name)
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
