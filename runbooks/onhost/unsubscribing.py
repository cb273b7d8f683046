# What `runbook unsubscribe` does on each list: look, take out, read back.
#
# Python 2.7 and 3, standard library alone. What a list had of the addresses is kept on the disk
# before the list is changed (subscribers.py), so that `runbook undo` can put it back, also after
# a run that was killed.
from __future__ import print_function

import collections

import lists
import mailmanlist
import numbering
import saving
import statefiles
import subscribers


class Unsubscribing(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.site = site
        self.parameters = parameters
        self.keys = [address.lower() for address in parameters["addresses"]]
        self.numbers = dict((key, number) for number, key in enumerate(self.keys))
        self.lists = mailmanlist.Lists(site)
        self.files = statefiles.Files(site["list_dir"], self.lists.settings.DATA_DIR)

    def read(self, name, m):
        """(what waits, what the list has of the addresses)."""
        waiting = subscribers.Waiting(self.files, name)
        return waiting, subscribers.find(m, waiting, self.keys)

    def look(self, name):
        m, note = self.lists.read(name)
        waiting, found = self.read(name, m)
        mailmanlist.forget(m)
        return {"outcome": "looked", "detail": note, "locked": self.lists.has_lock(name),
                "subscribed": numbering.told(sorted(self.numbers[key] for key in found["members"])),
                "confirming": self.counted(waiting.script.to_confirm(dict(
                    (key, entry) for key, (entry, _) in found["confirmations"].items()))),
                "requesting": self.counted(waiting.script.to_decide(found["requests"]))}

    def counted(self, waiting):
        """How often each address occurs, by its number."""
        return collections.Counter(self.numbers[address.lower()] for _, address in waiting)

    def change(self, name, wait):
        # Most lists have nobody of them: those need no lock.
        m, _ = self.lists.read(name)
        _, found = self.read(name, m)
        mailmanlist.forget(m)
        if not subscribers.is_any(found):
            return {"outcome": "absent", "detail": ""}
        if not wait and self.lists.has_lock(name):
            return {"outcome": "locked", "detail": ""}
        with self.lists.locked(name, wait) as m:
            waiting, found = self.read(name, m)
            if not subscribers.is_any(found):
                return {"outcome": "absent", "detail": ""}
            root = saving.folder_of(self.parameters["journal"]["folder"], self.parameters["run"])
            subscribers.keep(root, self.site["name"], name, subscribers.TAKE_OUT, found)
            kept = {"subscribers": subscribers.counts(found)}
            try:
                subscribers.take_out(m, waiting, found, self.parameters["tell"])
                m.Save()
            except Exception as e:  # perhaps half of it was done
                return dict(mailmanlist.failed(e) or lists.trouble(e), kept=kept)
        return dict(self.read_back(name), kept=kept)

    def read_back(self, name):
        try:
            m = self.lists.read_back(name)
            _, found = self.read(name, m)
            mailmanlist.forget(m)
        except mailmanlist.Corrupt as e:
            return {"outcome": "error", "detail": "saved, but read again %s" % e}
        except mailmanlist.NotSaved as e:
            return {"outcome": "error", "detail": str(e)}
        if subscribers.is_any(found):
            return {"outcome": "error",
                    "detail": "saved, but read again the list still has what was removed"}
        return {"outcome": "unsubscribed", "detail": ""}


def prepare(site, parameters):
    return Unsubscribing(site, parameters)


def do(state, name, wait):
    look = state.parameters["action"] == "look"
    return state.look(name) if look else state.change(name, wait)


def run(parameters, emit):
    lists.run_each("unsubscribing", parameters, emit)
