"""Copies a list many times: the program reads {"folder", "template", "names"} from standard input.

Runs in the container under Mailman's Python, as Mailman's user. Names are as long as the
template's, so that a copy is the same pickle with another name in it, in every address too.
"""

from __future__ import print_function

import json
import os
import sys

asked = json.load(sys.stdin)
os.umask(0o007)
template = asked["template"].encode("ascii")
source = os.path.join(asked["folder"], asked["template"])
states = {}
for name in os.listdir(source):
    with open(os.path.join(source, name), "rb") as state:
        states[name] = state.read()
for name in asked["names"]:
    new = name.encode("ascii")
    if len(new) != len(template):
        raise ValueError("%s is not as long as %s" % (name, asked["template"]))
    folder = os.path.join(asked["folder"], name)
    os.mkdir(folder)
    os.chmod(folder, 0o2775)
    for filename, data in states.items():
        data = data.replace(template, new).replace(template.capitalize(), new.capitalize())
        with open(os.path.join(folder, filename), "wb") as state:
            state.write(data)
        os.chmod(os.path.join(folder, filename), 0o660)
print(len(asked["names"]))
