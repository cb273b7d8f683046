"""What matches an address: `withlist -r patterns LIST`, with JSON on standard input.

The input is a list of {"address": ..., "ban_list": [...]}, the output the list of what matched.
"""

from __future__ import print_function

import json
import sys


def text(value):
    return value.encode("utf-8") if sys.version_info[0] == 2 else value


def patterns(m):
    matched = []
    for case in json.load(sys.stdin):
        m.ban_list = [text(entry) for entry in case["ban_list"]]
        matched.append(m.GetBannedPattern(text(case["address"])) or None)
    print(json.dumps(matched))
