# What a list has of an address: as a member, and as a subscription that waits for a confirmation
# or for a moderator. Finds it, takes it out, and puts it back to the letter.
#
# Python 2.7 and 3, standard library alone. What is found is {"members": {key: {attribute: value}},
# "confirmations": {cookie: [entry, when it expires]}, "requests": {number: entry}}, with the
# passwords in it. It is kept, before anything is changed, in the journal's folder, which is
# private to Mailman's user:
#
#   saved/RUN/SITE/LIST/subscribers.pck    {"did": "take out" or "put back", and what was found}
from __future__ import print_function

import os
import pickle
import time

import differing
import mailmanlist
import saving
import statefiles

ROSTERS = ("members", "digest_members")
# What Mailman's own removeMember() removes of a member.
OF_MEMBERS = ROSTERS + ("passwords", "user_options", "language", "topics_userinterest",
                        "usernames", "bounce_info", "delivery_status")
KINDS = ("members", "confirmations", "requests")
FILE = "subscribers.pck"
TAKE_OUT, PUT_BACK = "take out", "put back"
# Python 2 writes what Python 3 can read.
PROTOCOL = 2
# As Mailman writes request.pck.
REQUESTS_PROTOCOL = 1


class Waiting(object):
    """The subscriptions of a list that wait, as they are on the disk. Raises Corrupt."""

    def __init__(self, files, name):
        # Of the page's waiting.py. Mailman can be imported by now.
        import waiting
        self.script = waiting
        self.pending = self.read(files, name, statefiles.PENDING)
        self.requests = self.read(files, name, statefiles.REQUESTS)

    def read(self, files, name, file):
        data = files.content(name, file)
        if data is None:
            return {}
        try:
            content = mailmanlist.unpickled(data)
            if file == statefiles.PENDING:
                self.script.confirmations(content, ())
                dict(content["evictions"])
            else:
                self.script.held(content, ())
        except Exception as e:  # a damaged pickle can raise anything
            raise mailmanlist.Corrupt(
                "its %s is damaged (%s): nothing was changed" % (file, str(e) or type(e).__name__))
        return content

    def find(self, keys):
        expires = self.pending.get("evictions", {})
        return {
            "confirmations": dict((cookie, [self.pending[cookie], expires.get(cookie)])
                                  for cookie in self.script.confirmations(self.pending, keys)),
            "requests": dict((number, self.requests[number])
                             for number in self.script.held(self.requests, keys))}


def find(m, waiting, keys):
    """What a list has of the addresses with these keys: the addresses in lower case."""
    return dict(waiting.find(keys), members=members(m, keys))


def members(m, keys):
    found = {}
    for key in keys:
        if m.isMember(key):
            found[key] = member(m, key)
    return found


def member(m, key):
    """What the list's state has of a member."""
    kept = {}
    for attribute in OF_MEMBERS:
        values = vars(m).get(attribute) or {}
        if key in values:
            kept[attribute] = values[key]
    if not any(roster in kept for roster in ROSTERS):
        raise EnvironmentError("its members are not in its own state (extend.py has them kept"
                               " elsewhere), where they could not be put back")
    return kept


def is_any(found):
    return any(found[kind] for kind in KINDS)


def counts(found):
    return dict((kind, len(found[kind])) for kind in KINDS if found[kind])


# -- changing a list: it is locked -------------------------------------------------------------


def take_out(m, waiting, found, tell=False):
    """Have Mailman remove the members, and discard what waits. The list is to be saved then."""
    from Mailman import mm_cfg
    for number in sorted(found["requests"]):
        m.HandleRequest(number, mm_cfg.DISCARD)
    # Where nobody says otherwise, Mailman does as the list is set.
    told = (None, None) if tell else (0, 0)
    for key in sorted(found["members"]):
        m.ApprovedDeleteMember(key, "runbook", *told)
    if found["confirmations"]:
        waiting.script.forget(m, waiting.pending, found["confirmations"])


def put_back(m, waiting, found):
    """Put all of it where it was. The list is to be saved then."""
    from Mailman import mm_cfg
    for key, kept in found["members"].items():
        for attribute, value in kept.items():
            getattr(m, attribute)[key] = value
    if found["requests"]:
        requests = waiting.requests or {"version": (0, mm_cfg.REQUESTS_FILE_SCHEMA_VERSION)}
        requests.update(found["requests"])
        waiting.script.write(m, statefiles.REQUESTS, requests, REQUESTS_PROTOCOL)
    if found["confirmations"]:
        pending = waiting.pending or {"evictions": {},
                                      "version": mm_cfg.PENDING_FILE_SCHEMA_VERSION}
        for cookie, (entry, expires) in found["confirmations"].items():
            pending[cookie] = entry
            if expires is not None:
                pending["evictions"][cookie] = expires
        waiting.script.write(m, statefiles.PENDING, pending)


# -- taking a change back ----------------------------------------------------------------------


def left(m, waiting, kept):
    """(what of a change is still to be taken back, addresses that somebody has changed since)."""
    takes_out = kept["did"] == PUT_BACK
    to_do, since = dict((kind, {}) for kind in KINDS), []
    for key, was in kept["members"].items():
        there = bool(m.isMember(key))
        is_same = there and differing.same(member(m, key), was)
        if there and not is_same:
            since.append(key)
        elif there == takes_out:
            to_do["members"][key] = was
    for cookie, (entry, expires) in kept["confirmations"].items():
        # Mailman itself drops one that has expired.
        is_due = takes_out or expires is None or expires > time.time()
        if is_due and (cookie in waiting.pending) == takes_out:
            to_do["confirmations"][cookie] = [entry, expires]
    for number, entry in kept["requests"].items():
        # Mailman gives a number once: another request never has it.
        if (number in waiting.requests) == takes_out:
            to_do["requests"][number] = entry
    return to_do, sorted(since)


# -- what is kept ------------------------------------------------------------------------------


def keep(root, site, name, did, found):
    """Keep what a run is about to take out or to put back, on the disk. Raises what saving does."""
    saved = saving.Saved(root, site, name)
    saved.make_folders()
    saved.write(FILE, pickle.dumps(dict(found, did=did), PROTOCOL))
    saved.sync()


def kept(root, site, name, recorded):
    """What a run kept of a list. Raises EnvironmentError if that is damaged or gone.

    `recorded`: its `counts`, of the run's record; None for a run that was killed with the list in
    hand: if it kept nothing, it did not come to change it.
    """
    path = os.path.join(saving.Saved(root, site, name).folder, FILE)
    data = statefiles.content(path)
    if data is None and recorded is None:
        return {"did": TAKE_OUT, "members": {}, "confirmations": {}, "requests": {}}
    try:
        found = mailmanlist.unpickled(data)
        if found["did"] in (TAKE_OUT, PUT_BACK) and recorded in (counts(found), None):
            return found
    except Exception:  # a damaged pickle can raise anything
        pass
    raise EnvironmentError("what was kept of it is damaged or gone: %s" % path)
