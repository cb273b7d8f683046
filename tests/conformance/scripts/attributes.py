"""What a list's config.pck holds: `withlist -r attributes LIST` shows each key's type and value."""

from __future__ import print_function

import json
import os
import pickle
import sys


def attributes(m):
    with open(os.path.join(m.fullpath(), "config.pck"), "rb") as file:
        if sys.version_info[0] == 2:
            state = pickle.load(file)
        else:
            state = pickle.load(file, encoding="latin1")
    shown = dict(
        (name, {"type": type(value).__name__, "value": value}) for name, value in state.items()
    )
    print(json.dumps(shown, sort_keys=True))
