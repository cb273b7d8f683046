# Keeps the state of lists from before a script changed them, byte for byte.
#
# Python 2.7 and 3, standard library alone. Below the folder of the journal, private to
# Mailman's user:
#
#   saved/RUN/SITE/LIST/config.pck    the state before
#   saved/RUN/SITE/LIST/after.json    {"after": the state that the run left, as a hash,
#                                      "mixed": true when somebody else changed the list
#                                      while the run did}
#
# A folder without after.json belongs to a run that was killed before it saved the list.
from __future__ import print_function

import errno
import hashlib
import json
import os
import shutil

import journal


def folder_of(journal_folder, run):
    return os.path.join(journal_folder, "saved", run)


def digest(data):
    return hashlib.sha256(data).hexdigest() if data is not None else None


def content(path):
    """The bytes of a file; None when there is none."""
    try:
        with open(path, "rb") as f:
            return f.read()
    except EnvironmentError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


class Saved(object):
    """The state of one list before a run.

    `root`: the folder of the run. Raises EnvironmentError, journal.JournalError.
    """

    def __init__(self, root, site, name):
        self.root = root
        self.site = site
        self.folder = os.path.join(root, site, name)
        self.path = os.path.join(self.folder, "config.pck")

    def exists(self):
        return os.path.exists(self.path)

    def keep(self, data):
        """Keep the state `data`."""
        for again in (True, True, False):
            try:
                self.make_folders()
                break
            except OSError as e:
                # Another run has just removed the folder of all runs, which was empty.
                if e.errno != errno.ENOENT or not again:
                    raise
        self.write("config.pck", data)

    def make_folders(self):
        site = os.path.dirname(self.folder)
        for folder in (os.path.dirname(self.root), self.root, site, self.folder):
            journal.private_folder(folder)

    def mark(self, after, mixed):
        """Note the hash of the state that the run left the list in."""
        self.write("after.json", json.dumps({"after": after, "mixed": mixed}).encode("ascii"))

    def after(self):
        """(hash of the state that the run left, or None; whether others changed it meanwhile)."""
        data = content(os.path.join(self.folder, "after.json"))
        if data is None:
            return None, False
        found = json.loads(data.decode("ascii"))
        return found["after"], found["mixed"]

    def before(self):
        return content(self.path)

    def write(self, name, data):
        temporary = os.path.join(self.folder, name + ".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.rename(temporary, os.path.join(self.folder, name))

    def sync(self):
        """Through to the disk."""
        for name in os.listdir(self.folder):
            journal.sync_folder(os.path.join(self.folder, name))
        journal.sync_folder(self.folder)

    def drop(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def tidy(root):
    """Remove the folders of a run in which nothing is kept."""
    try:
        sites = os.listdir(root)
    except OSError:
        return
    for folder in [os.path.join(root, site) for site in sites] + [root, os.path.dirname(root)]:
        try:
            os.rmdir(folder)
        except OSError:
            pass  # something is kept there


def kept_lists(root):
    """[(site, list)] of which a run has kept the state."""
    found = []
    for site in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        for name in sorted(os.listdir(os.path.join(root, site))):
            if os.path.exists(os.path.join(root, site, name, "config.pck")):
                found.append((site, name))
    return found
