"""Which version of Mailman this installation answers as.

The stand-in behaves as the recordings of 2.1.39 when Python 2 runs it, as those of 2.2.0 when
Python 3 does.
"""

import sys

VERSION = "2.1.39" if sys.version_info[0] == 2 else "2.2.0"

# The layout of a list's state; the same number in both versions.
DATA_FILE_VERSION = 112

STANDIN = "stand-in for Mailman 2 (a small re-implementation for tests; not GNU Mailman)"
