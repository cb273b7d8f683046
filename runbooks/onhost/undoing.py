# What `runbook undo` does on each list whose ban list, description or members a run changed.
#
# Python 2.7 and 3, standard library alone. Entries that the run put into the ban list are taken
# out, and those that it took out are put back, to the letter. Entries that are gone (or back)
# already are left alone. A description, or another attribute, goes back to what it was, if it still
# is what the run set. Members, and subscriptions that waited, go back to what the run kept of them
# (subscribers.py), unless somebody has subscribed them again since.
from __future__ import print_function

import describing
import lists
import mailmanlist
import saving
import statefiles
import subscribers


class Undoing(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.action = parameters["action"]
        self.site = site
        self.entries = parameters["entries"][site["name"]]
        self.lists = mailmanlist.Lists(site)
        self.files = statefiles.Files(site["list_dir"], self.lists.settings.DATA_DIR)
        self.root = saving.folder_of(parameters["folder"], parameters["undoes"])
        if self.action == "undo":
            self.own_root = saving.folder_of(parameters["journal"]["folder"], parameters["run"])

    def look(self, name):
        m, note = self.lists.read(name)
        found, _ = self.left(name, m)
        mailmanlist.forget(m)
        return dict(found, outcome="looked", detail=note, has_lock=self.lists.has_lock(name))

    def left(self, name, m):
        """What is still to be taken back, and the change to the members that does it.

        "take_out" of the ban list, "put_back" into it; "describe": the description to go back
        to, or None; "described_since": one that somebody has set since the run, or None;
        "set": attributes to go back, with their values; "set_since": those that somebody has set;
        "returning", "leaving": how many members, and subscriptions that wait, are to be put back or
        taken out; "subscribed_since": members that somebody has changed since.
        """
        kept = self.entries[name]
        there = set(entry for entry in m.ban_list if mailmanlist.is_text(entry))
        found = {"take_out": [e for e in kept["added"] if e in there],
                 "put_back": [e for e in kept["removed"] if e not in there],
                 "describe": None, "described_since": None, "set": {}, "set_since": [],
                 "returning": {}, "leaving": {}, "subscribed_since": []}
        for attribute, (was, now) in sorted(kept["set"].items()):
            if getattr(m, attribute) == now:
                found["set"][attribute] = was
            elif getattr(m, attribute) != was:
                found["set_since"].append(attribute)
        if kept["description_set"] is not None:
            now = describing.description(m)
            if now == describing.given(kept["description_set"]):
                found["describe"] = kept["description_was"]
            elif now != describing.given(kept["description_was"]):
                found["described_since"] = now
        change = None
        if kept["subscribers"] != {}:
            change = Change(self, name, m, kept["subscribers"])
            found[change.direction] = subscribers.counts(change.to_do)
            found["subscribed_since"] = change.since
        return found, change

    def undo(self, name, wait):
        kept = {}
        with self.lists.locked(name, wait) as m:
            left, change = self.left(name, m)
            if is_left(left):
                take_out, put_back = left["take_out"], left["put_back"]
                gone = set(take_out)
                m.ban_list = [e for e in m.ban_list
                              if not mailmanlist.is_text(e) or e not in gone] + put_back
                kept.update(removed=take_out, added=put_back)
                if left["describe"] is not None:
                    kept["description_was"] = describing.description(m)
                    describing.describe(m, left["describe"])
                    kept["description_set"] = describing.description(m)
                for attribute, was in left["set"].items():
                    kept.setdefault("set", {})[attribute] = [getattr(m, attribute), was]
                    setattr(m, attribute, was)
                if change:
                    kept["subscribers"] = change.keep()
                try:
                    if change:
                        change.make()
                    m.Save()
                except Exception as e:
                    if not change:
                        raise
                    # Perhaps half of it was done.
                    return dict(mailmanlist.failed(e) or lists.trouble(e), kept=kept)
        answer = {"outcome": "undone" if kept else "already", "detail": ""}
        m = self.lists.read_back(name) if kept else self.lists.read(name)[0]
        left, _ = self.left(name, m)
        if is_left(left):
            answer = {"outcome": "error",
                      "detail": "saved, but read again the list is as it was before"}
        elif left["described_since"] is not None or left["set_since"]:
            answer = {"outcome": "error", "detail": "somebody changed it in the same moment"}
        mailmanlist.forget(m)
        if kept:
            answer["kept"] = kept
        return answer


class Change(object):
    """What takes back what a run did to the members of a list, and to what waits there."""

    def __init__(self, undoing, name, m, recorded):
        self.undoing = undoing
        self.name = name
        self.m = m
        self.waiting = subscribers.Waiting(undoing.files, name)
        kept = subscribers.kept(undoing.root, undoing.site["name"], name, recorded)
        self.takes_out = kept["did"] == subscribers.PUT_BACK
        self.direction = "leaving" if self.takes_out else "returning"
        self.to_do, self.since = subscribers.left(m, self.waiting, kept)

    def keep(self):
        """Keep what is to be changed; how much that is."""
        did = subscribers.TAKE_OUT if self.takes_out else subscribers.PUT_BACK
        site = self.undoing.site["name"]
        subscribers.keep(self.undoing.own_root, site, self.name, did, self.to_do)
        return subscribers.counts(self.to_do)

    def make(self):
        change = subscribers.take_out if self.takes_out else subscribers.put_back
        change(self.m, self.waiting, self.to_do)


def is_left(left):
    return bool(left["take_out"] or left["put_back"] or left["describe"] is not None
                or left["set"] or left["returning"] or left["leaving"])


def prepare(site, parameters):
    return Undoing(site, parameters)


def do(state, name, wait):
    return state.look(name) if state.action == "look" else state.undo(name, wait)


def run(parameters, emit):
    lists.run_each("undoing", parameters, emit)
