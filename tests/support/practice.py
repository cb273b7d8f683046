"""Practice sites for tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runbooks.practice import site

#: No process has this id: Linux gives none so high.
NOBODY = 4_194_304


def create(folder: Path, python: str = sys.executable) -> site.PracticeSite:
    """A practice site whose stale lock will be stale however many processes the tests start.

    The one that is made for users names a process that has ended, whose id comes into use again
    where ids are few: the lock of a list would be held by some process of a test.
    """
    made = site.create(folder, python)
    for lock in folder.glob("srv/mailman/*/locks/*.lock"):
        claim, times = Path(lock.read_text()), lock.stat()
        renamed = claim.rename(f"{str(claim).rsplit('.', 2)[0]}.{NOBODY}.0")
        # One file with two names.
        lock.write_text(str(renamed))
        os.utime(lock, ns=(times.st_atime_ns, times.st_mtime_ns))
    return made
