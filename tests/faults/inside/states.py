"""Shows what every list holds, as {list: {"file", "loaded", "files"}} in JSON.

Runs in the container under Mailman's Python, as Mailman's user, for the site in its environment.
`file` is what config.pck itself holds, `loaded` what Mailman loads: {"bans", "rest", "members"},
`rest` a hash of everything but the ban list, or {"error"}. `files`: what the list's folder holds.
"""

from __future__ import print_function

import hashlib
import json
import os
import pickle
import sys

sys.path.insert(0, "/usr/lib/mailman/bin")
import paths  # noqa: F401
from Mailman import MailList, mm_cfg


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def canonical(value):
    """The same text for the same state, in whatever order its dictionaries are."""
    if isinstance(value, dict):
        pairs = sorted((canonical(key), canonical(item)) for key, item in value.items())
        return "{%s}" % ", ".join("%s: %s" % pair for pair in pairs)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join([canonical(item) for item in value])
    return repr(text(value)).lstrip("u")


def shown(state):
    kept = dict((key, value) for key, value in state.items() if key[:1] != "_")
    bans = [text(entry) for entry in kept.pop("ban_list")]
    rest = canonical(kept).encode("utf-8", "replace")
    return {
        "bans": bans,
        "rest": hashlib.sha256(rest).hexdigest(),
        "members": sorted(text(address) for address in kept["members"]),
        "nonmembers": [text(address) for address in kept["accept_these_nonmembers"]],
    }


def attempt(look):
    try:
        return look()
    except Exception as problem:
        return {"error": "%s: %s" % (type(problem).__name__, problem)}


def unpickled(path):
    with open(path, "rb") as source:
        if sys.version_info[0] == 2:
            return pickle.load(source)
        return pickle.load(source, encoding="latin1")


found = {}
for name in sorted(os.listdir(mm_cfg.LIST_DATA_DIR)):
    folder = os.path.join(mm_cfg.LIST_DATA_DIR, name)
    found[name] = {
        "files": sorted(os.listdir(folder)),
        "file": attempt(lambda: shown(unpickled(os.path.join(folder, "config.pck")))),
    }
    if "look" not in sys.argv[1:]:
        # After the file was read: Mailman repairs what does not load.
        found[name]["loaded"] = attempt(
            lambda: shown(MailList.MailList(name, lock=0).__dict__)
        )
json.dump(found, sys.stdout)
