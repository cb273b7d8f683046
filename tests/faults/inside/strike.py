"""Waits for a moment in a run of `runbook`, and kills a part of what runs in the container.

Runs in the container under Mailman's Python, as root. Standard input, a line each: the order
{"journal", "what", "within", "seconds", "marker"}, then "go" when the run begins. Says "ready",
then {"struck": the killed processes, "late": whether there was nothing to kill any more}.

what    "server" (the first process), "program", "worker", "tree" (every process but init, the
        container's own and this one) or "moment" (none: it only says when)
within  "run": so many seconds after the "go"; "change": after the journal has grown, which is
        before the first list is changed
"""

from __future__ import print_function

import json
import os
import random
import signal
import sys
import time

PATIENCE = 20.0  # seconds for the run to begin what is waited for


def processes(marker):
    """{process id: (parent, whether it is one of the run)} of all but zombies."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as source:
                fields = source.read().rpartition(b")")[2].split()
            with open("/proc/%s/cmdline" % name, "rb") as source:
                words = source.read()
        except (IOError, OSError):
            continue
        if fields[0] not in (b"Z", b"X"):
            found[int(name)] = (int(fields[1]), marker in words)
    return found


def targets(what, marker):
    everything = processes(marker)
    me = os.getpid()
    if what == "tree":
        spared = set([1, me, os.getppid()])
        # The container ends with its own command.
        first = sorted(pid for pid, (parent, _) in everything.items() if parent == 1)
        return [pid for pid in everything if pid not in spared and pid not in first[:1]]
    ours = set(pid for pid, (_, ran) in everything.items() if ran and pid != me)
    depth = {}
    for pid in ours:
        generation, parent = 0, everything[pid][0]
        while parent in ours:
            generation, parent = generation + 1, everything[parent][0]
        depth[pid] = generation
    wanted = {"server": 0, "program": 1, "worker": 2}[what]
    return sorted(pid for pid in ours if depth[pid] == wanted)


def size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


order = json.loads(sys.stdin.readline())
marker = order["marker"].encode("ascii")
before = size(order["journal"])
print("ready")
sys.stdout.flush()
sys.stdin.readline()
deadline = time.time() + PATIENCE
if order["within"] == "change":
    while size(order["journal"]) == before and time.time() < deadline:
        time.sleep(0.0005)
time.sleep(order["seconds"])
struck = []
if order["what"] != "moment":
    while not struck and time.time() < deadline:
        found = targets(order["what"], marker)
        if order["what"] != "tree" and found:
            found = [random.Random(order["seconds"]).choice(found)]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
                struck.append(pid)
            except OSError:
                pass
        if order["within"] == "change":
            break  # too late is too late
        time.sleep(0.0005)
print(json.dumps({"struck": struck}))
sys.stdout.flush()
