# The time zone of the host.
#
# Python 2.7 and 3, standard library alone.
import time


def utc_offset():
    """The seconds by which local time is ahead of UTC now."""
    return int(-time.altzone if time.localtime().tm_isdst > 0 else -time.timezone)
