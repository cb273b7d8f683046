"""What a moment is called: by the clock of the host, with its zone, the same in every command.

Mailman's logs and ``ls`` on the host show the host's own time, and whoever reads them beside the
output of a command may sit in another zone. So the zone always stands behind the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

_EPOCH = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class Clock:
    """The clock of a host."""

    #: what it showed when it was looked at, in seconds since 1970
    now: float
    #: seconds that the host's local time is ahead of UTC
    utc_offset: int = 0
    #: by minute: what was said of it before. Of thousands of moments, most are in few minutes
    _said: dict[float, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def time(self, seconds: float) -> str:
        """``05:28 UTC``, or ``2026-11-22 07:28 +0200`` on any day but today."""
        minute = (seconds + self.utc_offset) // 60
        if minute not in self._said:
            at, now = self._local(seconds), self._local(self.now)
            day = "" if at.date() == now.date() else f"{at:%Y-%m-%d} "
            self._said[minute] = f"{day}{at:%H:%M} {self.zone}"
        return self._said[minute]

    def recorded(self, text: str) -> str:
        """The same for a time as the journal has it: UTC, like ``2024-05-01T12:03:01Z``."""
        try:
            at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:  # a record that somebody has edited
            return text
        return self.time(at.timestamp())

    @property
    def zone(self) -> str:
        """As ``date +%z`` shows it, but for UTC."""
        if not self.utc_offset:
            return "UTC"
        hours, minutes = divmod(abs(self.utc_offset) // 60, 60)
        return f"{'-' if self.utc_offset < 0 else '+'}{hours:02}{minutes:02}"

    def _local(self, seconds: float) -> datetime:
        # Not fromtimestamp(), which does not take every time before 1970.
        return _EPOCH + timedelta(seconds=seconds + self.utc_offset)
