# Reads files that somebody else may have put where they are.
#
# Python 2.7 and 3, standard library alone. A name in a folder of Mailman's user may be a link to
# a file that is root's alone, a FIFO that nobody ever writes to, a device, or endless.
from __future__ import print_function

import errno
import os
import stat

# Bytes that a file may have.
LIMIT = 16 * 1024 * 1024


def read(path, limit=LIMIT):
    """The bytes of a plain file. Raises EnvironmentError, which says what is wrong with it."""
    path = through_links(path)
    # Before it is opened: to open a device may do something.
    plain(path, os.lstat(path), limit)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        plain(path, os.fstat(fd), limit)
        data = b""
        while len(data) <= limit:
            more = os.read(fd, 1 << 20)
            if not more:
                return data
            data += more
    finally:
        os.close(fd)
    raise EnvironmentError(errno.EFBIG, "it grows while it is read", path)


def plain(path, found, limit):
    if stat.S_ISLNK(found.st_mode):
        raise EnvironmentError(
            errno.ELOOP, "it is a link, which others than root can change", path)
    if not stat.S_ISREG(found.st_mode):
        raise EnvironmentError(errno.EINVAL, "it is no plain file", path)
    if found.st_size > limit:
        raise EnvironmentError(errno.EFBIG, "it has %d bytes, far too many" % found.st_size, path)


def through_links(path):
    """What `path` leads to. Root goes by links alone that only root can have made."""
    if os.geteuid() != 0:
        return os.path.realpath(path)
    for _ in range(40):
        if not os.path.islink(path) or not is_roots(os.path.dirname(path)):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return path


def is_roots(folder):
    """Whether nobody but root decides what is in a folder. One that is reached by a link is not."""
    while True:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            return False
        if folder == "/":
            return True
        folder = os.path.dirname(folder)
