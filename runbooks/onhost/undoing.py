# What `runbook undo` does on each list that a run banned an address from, or unbanned it.
#
# Python 2.7 and 3, standard library alone. The entries that the run put into the ban list
# are taken out, those that it took out are put back, to the letter. An entry that is gone
# (or is back) already is nobody's business any more.
from __future__ import print_function

import os

import banning
import lists


class Undoing(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.action = parameters["action"]
        self.entries = parameters["entries"][site["name"]]
        self.lock_dir = site["lock_dir"]
        self.banning = banning.Banning(site, {"action": "ask", "address": ""})

    def look(self, name):
        m, note = self.banning.peek(name)
        take_out, put_back = self.left(name, m.ban_list)
        m.__dict__.clear()
        return {"outcome": "looked", "take_out": take_out, "put_back": put_back, "detail": note,
                "has_lock": os.path.lexists(os.path.join(self.lock_dir, name + ".lock"))}

    def left(self, name, ban_list):
        """What is still to be taken out of the ban list, and put back into it."""
        added, removed = self.entries[name]
        return [e for e in added if e in ban_list], [e for e in removed if e not in ban_list]

    def undo(self, name, wait):
        m = self.banning.unread_list(name, lock=0)
        m._put_off = False
        kept = {}

        def edit(m, _):
            take_out, put_back = self.left(name, m.ban_list)
            if not take_out and not put_back:
                return "already"
            m.ban_list = [e for e in m.ban_list if e not in take_out] + put_back
            kept.update(removed=take_out, added=put_back)
            return "unbanned"

        outcome, detail = self.banning.ban.change(m, edit, "", wait or lists.BRIEFLY)
        m.__dict__.clear()
        if outcome not in ("unbanned", "already"):
            return {"outcome": outcome, "detail": detail}
        answer = {"outcome": "undone" if outcome == "unbanned" else "already", "detail": ""}
        m = self.banning.new_list(name, lock=0)
        if self.left(name, m.ban_list) != ([], []):
            answer = {"outcome": "error",
                      "detail": "saved, but read again the list is as it was before"}
        m.__dict__.clear()
        if kept:
            answer["kept"] = kept
        return answer


def prepare(site, parameters):
    return Undoing(site, parameters)


def do(state, name, wait):
    try:
        return state.look(name) if state.action == "look" else state.undo(name, wait)
    except state.banning.errors.MMUnknownListError:
        return {"outcome": "gone", "detail": "there is no such list any more"}
    except state.banning.errors.MMCorruptListDatabaseError as e:
        return {"outcome": "corrupt", "detail": "its state does not load: %s" % e}
    except EnvironmentError as e:
        return {"outcome": "error", "detail": str(e)}


def run(parameters, emit):
    lists.run_each("undoing", parameters, emit)
