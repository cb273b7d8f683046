"""What is true of a Mailman 2 server, to judge by what a command printed there.

It is asked of the server itself, by ordinary means (Mailman's own classes, ``stat``, ``ps``, the
journal), and never of the programs that are judged. Nothing is changed by asking. Some things are
only true before a command was run (who had the lock), others only afterwards (which run was
recorded): a `Witness` asks at the right moments.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from runbooks.book import expected
from runbooks.book.expected import Part, Untrue
from runbooks.mailman.installation import Installation, Site, as_mailmans_user
from runbooks.onhost import source

#: Runs a command line in a shell of the host, as whoever works there; what it printed.
Shell = Callable[[str], str]

#: For Mailman's interpreter, 2.7 or 3: every list of a site that loads, as Mailman has it.
_LISTS = (
    source("seen")
    + """
import json, sys
sys.path.insert(0, sys.argv[1])
import paths
from Mailman import MailList, Utils
found = {}
for name in Utils.list_names():
    try:
        m = MailList.MailList(name, lock=0)
    except Exception:
        continue
    found[name] = seen(m, json.loads(sys.argv[2]), json.loads(sys.argv[3]))
print(json.dumps(found))
"""
)

#: In the order in which they are told.
_FILTERS = (
    *("accept_these_nonmembers", "hold_these_nonmembers", "reject_these_nonmembers"),
    *("discard_these_nonmembers", "subscribe_auto_approval"),
)
_CLOSED = "subscribe_policy_before_closing"
#: What is asked of each list.
ATTRIBUTES = ("owner", "moderator", "ban_list", "subscribe_policy", _CLOSED, *_FILTERS)

#: What ``closing.py`` sets.
_APPROVAL = 2

_ALIASES = "/etc/aliases"


@dataclass(frozen=True)
class Listing:
    """A list, as Mailman loads it."""

    site: str
    name: str
    has: Mapping[str, Any]

    def refused_by(self, address: str) -> str | None:
        """The entry by which it refuses an address, or a pattern: by itself."""
        if address.startswith("^"):
            return address if address in self.has["ban_list"] else None
        entry: str | None = self.has["refused_by"][address]
        return entry

    def refuses(self, address: str) -> bool:
        return self.refused_by(address) is not None

    def bans(self, address: str) -> bool:
        """Whether the very entry is in its ban list."""
        if address.startswith("^"):
            return address in self.has["ban_list"]
        return address.lower() in [entry.strip().lower() for entry in self.has["ban_list"]]

    def roles(self, address: str) -> list[str]:
        """As what it knows an address."""
        where = {"member": self.has["members"]}
        where |= {role: self.has[role] for role in ("owner", "moderator")}
        found = [role for role, those in where.items() if _among(address, those)]
        if (entry := self.refused_by(address)) is not None:
            found.append(f"banned by {entry}")
        return found + [name for name in _FILTERS if _among(address, self.has[name] or ())]

    def waiting(self, address: str) -> tuple[int, int]:
        """Its subscriptions that wait for a confirmation, and those for a moderator."""
        confirming, requesting = (
            [one.lower() for one in self.has[what]].count(address.lower())
            for what in ("confirming", "requesting")
        )
        return confirming, requesting

    def has_member(self, address: str) -> bool:
        return _among(address, self.has["members"])

    def has_any(self, address: str) -> bool:
        """Whether it is a member, or has a subscription that waits."""
        return self.has_member(address) or any(self.waiting(address))

    @property
    def policy(self) -> int:
        """Its ``subscribe_policy`` when it is not closed."""
        policy, before = self.has["subscribe_policy"], self.has[_CLOSED]
        found: int = policy if before is None or policy != _APPROVAL else before
        return found


def is_entry(word: str) -> bool:
    """Whether it is an entry of a ban list, and no name of a site or list."""
    return bool(re.search("[@^]", word))


def _among(address: str, those: Iterable[str]) -> bool:
    return address.strip().lower() in [one.strip().lower() for one in those]


@dataclass(frozen=True)
class Name:
    """One name in a lock folder."""

    path: str
    inode: str
    size: str
    links: str
    #: as ``ls --time-style=full-iso`` shows it
    expiry: str
    expires: int
    taken: int


@dataclass(frozen=True)
class Locking:
    """The lock of a list, those who want it, and all processes there are."""

    lock: Name
    holder: Name
    claims: tuple[Name, ...]
    #: their command lines, by process id
    processes: Mapping[int, str]
    now: datetime

    def shown(self, seconds: int) -> str:
        """A moment as `runbook` shows it."""
        at = self.at(seconds)
        today = at.date() == self.now.date()
        zone = f"{at:%z}" if at.utcoffset() else "UTC"
        return f"{at:%H:%M} {zone}" if today else f"{at:%Y-%m-%d %H:%M} {zone}"

    def at(self, seconds: int) -> datetime:
        return datetime.fromtimestamp(seconds, self.now.tzinfo)

    @property
    def waiting(self) -> list[Name]:
        """The claims of processes that wait."""
        others = [claim for claim in self.claims if claim.inode != self.lock.inode]
        return [claim for claim in others if pid_of(claim.path) in self.processes]


def pid_of(claim: str) -> int:
    """The process in the name of a claim: ``LIST.lock.HOST.PID.SEQ``, read from the right."""
    found = claim.rsplit(".", 2)[1:2]
    if not found or not found[0].isdigit():
        raise Untrue(f"{claim} is not the name of a claim")
    return int(found[0])


@dataclass
class Look:
    """What is true at one moment. Each thing is asked when it is first wanted, and kept."""

    installation: Installation
    shell: Shell
    #: what may be banned; every list is asked about it
    addresses: Collection[str] = ()
    _locks: dict[tuple[str, str], Locking | Untrue] = field(default_factory=dict)

    def know(self, lists: Iterable[Listing]) -> Look:
        """Have it know the lists, which need not be asked then."""
        self.lists = {(one.site, one.name): one for one in lists}
        return self

    @cached_property
    def lists(self) -> dict[tuple[str, str], Listing]:
        """Every list that loads, by site and name."""
        found = {}
        for site in self.installation.sites:
            plain = sorted(one for one in self.addresses if not one.startswith("^"))
            command = as_mailmans_user(
                *(self.installation, site, self.installation.interpreter, "-c", _LISTS),
                *(self.installation.bin, json.dumps(ATTRIBUTES), json.dumps(plain)),
            )
            answer = self.shell(f"cd / && {command}")
            for name, has in json.loads(answer).items():
                found[site.name, name] = Listing(site.name, name, has)
        return dict(sorted(found.items()))

    @cached_property
    def runs(self) -> list[str]:
        """The runs in the journal, in its order."""
        path = f"{self.installation.sites[0].prefix}/runbook/journal.jsonl"
        text = self.shell(f"cat {shlex.quote(path)} 2>/dev/null || :")
        return re.findall(r'^\{"run": "([^"]+)", "begin"', text, re.MULTILINE)

    @cached_property
    def aliases(self) -> list[str]:
        """The mail aliases there are."""
        text = self.shell(f"cat {_ALIASES} 2>/dev/null || :")
        return re.findall(r"^([^\s#:]+):", text, re.MULTILINE)

    def lock(self, site: Site, name: str) -> Locking:
        """The lock of a list. Raises Untrue when it has none."""
        if (site.name, name) not in self._locks:
            path = f"{site.lock_dir}/{name}.lock"
            answer = self.shell(
                f"lock={shlex.quote(path)}\n"
                'cat "$lock"; echo; echo; date "+%s %z"; echo\n'
                'stat -c \'%i|%s|%h|%y|%Y|%Z|%n\' "$lock" "$lock".*; echo\n'
                "ps -e -o pid= -o args="
            )
            try:
                self._locks[site.name, name] = _locking(path, answer)
            except Untrue as e:
                self._locks[site.name, name] = e
        found = self._locks[site.name, name]
        if isinstance(found, Untrue):
            raise found
        return found

    def ask(self, placeholder: Part) -> None:
        """Ask now what may no longer be true later."""
        if placeholder.name in ("NEW_ALIAS", "NEW_ALIAS_OF_OTHERS"):
            self.aliases  # noqa: B018
        elif placeholder.name == "RUN":
            self.runs  # noqa: B018
        elif placeholder.name in ("CLAIM", "LOCK", "DEAD", "WAITER"):
            with suppress(Untrue):
                self.lock(site_of(self.installation, placeholder), placeholder.of[-1])
        elif placeholder.name in _ABOUT_LISTS:
            self.lists  # noqa: B018


_ABOUT_LISTS = frozenset(
    (
        *("LIST", "LIST_KNOWING", "LISTS", "OTHERS", "TO_BAN", "TO_UNBAN", "BANNED", "UNBANNED"),
        *("LIST_WITH_MEMBER", "NAMED_LIST", "NO_MEMBER", "TO_UNSUBSCRIBE", "UNSUBSCRIBED"),
        "MEMBERSHIPS",
        *("CONFIRMATIONS", "REQUESTS", "WAITING"),
        *("MISSING_BANS", "CAUGHT_UP", "OUTCOME", "MATCH", "ACCEPTED", "OWNERS", "ROLES", "POLICY"),
    )
)


def _locking(path: str, answer: str) -> Locking:
    try:
        content, now, names, processes = answer.split("\n\n", 3)
    except ValueError:
        raise Untrue(f"there is no lock {path}: {answer.strip()[:200]}") from None
    found = []
    for line in names.splitlines():
        inode, size, links, expiry, expires, taken, name = line.split("|", 6)
        found.append(Name(name, inode, size, links, expiry, int(expires), int(taken)))
    lock = next((one for one in found if one.path == path), None)
    claims = tuple(one for one in found if one.path != path)
    holder = next((one for one in claims if one.path == content), None)
    if lock is None or holder is None or holder.inode != lock.inode:
        raise Untrue(f"{path} is no lock that a process took: it names {content!r}")
    seconds, offset = now.split()
    hours = timedelta(hours=int(offset[:3]), minutes=int(offset[0] + offset[3:]))
    running = [line.strip().partition(" ") for line in processes.splitlines()]
    return Locking(
        lock,
        holder,
        claims,
        {int(pid): command.strip() for pid, _, command in running if pid},
        datetime.fromtimestamp(int(seconds), timezone(hours)),
    )


def site_of(installation: Installation, part: Part) -> Site:
    """The site that a placeholder is about. Raises Untrue when the server has none of its name."""
    for site in installation.sites:
        if site.name == part.of[-2]:
            return site
    raise Untrue(f"there is no site {part.of[-2]}")


#: What a line is about, where that tells more than its text does.
Subject = Listing | Name


@dataclass(frozen=True)
class Truth:
    """What may stand for the placeholders in what one command printed.

    `start`: before the first command of the procedure. `before` and `after`: this command.
    """

    installation: Installation
    start: Look
    before: Look
    after: Look

    def subjects(self, part: Part) -> Sequence[tuple[str, Subject | None]]:
        """See `expected.Truth`."""
        match part.name, part.of:
            case "LIST", sites:
                return self._labelled(self._lists(self.before, sites), sites)
            case "LIST_KNOWING", (address, *sites):
                lists = self._lists(self.before, sites)
                knowing = [one for one in lists if one.roles(address)]
                return self._labelled(knowing, sites)
            case "LIST_WITH_MEMBER", (address, *sites):
                lists = self._lists(self.before, sites)
                return [(one.name, one) for one in lists if one.has_member(address)]
            case "NAMED_LIST", (site, name):
                lists = self._lists(self.before, [site])
                named = [(one.name, one) for one in lists if one.name == name]
                if not named:
                    raise Untrue(f"{site} has no list {name}")
                return named
            case "NO_MEMBER", (address, site, name):
                lists = self._lists(self.before, [site])
                having = [one for one in lists if one.name == name and one.has_member(address)]
                return [] if having else [(address, None)]
            case "CLAIM", (_, name):
                claims = self.before.lock(site_of(self.installation, part), name).claims
                return [(claim.path, claim) for claim in claims]
            case (("NEW_ALIAS" | "NEW_ALIAS_OF_OTHERS"), (name,)):
                new = [one for one in self.after.aliases if one not in self.before.aliases]
                its = re.compile(rf"{re.escape(name)}(-[a-z]+)?")
                ours = part.name == "NEW_ALIAS"
                return [(one, None) for one in new if bool(its.fullmatch(one)) is ours]
            case "LINT", ():
                lints = shutil.which("puppet-lint") is not None
                return [(part.text, None)] if lints else []
        raise ValueError(f"{part} names nothing")

    def _lists(self, look: Look, sites: Sequence[str]) -> list[Listing]:
        return [one for one in look.lists.values() if not sites or one.site in sites]

    def _labelled(
        self, lists: Sequence[Listing], sites: Sequence[str]
    ) -> list[tuple[str, Listing]]:
        """With the site behind a name that several sites have."""
        number = Counter(one.name for one in self._lists(self.before, sites))
        return [
            (f"{one.name} ({one.site})" if number[one.name] > 1 else one.name, one) for one in lists
        ]

    def value(self, part: Part, subject: Subject | None) -> str:
        """See `expected.Truth`."""
        if isinstance(subject, Listing):
            return self._of_list(part, subject)
        if isinstance(subject, Name):
            return {"LINKS": subject.links, "SIZE": subject.size}[part.name]
        found = self.installation
        match part.name, part.of:
            case "HOST", ():
                return found.hostname
            case "HOST_OPTION", ():
                return found.host.option
            case "MAILMAN", ():
                return found.version + (f" ({found.note})" if found.note else "")
            case "PYTHON", ():
                return found.python
            case "INTERPRETER", ():
                return found.interpreter
            case "VALIDATION", ():
                # Of the machine that the command is typed on.
                if shutil.which("puppet"):
                    return "puppet parser validate accepts it"
                return "puppet is not installed here, so it did not read the file"
            case "RUN", ():
                new = [run for run in self.after.runs if run not in self.before.runs]
                if len(new) != 1:
                    raise Untrue(f"the journal has {len(new)} new runs")
                return new[0]
            case "LISTS", sites:
                return f"{len(self._lists(self.before, sites)):,}"
            case "OTHERS", (site, name):
                others = [one for one in self._lists(self.before, [site]) if one.name != name]
                return f"{len(others):,}"
            case (("TO_BAN" | "TO_UNBAN" | "BANNED" | "UNBANNED"), about):
                entries = [word for word in about if is_entry(word)]
                return f"{self._number(part.name, entries, about[len(entries) :]):,}"
            case "TO_UNSUBSCRIBE", (address, *sites):
                return f"{len(self._with_any(address, sites)):,}"
            case "UNSUBSCRIBED", (address,):
                lists = self._with_any(address, ())
                return f"{sum(not self._after(one).has_any(address) for one in lists):,}"
            case "MEMBERSHIPS", (address,):
                lists = self._lists(self.before, ())
                return f"{sum(one.has_member(address) for one in lists):,}"
            case (("CONFIRMATIONS" | "REQUESTS"), (address,)):
                lists = self._lists(self.before, ())
                which = int(part.name == "REQUESTS")
                return f"{sum(one.waiting(address)[which] for one in lists):,}"
            case "MISSING_BANS", (site, name):
                missing = self._missing_bans(site, name)
                if not missing:
                    raise Untrue(f"{name} lacks no ban that all other lists of {site} have")
                return ", ".join(missing)
            case "CAUGHT_UP", (site, name):
                missing = self._missing_bans(site, name)
                return f"banned {' '.join(missing)}" if missing else "nothing to ban"
            case "LOCK", (what, _, name):
                return self._of_lock(what, self._lock(part), name)
            case "DEAD", (_, _):
                locking = self._lock(part)
                pid = pid_of(locking.holder.path)
                if pid in locking.processes:
                    raise Untrue(f"process {pid} has the lock, and runs")
                return str(pid)
            case "WAITER", (what, _, name):
                waiting = self._lock(part).waiting
                if len(waiting) != 1:
                    raise Untrue(f"{len(waiting)} processes wait for {name}")
                pid = pid_of(waiting[0].path)
                return {"pid": str(pid), "command": self._lock(part).processes[pid]}[what]
        raise ValueError(f"{part} names nothing")

    def _number(self, what: str, entries: Sequence[str], sites: Sequence[str]) -> int:
        """How many lists are to be changed, for any of `entries`, or were, for all of them."""
        if not entries:
            raise ValueError(f"{what} is about no address")
        lists = self._lists(self.before, sites)
        if what in ("TO_BAN", "BANNED"):
            lists = [one for one in lists if not all(map(one.refuses, entries))]
        else:
            lists = [one for one in lists if any(map(one.bans, entries))]
        if what == "BANNED":
            lists = [one for one in lists if all(map(self._after(one).refuses, entries))]
        elif what == "UNBANNED":
            lists = [one for one in lists if not any(map(self._after(one).refuses, entries))]
        return len(lists)

    def _with_any(self, address: str, sites: Sequence[str]) -> list[Listing]:
        """The lists of which it was to be unsubscribed."""
        return [one for one in self._lists(self.before, sites) if one.has_any(address)]

    def _after(self, before: Listing) -> Listing:
        try:
            return self.after.lists[before.site, before.name]
        except KeyError:
            raise Untrue(f"the list {before.name} of {before.site} is gone") from None

    def _of_list(self, part: Part, before: Listing) -> str:
        after = self._after(before)
        match part.name, part.of:
            case "OUTCOME", ("ban", address):
                return self._outcome(
                    before.refuses(address),
                    after.refuses(address),
                    ("banned", "already", f"{before.name} does not refuse {address}"),
                )
            case "OUTCOME", ("unban", address):
                return self._outcome(
                    not before.bans(address),
                    not after.bans(address),
                    ("unbanned", "absent", f"{before.name} still bans {address}"),
                )
            case "OUTCOME", ("discard", *addresses):
                for one in addresses:
                    if any(after.waiting(one)):
                        raise Untrue(f"a subscription of {one} waits on {after.name}")
                waited = [before.waiting(one) for one in addresses]
                return discarded(*(sum(numbers) for numbers in zip(*waited, strict=True)))
            case "OUTCOME", ("close",):
                return self._outcome(
                    before.has[_CLOSED] is not None,
                    after.has[_CLOSED] is not None and after.has["subscribe_policy"] == _APPROVAL,
                    ("closed", "nothing to do", f"{before.name} is not closed"),
                )
            case "OUTCOME", ("reopen",):
                return self._outcome(
                    before.has[_CLOSED] is None,
                    after.has[_CLOSED] is None,
                    ("open again", "nothing to do", f"{before.name} is not open"),
                )
            case "MATCH", (address,):
                entry = after.refused_by(address)
                if entry is None:
                    raise Untrue(f"{after.name} does not refuse {address}")
                return entry
            case "ACCEPTED", (address,):
                if (entry := after.refused_by(address)) is not None:
                    raise Untrue(f"{after.name} refuses {address}, by {entry}")
                return address
            case "WAITING", ():
                waiting = after.has["confirming"] + after.has["requesting"]
                return ", ".join(sorted({one.lower() for one in waiting})) or "nobody"
            case "OWNERS", ():
                text = ", ".join(sorted(after.has["owner"])) or "nobody"
                moderators = ", ".join(sorted(after.has["moderator"]))
                return text + (f"; moderated by {moderators}" if moderators else "")
            case "ROLES", (address,):
                return ", ".join(after.roles(address))
            case "POLICY", ():
                return str(self.start.lists[before.site, before.name].policy)
        return self.value(part, None)

    def _outcome(self, was: bool, now: bool, words: tuple[str, str, str]) -> str:
        done, nothing, trouble = words
        if not now:
            raise Untrue(trouble)
        return nothing if was else done

    def _missing_bans(self, site: str, name: str) -> list[str]:
        """What every other list bans, and this one did not. A list that bans nobody has no say."""
        lists = self._lists(self.before, [site])
        own = {entry for one in lists if one.name == name for entry in one.has["ban_list"]}
        others = [one.has["ban_list"] for one in lists if one.name != name and one.has["ban_list"]]
        every = dict.fromkeys(entry for bans in others for entry in bans)
        return [
            entry for entry in every if entry not in own and all(entry in bans for bans in others)
        ]

    def _lock(self, part: Part) -> Locking:
        return self.before.lock(site_of(self.installation, part), part.of[-1])

    def _of_lock(self, what: str, locking: Locking, name: str) -> str:
        lock, holder = locking.lock, locking.holder
        at = locking.at(lock.taken)
        return {
            "pid": str(pid_of(holder.path)),
            "claim": holder.path,
            "claim_name": holder.path.rpartition("/")[2],
            "inode": lock.inode,
            "size": lock.size,
            "expiry": lock.expiry,
            "expires": locking.shown(lock.expires),
            "taken": locking.shown(lock.taken),
            "taken_at": f"{at:%Y-%m-%d %H:%M:%S}",
        }[what]


def discarded(confirmations: int, requests: int) -> str:
    """What ``waiting.py`` says of a list on which so many subscriptions waited."""
    counts = ((confirmations, "confirmation"), (requests, "held request"))
    parts = [f"{number} {noun}{'s' * (number != 1)}" for number, noun in counts if number]
    return f"{' and '.join(parts)} discarded" if parts else "nothing waits"


class Witness:
    """Sees a procedure's commands being run, and says what was true at each.

    `shows`: what all of them are expected to print.
    """

    def __init__(self, installation: Installation, shell: Shell, shows: Iterable[str]) -> None:
        self.installation, self.shell = installation, shell
        parts = [part for text in shows for part in expected.placeholders(text)]
        self.addresses = {word for part in parts for word in part.of if is_entry(word)}
        self.start = self.now = self._look()
        for part in parts:
            if part.name == "POLICY":
                self.start.ask(part)

    def _look(self) -> Look:
        return Look(self.installation, self.shell, self.addresses)

    def sees(self, shows: str) -> None:
        """A command is about to be run that is expected to print `shows`."""
        for part in expected.placeholders(shows):
            self.now.ask(part)

    def truth(self) -> Truth:
        """What was true of it, now that it has ended."""
        before, self.now = self.now, self._look()
        return Truth(self.installation, self.start, before, self.now)
