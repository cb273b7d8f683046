# What `runbook ban`, `unban` and `banned` do on each list: look, change, read back.
#
# Python 2.7 and 3, standard library alone. The change itself is that of ban.py, the
# file that the page has its readers create.
from __future__ import print_function

import errno
import os
import pickle
import re
import signal
import sys

import lists

PYTHON2 = sys.version_info[0] == 2
# How many of the members that a pattern matches are named.
SHOWN = 5
# In a pickle, text that starts with ^: behind an opcode for text and its length, or quoted.
PATTERN_BEGINS = re.compile(
    br"\^(?:(?<=[UC\x8c][\s\S]\^)|(?<=[TXB][\s\S]{4}\^)|(?<=\x8d[\s\S]{8}\^)"
    br"|(?<=S['\"]\^)|(?<=V\^))")
# Seconds in which a pattern must be matched with all members of a list.
PATIENCE = 5


class TooSlow(Exception):
    """The pattern takes so long to match that it would hold up Mailman."""


class Banning(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        import ban
        from Mailman import Errors, MailList, mm_cfg
        self.ban = ban
        self.errors = Errors
        self.site = site
        self.action = parameters["action"]
        self.address = parameters["address"]
        self.sample = parameters.get("sample")
        self.new_list = MailList.MailList
        # A pattern, a ban for the whole host and an address of the site itself need the full look.
        self.never_strange = (
            self.address.startswith("^") or bool(getattr(mm_cfg, "GLOBAL_BAN_LIST", ()))
            or self.address.lower() in [a.lower() for a in site["site_addresses"]])

        class Unread(MailList.MailList):
            """A list as Mailman makes it, with the reading of its state put off.

            Mailman reads a list when it is made and again once it is locked. The first
            reading is left out before a change; before a mere look, the state is put in
            by hand, since Mailman's own reading repairs or converts what it finds.
            """
            _put_off = True

            def Load(self, *args, **kwargs):
                if not self._put_off:
                    MailList.MailList.Load(self, *args, **kwargs)

        self.unread_list = Unread
        # What every list refuses; no ban list has it.
        self.for_all = list(getattr(mm_cfg, "GLOBAL_BAN_LIST", ()))
        if self.action in ("look", "ask"):
            # What does not compile matches nobody, and Mailman would log it each time.
            mm_cfg.GLOBAL_BAN_LIST = usable(getattr(mm_cfg, "GLOBAL_BAN_LIST", ()))
        self.too_slow = False
        signal.signal(signal.SIGALRM, give_up)

    # -- look: changes nothing, not even a damaged file that Mailman would repair -------

    def look(self, name):
        if self.is_stranger(name):
            return self.looked(name)
        m, note = self.peek(name)
        entries = [e for e in m.ban_list if self.ban.same(e, self.address)]
        m.ban_list = usable(m.ban_list)
        entry = self.ban.refused_by(m, self.address)
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
        m.__dict__.clear()
        return found

    def looked(self, name, **found):
        """What was seen; of a list where there is nothing to see, just that."""
        lock = os.path.join(self.site["lock_dir"], name + ".lock")
        if os.path.lexists(lock):
            found["locked"] = True
        return dict(found, outcome="looked")

    def is_for_all(self, m, entry):
        """Whether an entry is Mailman's for every list, and not the list's own."""
        return entry in self.for_all and entry not in m.ban_list

    def is_stranger(self, name):
        """Whether the list knows nothing of an address that is about to be banned.

        Nothing is certain but a no: where neither the address nor the beginning of a
        pattern occurs in the bytes of a list's state, no entry, member or owner can match.
        """
        if self.action != "look" or self.never_strange:
            return False
        folder = os.path.join(self.site["list_dir"], name)
        try:
            with open(os.path.join(folder, "config.pck"), "rb") as f:
                data = f.read()
        except EnvironmentError:
            return False
        return (data.endswith(b".") and self.address.encode("ascii").lower() not in data.lower()
                and not has_pattern(data)
                and not os.path.lexists(os.path.join(folder, "extend.py")))

    def peek(self, name):
        """The list with the state that is on the disk: (list, what is wrong with it)."""
        m = self.unread_list(name, lock=0)
        problems = []
        for filename in ("config.pck", "config.pck.last"):
            path = os.path.join(m.fullpath(), filename)
            try:
                with open(path, "rb") as f:
                    data = f.read()
            except EnvironmentError as e:
                if e.errno != errno.ENOENT:
                    raise
                problems.append("missing")
                continue
            try:
                state = unpickled(data)
            except Exception as e:  # a damaged pickle can raise anything
                problems.append("damaged (%s)" % (e or type(e).__name__))
                continue
            if not isinstance(state, dict) or "ban_list" not in state:
                problems.append("damaged (it holds no list)")
                continue
            m.__dict__.update(state)
            if not problems:
                return m, ""
            return m, ("config.pck is %s; Mailman goes back to config.pck.last when it next"
                       " loads the list" % problems[0])
        if problems == ["missing", "missing"]:
            raise self.errors.MMUnknownListError(name)
        raise self.errors.MMCorruptListDatabaseError(
            "config.pck is %s, config.pck.last is %s" % tuple(problems))

    def matched(self, m, addresses):
        """Those of `addresses` that the new entry would refuse."""
        if self.too_slow:
            raise TooSlow()
        kept, m.ban_list = m.ban_list, [self.address]
        try:
            signal.alarm(PATIENCE)
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
            signal.alarm(0)
            m.ban_list = kept

    # -- change, and believe only what a fresh load says --------------------------------

    def change(self, name, wait):
        if not wait and os.path.lexists(os.path.join(self.site["lock_dir"], name + ".lock")):
            return self.locked(name)
        m = self.unread_list(name, lock=0)
        m._put_off = False
        had = []

        def edit(m, address):
            lists.clear_unfinished(m.fullpath())
            had.extend(m.ban_list)
            return self.ban.add(m, address) if self.action == "ban" else self.ban.remove(m, address)

        outcome, detail = self.ban.change(m, edit, self.address, wait or lists.BRIEFLY)
        m.__dict__.clear()
        if outcome == "corrupt":
            self.peek(name)  # raises an error that says what is wrong with which file
        if outcome not in ("banned", "unbanned", "absent"):
            return {"outcome": outcome, "detail": detail}
        answer = self.read_back(name, outcome)
        # For the journal: with it the change can be taken back, to the letter.
        if outcome == "banned":
            answer["kept"] = {"added": [self.address]}
        elif outcome == "unbanned":
            answer["kept"] = {"removed": [e for e in had if self.ban.same(e, self.address)]}
        return answer

    def locked(self, name):
        """A list that is locked may have nothing to be done to it."""
        m, _ = self.peek(name)
        if self.action == "ban" and self.ban.refused_by(m, self.address) is not None:
            return {"outcome": "already", "detail": ""}
        if self.action == "unban" and self.ban.remove(m, self.address) == "absent":
            return self.read_back(name, "absent")
        return {"outcome": "locked", "detail": ""}

    def read_back(self, name, outcome):
        m = self.new_list(name, lock=0)
        entry = self.ban.refused_by(m, self.address)
        refuses = entry is not None and (
            not self.sample or m.GetBannedPattern(self.sample) is not None)
        for_all = self.is_for_all(m, entry)
        m.__dict__.clear()
        if outcome == "banned" and not refuses:
            return {"outcome": "error",
                    "detail": "saved, but read again the list still accepts the address"}
        if outcome != "banned" and entry is not None:
            return {"outcome": "error", "refused_by": entry, "for_all": for_all, "detail": ""}
        return {"outcome": outcome, "detail": ""}


def has_pattern(data):
    """Whether text in a pickle may start with ^. Finding each ^ first takes a tenth of the time."""
    at = data.find(b"^")
    while at >= 0:
        if PATTERN_BEGINS.match(data, at):
            return True
        at = data.find(b"^", at + 1)
    return False


def usable(entries):
    """Those of the entries that may match somebody."""
    return [entry for entry in entries if not entry.startswith("^") or compiles(entry)]


def compiles(pattern):
    try:
        re.compile(pattern, re.IGNORECASE)
    except Exception:
        return False
    return True


def give_up(signum, frame):
    raise TooSlow()


def unpickled(data):
    if PYTHON2:
        import cPickle
        return cPickle.loads(data)
    return pickle.loads(data, fix_imports=True, encoding="latin1")


def prepare(site, parameters):
    return Banning(site, parameters)


def do(state, name, wait):
    try:
        if state.action == "names":
            return {"outcome": "named"}
        if state.action in ("look", "ask"):
            return state.look(name)
        return state.change(name, wait)
    except state.errors.MMUnknownListError:
        return {"outcome": "error", "unknown": True, "detail": "there is no such list any more"}
    except state.errors.MMCorruptListDatabaseError as e:
        return {"outcome": "corrupt", "detail": "its state does not load: %s" % e}
    except TooSlow:
        return {"outcome": "error", "detail":
                "matching the pattern with its members takes more than %d seconds" % PATIENCE}
    except EnvironmentError as e:
        return {"outcome": "error", "detail": str(e)}


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
