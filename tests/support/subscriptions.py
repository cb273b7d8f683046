"""Members, and subscriptions that wait: made through Mailman's own code, and shown.

`PROGRAM` is a module for ``withlist -r``, for Python 2.7 and 3: it goes beside Mailman's programs.
"""

from __future__ import annotations

#: Its name there.
NAME = "subscriptions"

PROGRAM = r'''
from __future__ import print_function
import json, os, pickle, sys
from Mailman import mm_cfg
from Mailman.Bouncer import _BounceInfo
from Mailman.UserDesc import UserDesc


def locked(function):
    def run(m, *arguments):
        m.Lock()
        notify, m.admin_immed_notify = m.admin_immed_notify, 0
        try:
            function(m, *arguments)
            m.admin_immed_notify = notify
            m.Save()
        finally:
            m.Unlock()
    return run


@locked
def member(m, address):
    """One that has everything that a member can have."""
    m.addNewMember(address, password="s3cret-of-member", realname="The Target", language="en")
    m.setMemberOption(address, mm_cfg.DontReceiveDuplicates, 1)
    m.setMemberTopics(address, ["one", "two"])
    m.setDeliveryStatus(address, 2)
    m.delivery_status[address.lower()] = (2, 1234567.25)
    info = _BounceInfo(address, 2.5, (2026, 1, 2), 3)
    info.cookie = "0" * 40
    m.setBounceInfo(address, info)


@locked
def plain(m, *addresses):
    for address in addresses:
        m.addNewMember(address, password="s3cret-of-member")


@locked
def digest(m, address):
    m.addNewMember(address, password="s3cret-of-member", digest=1)


@locked
def remove(m, address):
    m.removeMember(address)


@locked
def wait(m, address, number="1"):
    """Subscriptions that wait for a confirmation, and for a moderator."""
    for _ in range(int(number)):
        m.pend_new("S", UserDesc(address, "", "s3cret-of-request", 0, "en"))
    m.pend_new("C", "old@example.com", address, 0)
    m.HoldSubscription(address, "Name", "s3cret-of-request", 1, "en")


@locked
def pend(m, address, number):
    """Very many that wait for a confirmation, at once."""
    path = os.path.join(m.fullpath(), "pending.pck")
    m.pend_new("S", UserDesc(address, "", "s3cret-of-request", 0, "en"))
    with open(path, "rb") as f:
        pending = pickle.load(f)
    (entry,) = [v for v in pending.values() if isinstance(v, tuple)]
    for n in range(int(number)):
        pending["%040x" % n] = entry
        pending["evictions"]["%040x" % n] = 4e9
    with open(path, "wb") as f:
        pickle.dump(pending, f, 1)


@locked
def set(m, name, value):
    setattr(m, name, eval(value))


def told(m):
    """How many messages are on their way."""
    folder = os.path.join(mm_cfg.QUEUE_DIR, "virgin")
    print(len(os.listdir(folder)) if os.path.isdir(folder) else 0)


def shown(value):
    if isinstance(value, dict):
        return sorted([repr(k), shown(v)] for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return [shown(v) for v in value]
    if hasattr(value, "__dict__"):
        return [value.__class__.__name__, shown(vars(value))]
    return repr(value)


def show(m):
    """All that is in the list's files."""
    found = {}
    for name in ("config.pck", "pending.pck", "request.pck"):
        path = os.path.join(m.fullpath(), name)
        if os.path.exists(path):
            with open(path, "rb") as f:
                found[name] = dict((k, v) for k, v in shown(pickle.load(f)))
            found[name + " mode"] = oct(os.stat(path).st_mode)
    print(json.dumps({m.internal_name(): found}, sort_keys=True))
'''
