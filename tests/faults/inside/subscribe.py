"""Subscribes address after address until the time is over: add_members, as an administrator would.

Runs in the container under Mailman's Python, as Mailman's user, for the site in its environment.
Standard input: {"lists", "writer", "seconds"}. Prints [[list, address], ...]: those that
add_members said it has subscribed.
"""

from __future__ import print_function

import json
import random
import subprocess
import sys
import time

asked = json.load(sys.stdin)
chance = random.Random(asked["writer"])
deadline = time.time() + asked["seconds"]
told = []
number = 0
while time.time() < deadline:
    number += 1
    name = chance.choice(asked["lists"])
    address = "new%s.%d@example.net" % (asked["writer"], number)
    child = subprocess.Popen(
        ["/usr/lib/mailman/bin/add_members", "-r", "-", "-w", "n", "-a", "n", name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = child.communicate((address + "\n").encode("ascii"))[0].decode("utf-8", "replace")
    if "Subscribed: " + address in said:
        told.append([name, address])
print(json.dumps(told))
