# The short way to change a list, which is the safe one: what a program over lists is built on.
#
# Python 2.7 and 3, standard library alone. A program derives a class from Editor and says which
# attributes of a list it sets, when a list is as was asked, and how to make it so. The rest is
# here: a list is read as it is on the disk, changed under its lock, saved, let go of, read back.
# What an attribute was and what it was set to is on record, and `runbook undo` takes it back.
from __future__ import print_function

import mailmanlist


class Editor(object):
    """What a worker keeps between lists."""

    #: the attributes that are set: what JSON can hold, and nothing secret
    attributes = ()

    def __init__(self, site, parameters):
        self.parameters = parameters
        self.lists = mailmanlist.Lists(site)

    def is_done(self, m):
        """Whether the list is as was asked."""
        raise NotImplementedError

    def edit(self, m):
        """Make it so. The list is locked; it is saved afterwards."""
        raise NotImplementedError

    def look(self, name):
        m, note = self.lists.read(name)
        found = {"outcome": "looked", "detail": note, "is_done": self.is_done(m),
                 "locked": self.lists.has_lock(name)}
        mailmanlist.forget(m)
        return found

    def change(self, name, wait):
        kept = {}
        with self.lists.locked(name, wait) as m:
            if not self.is_done(m):
                before = self.values(m)
                self.edit(m)
                after = self.values(m)
                kept = dict((a, [before[a], after[a]]) for a in after if before[a] != after[a])
                m.Save()
        if not kept:
            return {"outcome": "already", "detail": ""}
        m = self.lists.read_back(name)
        answer = {"outcome": "changed", "detail": "", "kept": {"set": kept}}
        if not self.is_done(m):
            answer.update(outcome="error", detail="saved, but read back it is not as asked")
        mailmanlist.forget(m)
        return answer

    def values(self, m):
        return dict((a, getattr(m, a)) for a in self.attributes)


def do(state, name, wait):
    look = state.parameters["action"] == "look"
    return state.look(name) if look else state.change(name, wait)
