# What `runbook undo` does on each list whose ban list, or description, a run changed.
#
# Python 2.7 and 3, standard library alone. Entries that the run put into the ban list are taken
# out, and those that it took out are put back, to the letter. Entries that are gone (or back)
# already are left alone. A description, or another attribute, goes back to what it was, if it still
# is what the run set.
from __future__ import print_function

import describing
import lists
import mailmanlist


class Undoing(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.action = parameters["action"]
        self.entries = parameters["entries"][site["name"]]
        self.lists = mailmanlist.Lists(site)

    def look(self, name):
        m, note = self.lists.read(name)
        found = self.left(name, m)
        mailmanlist.forget(m)
        return dict(found, outcome="looked", detail=note, has_lock=self.lists.has_lock(name))

    def left(self, name, m):
        """What is still to be taken back.

        "take_out" of the ban list, "put_back" into it; "describe": the description to go back
        to, or None; "described_since": one that somebody has set since the run, or None;
        "set": attributes to go back, with their values; "set_since": those that somebody has set.
        """
        kept = self.entries[name]
        there = set(entry for entry in m.ban_list if mailmanlist.is_text(entry))
        found = {"take_out": [e for e in kept["added"] if e in there],
                 "put_back": [e for e in kept["removed"] if e not in there],
                 "describe": None, "described_since": None, "set": {}, "set_since": []}
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
        return found

    def undo(self, name, wait):
        kept = {}
        with self.lists.locked(name, wait) as m:
            left = self.left(name, m)
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
                m.Save()
        answer = {"outcome": "undone" if kept else "already", "detail": ""}
        m = self.lists.read_back(name) if kept else self.lists.read(name)[0]
        left = self.left(name, m)
        if is_left(left):
            answer = {"outcome": "error",
                      "detail": "saved, but read again the list is as it was before"}
        elif left["described_since"] is not None or left["set_since"]:
            answer = {"outcome": "error", "detail": "somebody changed it in the same moment"}
        mailmanlist.forget(m)
        if kept:
            answer["kept"] = kept
        return answer


def is_left(left):
    return bool(left["take_out"] or left["put_back"] or left["describe"] is not None
                or left["set"])


def prepare(site, parameters):
    return Undoing(site, parameters)


def do(state, name, wait):
    return state.look(name) if state.action == "look" else state.undo(name, wait)


def run(parameters, emit):
    lists.run_each("undoing", parameters, emit)
