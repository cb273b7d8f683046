# The files that hold the state of a list: everything of it that a script can change.
#
# Python 2.7 and 3, standard library alone. The list's folder has its settings and members, the
# requests that wait for a moderator, and those that wait for a confirmation. Each message that
# waits is a file in the site's data folder. Mailman writes and removes all but the settings at
# once, whether or not the list is saved afterwards.
from __future__ import print_function

import collections
import errno
import hashlib
import os
import re

import differing
import mailmanlist
import masking
import opening

CONFIG, REQUESTS, PENDING = "config.pck", "request.pck", "pending.pck"
IN_FOLDER = (CONFIG, REQUESTS, PENDING)
HELD, HELD_MESSAGES = "heldmsg-", "held messages"
# What Mailman's numbers and letters in these files mean.
REQUEST_KINDS = {1: "held message", 2: "subscription", 3: "unsubscription"}
PENDING_KINDS = {"S": "subscription", "U": "unsubscription", "C": "change of address",
                 "H": "held message", "E": "enabling of delivery", "P": "probe for bounces"}


def digest(data):
    return hashlib.sha256(data).hexdigest() if data is not None else None


def content(path):
    """The bytes of a file; None if there is none. Raises EnvironmentError if it is no plain file.
    """
    try:
        return opening.read(path, mailmanlist.LARGEST)
    except EnvironmentError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


class Files(object):
    """The files of the lists of a site, by their names."""

    def __init__(self, list_dir, data_dir):
        self.list_dir = list_dir
        self.data_dir = data_dir

    def path(self, name, file):
        folder = self.data_dir if file.startswith(HELD) else os.path.join(self.list_dir, name)
        return os.path.join(folder, file)

    def content(self, name, file):
        return content(self.path(name, file))

    def names(self, name):
        """The names of the files that a list has."""
        found = [file for file in IN_FOLDER if os.path.exists(self.path(name, file))]
        return found + self.held(name)

    def held(self, name):
        pattern = re.compile(r"%s%s-[0-9]+\.(?:pck|txt)\Z" % (HELD, re.escape(name)))
        try:
            return sorted(file for file in os.listdir(self.data_dir) if pattern.match(file))
        except EnvironmentError as e:
            if e.errno in (errno.ENOENT, errno.ENOTDIR):
                return []
            raise

    def digests(self, name):
        """{file: hash of its content}. Equal as long as the state of the list is the same."""
        found = dict((file, digest(self.content(name, file))) for file in self.names(name))
        return dict((file, found[file]) for file in found if found[file])  # some have just gone


def differing_files(old, new):
    """The names of the files in which two results of `digests` differ."""
    return sorted(file for file in set(old) | set(new) if old.get(file) != new.get(file))


# -- what differs, for a person: no addresses, passwords or keys of confirmations --------------


def changes(old, new):
    """What differs between two states, in entries like those of `differing.changes`.

    `old`, `new`: {file: its bytes or None} for the files that differ. A file that means the
    same in other bytes has no entry.
    """
    found = []
    for file in sorted(set(old) | set(new)):
        was, now = old.get(file), new.get(file)
        if file == CONFIG:
            found += of_config(was, now)
        elif not file.startswith(HELD):
            found += of_entries(file, was, now)
    return found + of_held(old, new)


def of_config(was, now):
    if was is None or now is None:
        return [{"name": CONFIG, "to": "a list"} if was is None else
                {"name": CONFIG, "from": "a list"}]
    try:
        return differing.changes(mailmanlist.unpickled(was), mailmanlist.unpickled(now))
    except Exception as e:
        return [{"name": CONFIG, "to": "unreadable: %s" % (str(e) or type(e).__name__)}]


def of_entries(file, was, now):
    """The entry for the file of requests, or for that of confirmations."""
    try:
        was, now = [entries(data) for data in (was, now)]
    except Exception:  # a damaged pickle can raise anything
        return [{"name": file, "from": size(was), "to": size(now)}]
    keys = sorted(differing.attributes(was, now), key=repr)
    if not keys:
        return []
    added = [label(file, key, now[key]) for key in keys if key not in was]
    removed = [label(file, key, was[key]) for key in keys if key not in now]
    altered = [[label(file, key, now[key]), masking.MASK, masking.MASK]
               for key in keys if key in was and key in now]
    return [items(file, added, removed, altered)]


def entries(data):
    if data is None:
        return {}
    return dict((key, value) for key, value in mailmanlist.unpickled(data).items()
                if key not in ("version", "evictions"))


def label(file, key, entry):
    if file == REQUESTS:
        return "%s %s" % (REQUEST_KINDS.get(entry[0], "request"), key)
    return PENDING_KINDS.get(entry[0], "confirmation")


def of_held(old, new):
    held = [file for file in sorted(set(old) | set(new)) if file.startswith(HELD)]
    added = [file for file in held if old.get(file) is None]
    removed = [file for file in held if new.get(file) is None]
    altered = [[file, size(old[file]), size(new[file])]
               for file in held if file not in added and file not in removed]
    return [items(HELD_MESSAGES, added, removed, altered)] if held else []


def items(name, added, removed, altered):
    most = differing.MOST
    return {"name": name, "added": added[:most], "removed": removed[:most],
            "altered": altered[:most],
            "more": sum(map(differing.more, (added, removed, altered)))}


def size(data):
    return "nothing" if data is None else "%d bytes" % len(data)


def counted(files):
    """File names for a sentence: held messages are counted."""
    kinds = collections.Counter("held" if file.startswith(HELD) else file for file in files)
    held = kinds.pop("held", 0)
    messages = "1 held message" if held == 1 else "%d held messages" % held
    return sorted(kinds) + ([messages] if held else [])
