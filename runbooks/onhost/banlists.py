# What `runbook bans` asks each list: its entries, and the runs that put them there.
#
# Python 2.7 and 3, standard library alone. Nothing is changed, and no lock is needed: a list is
# read as it is on the disk.
#
# After an attack, thousands of entries are on all of a thousand lists, and yet no two lists have
# quite the same ones. So a worker says of each list only what differs from the one before. The
# journal is read once, before the workers are made, and each entry is looked up here.
from __future__ import print_function

import os
import time

import journal
import lists
import mailmanlist

# Set before there are workers, which have it from then on.
histories = None


# -- which run put an entry there -------------------------------------------------------------


class Histories(object):
    """What the runs on record did to the ban lists.

    Lists to which the same was done share one history: a step is (the step before, the number of
    the run, what it added, what it removed). It is kept once, and worked out when it is needed.
    """

    def __init__(self, runs):
        self.adders = []
        self.last = {}  # (site, list): its last step
        self.steps = {}
        self.texts = {}
        self.worked_out = (None, {})
        for run in runs:
            self.follow(run)

    def follow(self, run):
        number = None
        for site, name, _, kept in run.lists():
            added, removed = self.same(kept.get("added", ())), self.same(kept.get("removed", ()))
            if not added and not removed:
                continue
            if number is None:
                number = len(self.adders)
                self.adders.append({"run": run.run, "at": run.begin.get("at", ""),
                                    "command": run.begin.get("command", "?"),
                                    "login": run.begin.get("login", "?")})
            step = (self.last.get((site, name)), number, added, removed)
            self.last[site, name] = self.steps.setdefault(step, len(self.steps))
        del run.lines[:]

    def same(self, entries):
        """The entries as a tuple, the same one for all that are equal."""
        entries = tuple(entries)
        return self.texts.setdefault(entries, entries)

    def freeze(self):
        """No more runs: the steps in their order."""
        steps = [None] * len(self.steps)
        for step, place in self.steps.items():
            steps[place] = step
        self.steps, self.texts = steps, None

    def added_by(self, step):
        """By entry, the number of the last run that added it, and was not taken back."""
        if self.worked_out[0] != step:
            way, at = [], step
            while at is not None:
                way.append(self.steps[at])
                at = way[-1][0]
            found = {}
            for _, number, added, removed in reversed(way):
                for entry in removed:
                    found.pop(entry, None)
                found.update(dict.fromkeys(added, number))
            self.worked_out = (step, found)
        return self.worked_out[1]


# -- the lists --------------------------------------------------------------------------------


class BanLists(object):
    """What a worker keeps between lists."""

    def __init__(self, site):
        from Mailman import mm_cfg
        self.site = site
        # No two workers have the same, though they may have the same process id.
        self.worker = "%d at %f" % (os.getpid(), time.time())
        self.for_all = list(getattr(mm_cfg, "GLOBAL_BAN_LIST", ()))
        self.told = 0
        # Of the list before: its entries, the step of its history, the runs.
        self.entries, self.step, self.added_by = set(), None, {}
        self.compiled = set()

    def look(self, name):
        state, note = mailmanlist.read_state(os.path.join(self.site["list_dir"], name))
        had = state.get("ban_list", [])
        if not isinstance(had, (list, tuple)):
            raise mailmanlist.NotText("its ban list is not a list: Mailman fails on it and"
                                      " accepts no subscription")
        if not self.told:
            lists.tell(self.of_the_site())
        self.told += 1
        answer = {"outcome": "looked", "detail": note, "worker": self.worker, "number": self.told}
        answer.update(self.difference(name, texts(had)))
        if len(had) > len(self.entries):
            answer["no_text"] = no_texts(had)
        return answer

    def of_the_site(self):
        entries = texts(self.for_all)
        return {"event": "for_all", "entries": list(entries), "no_text": no_texts(self.for_all),
                "broken": broken(entries)}

    def difference(self, name, entries):
        """What this list has otherwise than the one before."""
        step = histories.last.get((self.site["name"], name))
        if step == self.step and entries == self.entries:
            return {}
        added_by = histories.added_by(step)
        gained = entries - self.entries
        if step != self.step:
            before = self.added_by
            gained.update(entry for entry in entries
                          if added_by.get(entry) != before.get(entry))
        found = {"lost": list(self.entries - entries), "gained": {}}
        for entry in gained:
            found["gained"].setdefault(str(added_by.get(entry, "")), []).append(entry)
        found["broken"] = broken(gained - self.compiled)
        self.compiled |= gained
        self.entries, self.step, self.added_by = entries, step, added_by
        return found


def texts(entries):
    return set(entry for entry in entries if mailmanlist.is_text(entry))


def no_texts(entries):
    return [repr(entry) for entry in entries if not mailmanlist.is_text(entry)]


def broken(entries):
    """The patterns among the entries that this Python does not compile, and why."""
    found = {}
    for entry in entries:
        why = mailmanlist.why_not_compiled(entry) if entry.startswith("^") else ""
        if why:
            found[entry] = why
    return found


def prepare(site, parameters):
    return BanLists(site)


def do(state, name, wait):
    return state.look(name)


def run(parameters, emit):
    global histories
    histories = Histories(journal.read_all(parameters["folders"], emit))
    histories.freeze()
    emit({"event": "adders", "runs": histories.adders})
    lists.run_each("banlists", parameters, emit)
