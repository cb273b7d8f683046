"""Which addresses a list refuses."""

import re

from Mailman import mm_cfg
from Mailman.Logging.Syslog import syslog


def matching_pattern(address, patterns):
    """What in `patterns` matches `address`: the regular expression, or the address itself, or None.

    An entry that starts with `^` is a regular expression, searched without regard to case. One
    that does not compile matches nobody. Every other entry is a whole address, compared without
    regard to case after blanks around it are stripped.
    """
    for pattern in patterns:
        if pattern.startswith("^"):
            try:
                if re.search(pattern, address, re.IGNORECASE):
                    return pattern
            except re.error:
                syslog("error", "ban_list: bad regular expression: %s", pattern)
        elif pattern.strip().lower() == address.lower():
            return address
    return None


class Banning(object):
    """The part of a list that knows its ban list."""

    def GetBannedPattern(self, address):
        """What matches `address` in the list's own ban list or the site's, or None."""
        return matching_pattern(address, self.ban_list) or matching_pattern(
            address, mm_cfg.GLOBAL_BAN_LIST
        )
