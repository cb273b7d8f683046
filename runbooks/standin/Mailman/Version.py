"""Which version of Mailman this installation answers as.

The stand-in behaves as the recordings of 2.1.39 when Python 2 runs it, as those of 2.2.0 when
Python 3 does.
"""

import sys

VERSION = "2.1.39" if sys.version_info[0] == 2 else "2.2.0"

# The layouts of a list's files; the same numbers in both versions.
DATA_FILE_VERSION = 112
PENDING_FILE_SCHEMA_VERSION = 2
REQUESTS_FILE_SCHEMA_VERSION = 1

STANDIN = "stand-in for Mailman 2 (a small re-implementation for tests; not GNU Mailman)"
