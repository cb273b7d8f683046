# Finds a list's mail aliases in the aliases files of this host. Changes nothing.
#
# Python 2.7 and 3, standard library alone. For /etc/aliases, which only root can read where
# Puppet made it, it runs as whoever has logged in; for a file in Mailman's folders as its user.
from __future__ import print_function

import os
import re

import opening

ENTRY = re.compile(r'(?:"([^"]*)"|([^\s:"#][^:]*?))\s*:\s*(.*)\Z', re.DOTALL)
# | /var/lib/mailman/mail/mailman post NAME, in quotes or not, as Puppet and Mailman write it.
TO_MAILMAN = re.compile(r'\A"?\s*\|\s*"?\S*mailman\S*\s+(\S+)\s+([^\s"]+)\s*"?\Z')


def read(path):
    """{alias in lower case: what it stands for} of an aliases file."""
    text = opening.read(path).decode("utf-8", "replace")
    found, entry = {}, ""
    for line in text.splitlines() + [u"#"]:
        if entry and line[:1] in (u" ", u"\t") and line.strip():
            entry += u" " + line.strip()
            continue
        match = ENTRY.match(entry)
        if match:
            found[(match.group(1) or match.group(2)).lower()] = match.group(3).strip()
        entry = u"" if not line.strip() or line.lstrip().startswith(u"#") else line.strip()
    return found


def target(value):
    """(action, list) of an alias that hands mail to Mailman, or None."""
    match = TO_MAILMAN.match(value)
    return (match.group(1), match.group(2).lower()) if match else None


def stale(path):
    """The file that the mail server reads in place of this one, if it is older."""
    for suffix in (".db", ".dir"):
        try:
            if os.stat(path + suffix).st_mtime < os.stat(path).st_mtime:
                return path + suffix
        except OSError:
            pass
    return None


def look(path, wanted, others):
    """What a file has of a list's aliases `wanted` ({alias: action}), and of other lists'."""
    there = read(path)
    name = [alias for alias in wanted if wanted[alias] == "post"][0]
    found = {"missing": [], "elsewhere": {}, "others": 0, "stale": stale(path)}
    for alias in sorted(wanted):
        value = there.get(alias)
        if value is None:
            found["missing"].append(alias)
        elif target(value) != (wanted[alias], name):
            found["elsewhere"][alias] = value
    found["others"] = sum(target(there.get(other, "")) == ("post", other) for other in others)
    return found


def run(parameters, emit):
    """{"files": paths, "aliases": {alias: action}, "others": names of other lists}"""
    for path in parameters["files"]:
        event = {"event": "aliases", "path": path}
        try:
            event.update(look(path, parameters["aliases"], parameters["others"]))
        except EnvironmentError as e:
            event["why"] = e.strerror
            event["absent"] = not os.path.lexists(path)
        emit(event)
