"""Put the installation's Python package where `import Mailman` finds it."""

import os
import sys

prefix = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
exec_prefix = prefix

sys.path.insert(0, prefix)
