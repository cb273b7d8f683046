"""Whether a file has been written to."""

from __future__ import annotations

from pathlib import Path


def as_it_is(path: Path) -> tuple[object, ...]:
    """Its content, and all of its status but for when it was last read."""
    found = path.stat()
    return (
        path.read_bytes(),
        *(found.st_ino, found.st_dev, found.st_nlink, found.st_mode, found.st_uid, found.st_gid),
        *(found.st_size, found.st_mtime_ns, found.st_ctime_ns),
    )
