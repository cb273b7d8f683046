# Hides the secret that a script was given from everything that is reported afterwards.
#
# Python 2.7 and 3, standard library alone. The secret is found as it is, and as Python and JSON
# quote it. In any other form (reversed, cut into pieces, encoded) it is not recognized.
from __future__ import print_function

import json

MASK = "***"
# The longest form comes first.
forms = []


def remember(secret):
    """Hide `secret`, a line of ASCII, from now on in this process and those that it forks."""
    found = set([secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]])
    forms[:] = sorted(found, key=len, reverse=True)


def hide(text):
    for form in forms:
        text = text.replace(form, MASK)
    return text


def hide_bytes(data):
    for form in forms:
        data = data.replace(form.encode("ascii"), MASK.encode("ascii"))
    return data


def hidden(value):
    """A value for JSON with the secret hidden in every text but the keys."""
    if isinstance(value, dict):
        return dict((key, hidden(value[key])) for key in value)
    if isinstance(value, (list, tuple)):
        return [hidden(one) for one in value]
    return hide(value) if hasattr(value, "replace") else value


def longest():
    return len(forms[0]) if forms else 0
