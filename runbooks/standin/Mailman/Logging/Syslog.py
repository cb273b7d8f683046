"""Lines in Mailman's own log files (no connection with syslogd)."""

import os
import time

from Mailman import mm_cfg


def syslog(kind, message, *args):
    """Add a line to the log `kind` (`error`, `locks`, ...) in mm_cfg.LOG_DIR.

    A log that cannot be written never stops the program that wanted to write to it.
    """
    if args:
        message = message % args
    line = "%s (%d) %s\n" % (time.strftime("%b %d %H:%M:%S %Y"), os.getpid(), message)
    umask = os.umask(0o002)
    try:
        with open(os.path.join(mm_cfg.LOG_DIR, kind), "a") as log:
            log.write(line)
    except (IOError, OSError):
        pass
    finally:
        os.umask(umask)
