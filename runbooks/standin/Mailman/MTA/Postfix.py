"""The file of aliases that Postfix reads: `DATA_DIR/aliases`, and the database made of it."""

import os
import subprocess

from Mailman import LockFile, mm_cfg

ALIASES = os.path.join(mm_cfg.DATA_DIR, "aliases")


def create(lines):
    """Add the aliases of a list, the text `lines`, waiting for the lock for as long as it takes.

    Raises RuntimeError when Postfix's program fails, as GNU Mailman 2.1.39 and 2.2.0 do.
    """
    lock = LockFile.LockFile(os.path.join(mm_cfg.LOCK_DIR, "creator"))
    lock.lock()
    try:
        with open(ALIASES, "a") as file:
            file.write(lines + "\n\n")
        command = "%s %s" % (mm_cfg.POSTFIX_ALIAS_CMD, ALIASES)
        status = subprocess.call(command, shell=True)
        if status:
            raise RuntimeError("command failed: %s (status: %d)" % (command, status))
    finally:
        lock.unlock(unconditionally=True)
