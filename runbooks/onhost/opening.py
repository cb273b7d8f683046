# Reads files that somebody else may have put there.
#
# Python 2.7 and 3, standard library alone. In a folder of Mailman's user, a name may be a link to
# a file that only root can read, a FIFO that nobody ever writes to, a device, or an endless file.
from __future__ import print_function

import errno
import os
import stat

# The most bytes that a file may have.
LIMIT = 16 * 1024 * 1024


def read(path, limit=LIMIT):
    """The bytes of a plain file. Raises EnvironmentError, which says what is wrong with it."""
    status, flags = os.stat, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    if os.geteuid() == 0:
        # A link must not make root read a file that its maker cannot.
        path = through_links(path)
        status, flags = os.lstat, flags | os.O_NOFOLLOW
    # Checked before it is opened: opening a device can have an effect.
    plain(path, status(path), limit)
    fd = os.open(path, flags)
    try:
        found = os.fstat(fd)
        plain(path, found, limit)
        pieces, size = [], 0
        while size <= limit:
            more = os.read(fd, max(found.st_size + 1 - size, 1 << 16))
            if not more:
                return b"".join(pieces)
            pieces.append(more)
            size += len(more)
    finally:
        os.close(fd)
    raise EnvironmentError(errno.EFBIG, "it grows while it is read", path)


def refuse_odd(path):
    """Raise EnvironmentError if `path` exists and is neither a plain file nor a folder."""
    try:
        found = os.stat(path)
    except OSError:
        return
    if not stat.S_ISDIR(found.st_mode):
        plain(path, found, float("inf"))


def plain(path, found, limit):
    if stat.S_ISLNK(found.st_mode):
        raise EnvironmentError(
            errno.ELOOP, "it is a link, which users other than root can change", path)
    if not stat.S_ISREG(found.st_mode):
        raise EnvironmentError(errno.EINVAL, "it is no plain file", path)
    if found.st_size > limit:
        raise EnvironmentError(errno.EFBIG, "it has %d bytes, far too many" % found.st_size, path)


def through_links(path):
    """Where `path` leads, following only links that nobody but root can have made."""
    for _ in range(40):
        if not os.path.islink(path) or not is_roots(os.path.dirname(path)):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return path


def is_roots(folder):
    """Whether only root can change what is in a folder. False for a path with a link in it."""
    while True:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            return False
        if folder == "/":
            return True
        folder = os.path.dirname(folder)
