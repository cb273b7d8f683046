# What `runbook ban`, `unban` and `banned` do on each list: look, change, read back.
#
# Python 2.7 and 3, standard library alone. The change itself is made by ban.py, the file that
# readers of the page create. Of the addresses, only their numbers are sent: see numbering.py.
from __future__ import print_function

import os
import re
import sys

import lists
import mailmanlist
import numbering
import opening
from mailmanlist import PATIENCE, TooSlow, within

# How many of the members that a pattern matches are shown.
SHOWN = 5
# So many addresses are looked for in the bytes of a list's state; more, in the state itself.
FEW = 3
# In a pickle, a text that starts with ^: after an opcode for text and a length, or quoted.
PATTERN_BEGINS = re.compile(
    br"\^(?:(?<=[UC\x8c][\s\S]\^)|(?<=[TXB][\s\S]{4}\^)|(?<=\x8d[\s\S]{8}\^)"
    br"|(?<=S['\"]\^)|(?<=V\^))")
# GLOBAL_BAN_LIST as mm_cfg.py has it.
configured = []
MEMBERS = "matching the pattern with its members"
ENTRIES = "matching the address with its ban list"


class Entries(object):
    """A ban list. Mailman is asked about an address with the entries that can match it alone.

    It reads the whole ban list for each address. An entry that is no pattern matches the address
    that it is, without regard to case and to blanks around it (recording `patterns`).
    """

    def __init__(self, ban, m):
        self.ban = ban
        self.m = m
        self.all = m.ban_list
        self.patterns = []
        self.exactly = set()
        self.folded = {}
        for entry in self.all:
            self.note(entry)

    def note(self, entry):
        self.exactly.add(entry)
        self.folded.setdefault(entry.strip().lower(), []).append(entry)
        if entry.startswith("^"):
            self.patterns.append(entry)

    def same(self, address):
        """The entries that are this address, or this pattern, as they are spelled there."""
        if address.startswith("^"):
            return [address] if address in self.exactly else []
        return self.folded.get(address.strip().lower(), [])

    def ask(self, question, address):
        """What a function of ban.py says of the list and the address."""
        candidates = list(self.same(address))
        if not address.startswith("^"):
            candidates += self.patterns
        self.m.ban_list = candidates
        try:
            return question(self.m, address)
        finally:
            self.m.ban_list = self.all

    def refused_by(self, address):
        return self.ask(self.ban.refused_by, address)

    def add(self, address):
        """Ban it; whether it had not been refused."""
        if self.ask(self.ban.add, address) != "banned":
            return False
        self.all.append(address)
        self.note(address)
        return True

    def remove(self, addresses):
        """Take these out; the entries that were."""
        gone = set()
        for address in addresses:
            if self.ask(self.ban.remove, address) == "unbanned":
                gone.update(self.same(address))
        removed = [entry for entry in self.all if entry in gone]
        if removed:
            self.m.ban_list = [entry for entry in self.all if entry not in gone]
        return removed


class Banning(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        import ban
        from Mailman import mm_cfg
        self.ban = ban
        self.lists = mailmanlist.Lists(site)
        self.site = site
        self.action = parameters["action"]
        self.addresses = parameters["addresses"]
        self.samples = parameters.get("samples", {})
        self.plain = dict((address.lower(), number) for number, address in
                          enumerate(self.addresses) if not address.startswith("^"))
        self.patterns = [(number, address) for number, address in enumerate(self.addresses)
                         if address.startswith("^")]
        site_addresses = [a.lower() for a in site["site_addresses"]]
        # A pattern, a ban for the whole host and an address of the site always need a full look.
        # What every list refuses, though no ban list has it. A process may have several of these
        # objects, one after the other.
        if not configured:
            configured.append(list(getattr(mm_cfg, "GLOBAL_BAN_LIST", ())))
        (for_all,) = configured
        # A pattern that does not compile matches nobody, but Mailman logs it every time.
        mm_cfg.GLOBAL_BAN_LIST = (
            mailmanlist.usable(for_all) if self.action in ("look", "ask") else for_all)
        self.never_strange = (
            bool(self.patterns) or bool(for_all)
            or any(address in self.plain for address in site_addresses))
        self.patience = PATIENCE + len(self.addresses) / 1000.0
        self.too_slow = False

    def entries(self, m):
        """The ban list. Raises NotText."""
        mailmanlist.check_text(m.ban_list)
        return Entries(self.ban, m)

    def matching(self, m, do):
        """Do what matches the list's own patterns; the owner may have entered any.

        Raises TooSlow.
        """
        try:
            with within(self.patience, ENTRIES):
                return do()
        except TooSlow as e:
            slow = [entry for entry in m.ban_list if entry.startswith("^") and self.is_slow(entry)]
            raise TooSlow("%s, by the entry %s" % (e, slow[0]) if slow else str(e))

    def is_slow(self, entry):
        """Whether this entry by itself takes more than a second to match."""
        try:
            with within(1, ENTRIES):
                for address in self.addresses:
                    re.search(entry, address, re.IGNORECASE)
        except TooSlow:
            return True
        except Exception:  # it is no pattern
            pass
        return False

    def refusing(self, m, entries):
        """Which addresses the list refuses, for the answer.

        "refused": by entry, those that it refuses; "" stands for the address itself. "for_all":
        those that an entry for every list refuses, and none of the list's own.
        """
        refused, for_all = {}, []
        for number, entry in self.matching(m, lambda: self.answers(entries)):
            address = self.addresses[number]
            refused.setdefault("" if entry == address else entry, []).append(number)
            if not entries.same(address if entry == address else entry):
                for_all.append(number)
        return {"refused": dict((entry, numbering.told(refused[entry])) for entry in refused),
                "for_all": numbering.told(for_all)}

    def answers(self, entries):
        """(number, entry that refuses it) of each address that is refused."""
        asked = ((number, entries.refused_by(a)) for number, a in enumerate(self.addresses))
        return [(number, entry) for number, entry in asked if entry is not None]

    # -- look: changes nothing, not even a damaged file that Mailman would repair -------

    def look(self, name):
        if self.is_stranger(name):
            return self.looked(name)
        m, note = self.lists.read(name)
        mailmanlist.check_text(m.ban_list)
        every = Entries(self.ban, m)
        has = [n for n, address in enumerate(self.addresses) if every.same(address)]
        m.ban_list = mailmanlist.usable(m.ban_list)
        found = self.looked(name, detail=note, has=numbering.told(has),
                            **self.refusing(m, Entries(self.ban, m)))
        if self.action == "look":
            everybody = m.getMembers()
            found["of_members"] = len(everybody)
            found["subscribed"] = numbering.told(self.subscribed(m))
            found["matched"] = self.by_pattern(m, everybody, lambda a: [len(a), a[:SHOWN]])
            people = list(m.owner) + list(m.moderator) + self.site["site_addresses"]
            found["people"] = dict(self.by_pattern(m, people, list), **self.known(m, people))
        mailmanlist.forget(m)
        return found

    def looked(self, name, **found):
        """The answer: what was found, which may be nothing."""
        if self.lists.has_lock(name):
            found["locked"] = True
        return dict(found, outcome="looked")

    def is_stranger(self, name):
        """Whether the list surely has nothing to do with addresses that are about to be banned.

        Where neither an address nor the beginning of a pattern occurs in a list's state, no
        entry, member or owner can match.
        """
        if self.action != "look" or self.never_strange:
            return False
        folder = os.path.join(self.site["list_dir"], name)
        if os.path.lexists(os.path.join(folder, "extend.py")):
            return False
        try:
            data = opening.read(os.path.join(folder, mailmanlist.STATE), mailmanlist.LARGEST)
        except EnvironmentError:
            return False
        if not data.endswith(b".") or has_pattern(data):
            return False
        if len(self.plain) > FEW:
            return not self.occurs(data)
        wanted = [address.encode("ascii") for address in self.plain]
        # Mostly it is there in these very characters, if it is.
        if any(address in data for address in wanted):
            return False
        data = data.lower()
        return not any(address in data for address in wanted)

    def occurs(self, data):
        """Whether a list's state has any of the addresses, or cannot be judged."""
        try:
            state = mailmanlist.unpickled(data)
            for key in ("ban_list", "owner", "moderator"):
                if any(text.strip().lower() in self.plain for text in state[key]):
                    return True
            return any(address in state[key] for address in self.plain
                       for key in ("members", "digest_members"))
        except Exception:  # a damaged pickle, or an old one, can raise anything
            return True

    def subscribed(self, m):
        """The numbers of the addresses, not of the patterns, that are members."""
        members = ((n, a) for n, a in enumerate(self.addresses)
                   if not a.startswith("^") and m.isMember(a))
        return [n for n, a in members if self.refuses(m, a, m.getMemberCPAddress(a))]

    def known(self, m, people):
        """{number: those of `people` who are that address}, each as it is spelled there."""
        found = {}
        for person in people:
            number = self.plain.get(person.lower())
            if number is not None and self.refuses(m, self.addresses[number], person):
                found.setdefault(str(number), set()).add(person)
        return dict((number, sorted(found[number])) for number in found)

    def by_pattern(self, m, people, answer):
        """{number: answer(those of `people` whom the pattern would refuse)}."""
        found = {}
        for number, pattern in self.patterns:
            matched = self.matched(m, pattern, people)
            if matched:
                found[str(number)] = answer(matched)
        return found

    def matched(self, m, pattern, people):
        if self.too_slow:
            raise TooSlow("%s takes more than %g seconds" % (MEMBERS, PATIENCE))
        try:
            with within(PATIENCE, MEMBERS):
                search = re.compile(pattern, re.IGNORECASE).search
                return sorted(set(
                    a for a in people if search(a) and self.refuses(m, pattern, a)))
        except TooSlow:
            self.too_slow = True
            raise

    def refuses(self, m, entry, person):
        """Whether a list with this entry would refuse somebody. That is Mailman's to say."""
        kept, m.ban_list = m.ban_list, [entry]
        try:
            return m.GetBannedPattern(person) is not None
        finally:
            m.ban_list = kept

    # -- change, and believe only what a fresh look at the disk says --------------------

    def change(self, name, wait):
        if not wait and self.lists.has_lock(name):
            return self.locked(name)
        with self.lists.locked(name, wait) as m:
            entries = self.entries(m)
            edit = self.ban_all if self.action == "ban" else self.unban_all
            numbers, kept = self.matching(m, lambda: edit(entries))
            outcome = {"ban": "banned", "unban": "unbanned"}[self.action] if numbers else "absent"
            answer = None
            if numbers:
                m.Save()
                if self.lists.is_as_saved(m):
                    answer = self.judged(m, outcome)
        if not numbers and self.action == "ban":
            return {"outcome": "already", "detail": ""}
        answer = answer or self.read_back(name, outcome)
        answer["did"] = numbering.told(numbers)
        if numbers:
            # For the journal: this is what undoes the change, to the letter.
            answer["kept"] = kept
        return answer

    def ban_all(self, entries):
        """Ban each; the numbers of those that were not refused, and what undoes it."""
        numbers = [number for number, a in enumerate(self.addresses) if entries.add(a)]
        is_all = 1 < len(numbers) == len(self.addresses)
        return numbers, {"added": "all" if is_all else [self.addresses[n] for n in numbers]}

    def unban_all(self, entries):
        """Lift each; the numbers of those that there were, and what undoes it."""
        numbers = [number for number, a in enumerate(self.addresses) if entries.same(a)]
        return numbers, {"removed": entries.remove([self.addresses[n] for n in numbers])}

    def locked(self, name):
        """The answer for a locked list, on which there may be nothing to do."""
        m, _ = self.lists.read(name)
        entries = self.entries(m)
        if self.action == "unban":
            is_done = not any(entries.same(address) for address in self.addresses)
        else:
            is_done = self.matching(m, lambda: all(
                entries.refused_by(address) is not None for address in self.addresses))
        if not is_done:
            return {"outcome": "locked", "detail": ""}
        if self.action == "unban":
            return self.read_back(name, "absent")
        return {"outcome": "already", "detail": ""}

    def read_back(self, name, outcome):
        m = self.lists.read(name)[0] if outcome == "absent" else self.lists.read_back(name)
        answer = self.judged(m, outcome)
        mailmanlist.forget(m)
        return answer

    def judged(self, m, outcome):
        """The answer for a list as it is on the disk, of which `outcome` is to be true."""
        entries = self.entries(m)
        answer = {}
        if outcome == "banned":
            accepted = self.matching(m, lambda: self.accepted(entries))
            if accepted:
                answer = {"outcome": "error", "accepted": numbering.told(accepted)}
        else:
            answer = self.refusing(m, entries)
            if answer["refused"]:
                answer["outcome"] = "error"
        return dict({"outcome": outcome, "detail": ""}, **answer)

    def accepted(self, entries):
        """The numbers of the addresses that the list does not refuse."""
        return [number for number, address in enumerate(self.addresses)
                if entries.refused_by(address) is None
                or address in self.samples and entries.refused_by(self.samples[address]) is None]


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
    for address in parameters["addresses"] if parameters["action"] in ("look", "ban") else ():
        try:
            if address.startswith("^"):
                re.compile(address, re.IGNORECASE)
        except Exception as e:
            version = ".".join(str(n) for n in sys.version_info[:2])
            emit({"event": "refused", "why":
                  "%r would ban nobody: it does not compile under the Python of the host (%s): %s"
                  % (address, version, e)})
            return
    lists.run_each("banning", parameters, emit)
