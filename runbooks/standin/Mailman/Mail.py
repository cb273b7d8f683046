"""Subscribing by mail: the stand-in reads this kind of mail alone, and answers none.

A message waits in the site's queue for a qrunner. `LIST-join` subscribes whoever it is from, and
`LIST-request` does where its subject begins with the command `subscribe` or `join`.
"""

from __future__ import print_function

import email
import os
import sys
import time
from email.utils import parseaddr

from Mailman import Errors, MailList, StateFile, Utils, mm_cfg
from Mailman.UserDesc import UserDesc

COMMANDS = ("join", "subscribe")


def take(address):
    """Queue standard input for the list that is the first argument, and end this program."""
    if len(sys.argv) < 2 or not Utils.list_exists(sys.argv[1]):
        print("%s script: no such list" % address, file=sys.stderr)
        sys.exit(1)
    folder = _queue()
    if not os.path.isdir(folder):
        os.makedirs(folder)
    name = "%.6f+%d.pck" % (time.time(), os.getpid())
    waiting = {"address": address, "list": sys.argv[1], "text": sys.stdin.read()}
    StateFile.write_other(os.path.join(folder, name), waiting)


def handle_next():
    """Do what the oldest message in the queue says."""
    folder = _queue()
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names[:1]:
        waiting = StateFile.read_other(os.path.join(folder, name))
        os.unlink(os.path.join(folder, name))
        message = email.message_from_string(waiting["text"])
        words = message.get("subject", "").lower().split()
        if waiting["address"] == "join" or words and words[0] in COMMANDS:
            _subscribe(waiting["list"], *parseaddr(message.get("from", "")))


def _subscribe(name, fullname, address):
    mlist = MailList.MailList(name, lock=1)
    try:
        mlist.AddMember(UserDesc(address, fullname), address)
    except (Errors.MMSubscriptionError, Errors.MMMemberError, Errors.EmailAddressError):
        pass  # Mailman would answer
    finally:
        mlist.Save()
        mlist.Unlock()


def _queue():
    return os.path.join(mm_cfg.QUEUE_DIR, "commands")
