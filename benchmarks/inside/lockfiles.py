"""Fills a lock folder with so many files: locks and claims of a process that is gone.

Runs in the container as Mailman's user. Arguments: the folder, the number of files.
"""

import os
import socket
import sys
import time

folder, number = sys.argv[1], int(sys.argv[2])
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
expires = time.time() + 18000
for n in range(number // 2):
    lock = os.path.join(folder, "list-%05d.lock" % n)
    claim = "%s.%s.%d.%d" % (lock, socket.gethostname(), pid, n)
    with open(claim, "w") as f:
        f.write(claim)
    os.utime(claim, (expires, expires))
    os.link(claim, lock)
