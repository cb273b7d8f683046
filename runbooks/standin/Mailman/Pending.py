"""What waits for somebody's confirmation, in a file of its own: `pending.pck` in the list's folder.

A change is on the disk at once, whether or not the list is saved afterwards.
"""

import binascii
import os
import sys
import time

from Mailman import StateFile, mm_cfg

SUBSCRIPTION = "S"
UNSUBSCRIPTION = "U"
CHANGE_OF_ADDRESS = "C"
HELD_MESSAGE = "H"
RE_ENABLE = "E"
PROBE_BOUNCE = "P"


class Pending:
    """The part of a list that knows what is to be confirmed."""

    def pend_new(self, op, *content, **options):
        """Keep `content` until it is confirmed; return the cookie that does that."""
        assert self.Locked()
        lifetime = options.get("lifetime", mm_cfg.PENDING_REQUEST_LIFE)
        pending = self._read_pending()
        cookie = binascii.hexlify(os.urandom(20)).decode("ascii")
        pending[cookie] = (op,) + content
        pending["evictions"][cookie] = time.time() + lifetime
        self._write_pending(pending)
        return cookie

    def pend_confirm(self, cookie, expunge=True):
        """What `cookie` confirms, or None; it is gone afterwards unless `expunge` is false."""
        pending = self._read_pending()
        if not expunge or cookie not in pending:
            return pending.get(cookie)
        assert self.Locked()
        del pending["evictions"][cookie]
        content = pending.pop(cookie)
        self._write_pending(pending)
        return content

    def _pending_file(self):
        return os.path.join(self.fullpath(), "pending.pck")

    def _read_pending(self):
        try:
            return StateFile.read_other(self._pending_file()) or {"evictions": {}}
        except Exception:
            if sys.version_info[0] == 2:
                raise
            # 2.2 takes a damaged file for none, and writes over what is in it.
            return {"evictions": {}}

    def _write_pending(self, pending):
        now = time.time()
        current = dict(
            (cookie, expiry) for cookie, expiry in pending["evictions"].items() if expiry >= now
        )
        kept = dict((cookie, pending[cookie]) for cookie in current)
        kept.update(evictions=current, version=mm_cfg.PENDING_FILE_SCHEMA_VERSION)
        StateFile.write_other(self._pending_file(), kept)
