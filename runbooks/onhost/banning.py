# What `runbook ban`, `unban` and `banned` do on each list: look, change, read back.
#
# Python 2.7 and 3, standard library alone. The change itself is made by ban.py, the file that
# readers of the page create.
from __future__ import print_function

import os
import re
import sys

import lists
import mailmanlist
import opening
from mailmanlist import PATIENCE, TooSlow, within

# How many of the members that a pattern matches are shown.
SHOWN = 5
# In a pickle, a text that starts with ^: after an opcode for text and a length, or quoted.
PATTERN_BEGINS = re.compile(
    br"\^(?:(?<=[UC\x8c][\s\S]\^)|(?<=[TXB][\s\S]{4}\^)|(?<=\x8d[\s\S]{8}\^)"
    br"|(?<=S['\"]\^)|(?<=V\^))")
MEMBERS = "matching the pattern with its members"
ENTRIES = "matching the address with its ban list"


class Banning(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        import ban
        from Mailman import mm_cfg
        self.ban = ban
        self.lists = mailmanlist.Lists(site)
        self.site = site
        self.action = parameters["action"]
        self.address = parameters["address"]
        self.sample = parameters.get("sample")
        # A pattern, a ban for the whole host and an address of the site always need a full look.
        self.never_strange = (
            self.address.startswith("^") or bool(getattr(mm_cfg, "GLOBAL_BAN_LIST", ()))
            or self.address.lower() in [a.lower() for a in site["site_addresses"]])
        # What every list refuses, though no ban list has it.
        self.for_all = list(getattr(mm_cfg, "GLOBAL_BAN_LIST", ()))
        if self.action in ("look", "ask"):
            # A pattern that does not compile matches nobody, but Mailman logs it every time.
            mm_cfg.GLOBAL_BAN_LIST = mailmanlist.usable(self.for_all)
        self.too_slow = False

    def ask(self, question, m):
        """What a function of ban.py says of the list and the address.

        It matches the list's own patterns, and the owner may have entered any. Raises TooSlow,
        NotText.
        """
        mailmanlist.check_text(m.ban_list)
        try:
            with within(PATIENCE, ENTRIES):
                return question(m, self.address)
        except TooSlow as e:
            slow = [entry for entry in m.ban_list if self.is_slow(entry)]
            raise TooSlow("%s, by the entry %s" % (e, slow[0]) if slow else str(e))

    def is_slow(self, entry):
        """Whether this entry by itself takes more than a second to match."""
        try:
            with within(1, ENTRIES):
                re.search(entry, self.address, re.IGNORECASE)
        except TooSlow:
            return True
        except Exception:  # it is no pattern
            pass
        return False

    # -- look: changes nothing, not even a damaged file that Mailman would repair -------

    def look(self, name):
        if self.is_stranger(name):
            return self.looked(name)
        m, note = self.lists.read(name)
        mailmanlist.check_text(m.ban_list)
        entries = [e for e in m.ban_list if self.ban.same(e, self.address)]
        m.ban_list = mailmanlist.usable(m.ban_list)
        entry = self.ask(self.ban.refused_by, m)
        found = self.looked(name, refused_by=entry, entries=entries, detail=note,
                            for_all=self.is_for_all(m, entry))
        if self.action == "look":
            everybody = m.getMembers()
            members = self.matched(m, everybody)
            found["members"] = len(members)
            found["some_members"] = members[:SHOWN]
            found["of_members"] = len(everybody)
            people = list(m.owner) + list(m.moderator) + self.site["site_addresses"]
            found["people"] = self.matched(m, people)
        mailmanlist.forget(m)
        return found

    def looked(self, name, **found):
        """The answer: what was found, which may be nothing."""
        if self.lists.has_lock(name):
            found["locked"] = True
        return dict(found, outcome="looked")

    def is_for_all(self, m, entry):
        """Whether an entry is one for every list, and not the list's own."""
        return entry in self.for_all and entry not in m.ban_list

    def is_stranger(self, name):
        """Whether the list surely has nothing to do with an address that is about to be banned.

        Where neither the address nor the beginning of a pattern occurs in the bytes of a
        list's state, no entry, member or owner can match.
        """
        if self.action != "look" or self.never_strange:
            return False
        folder = os.path.join(self.site["list_dir"], name)
        try:
            data = opening.read(os.path.join(folder, mailmanlist.STATE), mailmanlist.LARGEST)
        except EnvironmentError:
            return False
        return (data.endswith(b".") and self.address.encode("ascii").lower() not in data.lower()
                and not has_pattern(data)
                and not os.path.lexists(os.path.join(folder, "extend.py")))

    def matched(self, m, addresses):
        """Those of `addresses` that the new entry would refuse."""
        if self.too_slow:
            raise TooSlow("%s takes more than %g seconds" % (MEMBERS, PATIENCE))
        kept, m.ban_list = m.ban_list, [self.address]
        try:
            with within(PATIENCE, MEMBERS):
                if self.address.startswith("^"):
                    search = re.compile(self.address, re.IGNORECASE).search
                    likely = [a for a in addresses if search(a)]
                else:
                    wanted = self.address.lower()
                    likely = [a for a in addresses if a.lower() == wanted]
                return sorted(set(a for a in likely if m.GetBannedPattern(a) is not None))
        except TooSlow:
            self.too_slow = True
            raise
        finally:
            m.ban_list = kept

    # -- change, and believe only what a fresh look at the disk says --------------------

    def change(self, name, wait):
        if not wait and self.lists.has_lock(name):
            return self.locked(name)
        had = []
        with self.lists.locked(name, wait) as m:
            had.extend(m.ban_list)
            outcome = self.ask(self.ban.add if self.action == "ban" else self.ban.remove, m)
            if outcome in ("banned", "unbanned"):
                m.Save()
        if outcome == "already":
            return {"outcome": outcome, "detail": ""}
        answer = self.read_back(name, outcome)
        # For the journal: this is what undoes the change, to the letter.
        if outcome == "banned":
            answer["kept"] = {"added": [self.address]}
        elif outcome == "unbanned":
            answer["kept"] = {"removed": [e for e in had if self.ban.same(e, self.address)]}
        return answer

    def locked(self, name):
        """The answer for a locked list, on which there may be nothing to do."""
        m, _ = self.lists.read(name)
        if self.action == "ban" and self.ask(self.ban.refused_by, m) is not None:
            return {"outcome": "already", "detail": ""}
        if self.action == "unban" and self.ask(self.ban.remove, m) == "absent":
            return self.read_back(name, "absent")
        return {"outcome": "locked", "detail": ""}

    def read_back(self, name, outcome):
        m = self.lists.read(name)[0] if outcome == "absent" else self.lists.read_back(name)
        entry = self.ask(self.ban.refused_by, m)
        refuses = entry is not None and (not self.sample or self.ask(
            lambda m, address: m.GetBannedPattern(self.sample), m) is not None)
        for_all = self.is_for_all(m, entry)
        mailmanlist.forget(m)
        if outcome == "banned" and not refuses:
            return {"outcome": "error",
                    "detail": "saved, but read again the list still accepts the address"}
        if outcome != "banned" and entry is not None:
            return {"outcome": "error", "refused_by": entry, "for_all": for_all, "detail": ""}
        return {"outcome": outcome, "detail": ""}


def has_pattern(data):
    """Whether a text in a pickle may start with ^. To look for ^ first is ten times as fast."""
    at = data.find(b"^")
    while at >= 0:
        if PATTERN_BEGINS.match(data, at):
            return True
        at = data.find(b"^", at + 1)
    return False


def prepare(site, parameters):
    return Banning(site, parameters)


def do(state, name, wait):
    try:
        return state.look(name) if state.action in ("look", "ask") else state.change(name, wait)
    except mailmanlist.Gone as e:
        return {"outcome": "error", "detail": str(e), "unknown": True}


def run(parameters, emit):
    if parameters["action"] in ("look", "ban") and parameters["address"].startswith("^"):
        try:
            re.compile(parameters["address"], re.IGNORECASE)
        except Exception as e:
            version = ".".join(str(n) for n in sys.version_info[:2])
            emit({"event": "refused", "why":
                  "it does not compile under the Python of the host (%s): %s" % (version, e)})
            return
    lists.run_each("banning", parameters, emit)
