# Keeps the state that lists had before a script changed them, byte for byte.
#
# Python 2.7 and 3, standard library alone. Below the journal's folder, private to Mailman's
# user:
#
#   saved/RUN/SITE/LIST/config.pck    the files of the earlier state (statefiles.py): all of
#                       ...           them at first, those that differ when the script is done
#   saved/RUN/SITE/LIST/before.json   {file: its hash} of the whole earlier state; written last
#   saved/RUN/SITE/LIST/after.json    {"left": {file: its hash}: the state that the run left,
#                                      "mixed": true if somebody else changed the list at the
#                                      same time,
#                                      "strays": [files that changed without the list's lock]}
#
# A folder without after.json belongs to a run that was killed while it worked on the list.
from __future__ import print_function

import errno
import json
import os
import shutil

import journal
import statefiles
from boot import native

BEFORE, AFTER = "before.json", "after.json"


def folder_of(journal_folder, run):
    return os.path.join(journal_folder, "saved", run)


class Saved(object):
    """The state of one list before a run.

    `root`: the folder of the run. Raises EnvironmentError, journal.JournalError.
    """

    def __init__(self, root, site, name):
        self.root = root
        self.site = site
        self.name = name
        self.folder = os.path.join(root, site, name)

    def exists(self):
        return os.path.exists(os.path.join(self.folder, BEFORE))

    def keep(self, files, only=None):
        """Keep the state that is on the disk, or only the files `only` of it; return its hashes."""
        self.make_folders()
        for name in (BEFORE, AFTER):  # from earlier in this run: nothing counts as kept yet
            if os.path.exists(os.path.join(self.folder, name)):
                os.unlink(os.path.join(self.folder, name))
        before = {}
        for file in files.names(self.name) if only is None else only:
            data = files.content(self.name, file)
            if data is not None:
                self.write(file, data)
                before[file] = statefiles.digest(data)
        self.narrow(before)
        self.write_json(BEFORE, before)
        return before

    def make_folders(self):
        site = os.path.dirname(self.folder)
        for again in (True, True, False):
            try:
                for folder in (os.path.dirname(self.root), self.root, site, self.folder):
                    journal.private_folder(folder)
                return
            except OSError as e:
                # Another run has just removed the folder of all runs, because it was empty.
                if e.errno != errno.ENOENT or not again:
                    raise

    def narrow(self, wanted):
        """Remove the kept files that are not `wanted`."""
        for file in os.listdir(self.folder):
            if file not in wanted and file not in (BEFORE, AFTER):
                os.unlink(os.path.join(self.folder, file))

    def mark(self, left, mixed, strays=()):
        """Record the hashes of the state in which the run left the list."""
        self.write_json(AFTER, {"left": left, "mixed": mixed, "strays": list(strays)})

    def before(self):
        """The hashes of the earlier state, or None if nothing is kept."""
        return self.read_json(BEFORE)

    def after(self):
        """What `mark` recorded last. "left" is None if it recorded nothing."""
        return dict({"left": None, "mixed": False, "strays": []}, **(self.read_json(AFTER) or {}))

    def content(self, file):
        """The kept bytes of a file. Raises EnvironmentError if they are damaged or gone."""
        path = os.path.join(self.folder, file)
        data = statefiles.content(path)
        if statefiles.digest(data) != self.before().get(file):
            raise EnvironmentError(errno.EIO, "what was kept is damaged or gone", path)
        return data

    def touched(self):
        """The files that the run is known to have changed, and that can be put back."""
        left = self.after()["left"]
        return [] if left is None else statefiles.differing_files(self.before(), left)

    def write_json(self, name, value):
        self.write(name, json.dumps(value, sort_keys=True).encode("ascii"))

    def read_json(self, name):
        data = statefiles.content(os.path.join(self.folder, name))
        return None if data is None else native(json.loads(data.decode("ascii")))

    def write(self, name, data):
        temporary = os.path.join(self.folder, name + ".new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.rename(temporary, os.path.join(self.folder, name))

    def sync(self):
        """Write everything through to the disk."""
        for name in os.listdir(self.folder):
            journal.sync_folder(os.path.join(self.folder, name))
        journal.sync_folder(self.folder)

    def drop(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def tidy(root):
    """Remove those folders of a run that are empty."""
    try:
        sites = os.listdir(root)
    except OSError:
        return
    for folder in [os.path.join(root, site) for site in sites] + [root, os.path.dirname(root)]:
        try:
            os.rmdir(folder)
        except OSError:
            pass  # it is not empty


def kept_lists(root):
    """The lists whose state a run has kept: [(site, list)]."""
    found = []
    for site in names_in(root):
        for name in names_in(os.path.join(root, site)):
            if Saved(root, site, name).exists():
                found.append((site, name))
    return found


def names_in(folder):
    """What a folder of a run has; nothing where the run has just removed it, empty."""
    try:
        return sorted(os.listdir(folder))
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return []
