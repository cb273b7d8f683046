"""A list's archives: the stand-in keeps the folders, and nothing in them."""

import os

from Mailman import StateFile, mm_cfg


class Archiver:
    """The part of a list that knows its archives."""

    def archive_dir(self):
        """The folder of the private archives, which the public ones are a link to."""
        return os.path.join(mm_cfg.PRIVATE_ARCHIVE_FILE_DIR, self.internal_name())

    def _make_archives(self):
        public = os.path.join(mm_cfg.PUBLIC_ARCHIVE_FILE_DIR, self.internal_name())
        StateFile.make_folder(self.archive_dir())
        StateFile.make_folder(self.archive_dir() + ".mbox")
        if not os.path.lexists(public):
            os.symlink(self.archive_dir(), public)
