"""*Banning an Address from All Lists*, as the page prints it: the steps by hand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runbooks.ban import run
from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, File, Procedure, Step, Trouble, every_list
from runbooks.mailman.installation import Installation, Site
from runbooks.mailman.installation import as_mailman as as_mailman
from runbooks.mailman.target import TIMEOUT
from runbooks.mailman.target import Target as Target
from runbooks.onhost import source


@dataclass(frozen=True)
class BanArguments:
    """What banning addresses, or lifting their bans, is told."""

    addresses: tuple[str, ...]
    #: ``ban`` or ``unban``
    action: str = "ban"
    #: a list of the first site, for the single-list form; "" leaves that out
    single: str = ""
    #: all of them when empty
    sites: Sequence[Site] = ()
    #: by the name of the site, where not all lists are meant
    lists: Mapping[str, Sequence[str]] | None = None
    #: seconds
    timeout: float = TIMEOUT


def steps(installation: Installation, arguments: BanArguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    hand = _ByHand(installation, arguments.action, arguments.addresses, arguments.timeout)
    sites = arguments.sites or installation.sites
    if arguments.lists is not None:
        chosen = [(site, name) for site in sites for name in arguments.lists[site.name]]
        return (
            hand.create(),
            *(hand.one(site, name) for site, name in chosen),
            *(hand.check_one(site, name) for site, name in chosen),
        )
    again = (hand.again(sites[0], arguments.single),) if arguments.single else ()
    return (
        hand.create(),
        *(hand.everywhere(site) for site in sites),
        *again,
        *(hand.check(site) for site in sites),
    )


@dataclass(frozen=True)
class _ByHand:
    """The steps by hand, for one address or several."""

    installation: Installation
    action: str
    addresses: tuple[str, ...]
    timeout: float = TIMEOUT

    @property
    def change(self) -> tuple[str, ...]:
        """The arguments of the function, with seconds where they are not the usual."""
        seconds = () if self.timeout == TIMEOUT else (f"{self.timeout:g}",)
        return (*self.addresses, *seconds)

    @property
    def them(self) -> str:
        return "the address" if len(self.addresses) == 1 else "the addresses"

    @property
    def title(self) -> str:
        if self.action == "ban":
            return f"Ban {self.them} from"
        return "Lift the ban from" if len(self.addresses) == 1 else "Lift the bans from"

    @property
    def past(self) -> str:
        return {"ban": "banned", "unban": "unbanned"}[self.action]

    @property
    def verb(self) -> str:
        return {"ban": "refuses", "unban": "accepts"}[self.action]

    def said(self, lists: str, outcome: str = "") -> str:
        """What the function says of `lists`: of one address only what came of it."""
        named = len(self.addresses) > 1
        return "\n".join(
            f"{lists}: {outcome or self.outcome(address)}{f' {address}' if named else ''}"
            for address in self.addresses
        )

    def outcome(self, address: str) -> str:
        """What becomes of a list that has not been done."""
        return placeholder("OUTCOME", self.action, address, shown=self.past)

    def answered(self, lists: str) -> str:
        """What ``ban.banned`` says of `lists`."""
        return "\n".join(
            f"{lists}: {_refuses(one, one) if self.action == 'ban' else _accepts(one)}"
            for one in self.addresses
        )

    def create(self) -> Step:
        path = f"{self.installation.bin}/ban.py"
        return Step(
            "create-ban-py",
            "Create ban.py beside Mailman's programs",
            f"``withlist`` looks for it there. It needs root: ``{self.installation.bin}`` is not"
            " Mailman's to write.",
            f"tee {shlex.quote(path)} > /dev/null",
            creates=File(path, source("ban")),
        )

    def everywhere(self, site: Site) -> Step:
        return Step(
            f"{self.action}-{site.name}",
            f"{self.title} every list of the site {site.name}",
            "The script locks each list itself: do not use ``withlist -l``. It says what"
            " became of each list; the exit status says nothing.",
            self.with_all(site, _FUNCTIONS[self.action], *self.change),
            f"{self.said(every_list(site))}\n{MORE}",
        )

    def again(self, site: Site, name: str) -> Step:
        """The single-list form, on a list that has been done."""
        return Step(
            f"{self.action}-one",
            "The same for a single list",
            "For a list that was locked the first time, or one that was created since.",
            self.with_one(site, _FUNCTIONS[self.action], name, *self.change),
            self.said(name, run.ACTIONS[self.action].already),
        )

    def one(self, site: Site, name: str) -> Step:
        return Step(
            f"{self.action}-{site.name}-{name}",
            f"{self.title} the list {name} of the site {site.name}",
            "The script locks the list itself: do not use ``withlist -l``.",
            self.with_one(site, _FUNCTIONS[self.action], name, *self.change),
            self.said(name, self.past),
        )

    def check(self, site: Site) -> Step:
        return Step(
            f"check-{site.name}",
            f"See that every list of the site {site.name} {self.verb} {self.them}",
            "Each list is loaded again and asked, with Mailman's own matching.",
            self.ask(site, *self.addresses),
            f"{self.answered(every_list(site))}\n{MORE}",
        )

    def check_one(self, site: Site, name: str) -> Step:
        return Step(
            f"check-{site.name}-{name}",
            f"See that the list {name} of the site {site.name} {self.verb} {self.them}",
            "It is loaded again and asked, with Mailman's own matching.",
            self.with_one(site, "ban.banned", name, *self.addresses),
            self.answered(name),
        )

    def ask(self, site: Site, *addresses: str) -> str:
        return self.with_all(site, "ban.banned", *addresses)

    def with_all(self, site: Site, function: str, *arguments: str) -> str:
        # withlist would take what starts with - for one of its options.
        end = ("--",) if arguments[0].startswith("-") else ()
        words = ("-q", "-a", "-r", function, *end, *arguments)
        return as_mailman(self.installation, site, "withlist", *words)

    def with_one(self, site: Site, function: str, name: str, *arguments: str) -> str:
        end = ("--",) if name.startswith("-") else ()
        words = ("-q", "-r", function, *end, name, *arguments)
        return as_mailman(self.installation, site, "withlist", *words)


def _refuses(address: str, entry: str) -> str:
    return f"refuses {address} (matched {placeholder('MATCH', address, shown=entry)})"


def _accepts(address: str) -> str:
    return f"accepts {placeholder('ACCEPTED', address, shown=address)}"


_FUNCTIONS = {"ban": "ban", "unban": "ban.unban"}


# -- whom it is about ---------------------------------------------------------------------

_TARGET, _OTHER = "target@example.com", "victim@example.org"


def befalls(installation: Installation, arguments: BanArguments) -> Event:
    """The first address was subscribed to a list of each site before anybody came."""
    add = ("add_members", "-r", "-", "-w", "n", "-a", "n")
    lines = [
        f"printf '%s\\n' {shlex.quote(arguments.addresses[0])}"
        f" | {as_mailman(installation, site, *add, site.first_list)}"
        for site in installation.sites
    ]
    return Event("set -e\n" + "\n".join(lines))


def _shows(action: str, *entries: str) -> str:
    """What a terminal shows of ``runbook ban`` and ``runbook unban`` on the documented host."""
    past = {"ban": "banned", "unban": "unbanned"}[action]
    to_do, done = f"TO_{action.upper()}", past.upper()
    subject = entries[0] if len(entries) == 1 else f"{len(entries)} addresses"

    def number(name: str, shown: int, *of: str) -> str:
        return placeholder(name, *of, shown=str(shown))

    return "\n".join(
        (
            "{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:7} lists",
            "  openstack  {LISTS openstack:4} lists"
            f"  {number(to_do, 4, *entries, 'openstack')} to {action}",
            "  zuul       {LISTS zuul:3} lists"
            f"  {number(to_do, 3, *entries, 'zuul')} to {action}",
            *(_PLANNED[action] if len(entries) > 1 else ()),
            f"{action.capitalize()} {subject} from {number(to_do, 7, *entries)} lists?"
            " [y/N] {ANSWER:y}",
            "{BAR:━━━━━━━━━━━━━━━━━━━━} {LISTS:7}/{LISTS:7} {ELAPSED:0:00:01}",
            f"{number(done, 7, *entries)} lists {past} and read back",
            *(_RESULTS[action] if len(entries) > 1 else ()),
            "recorded as {RUN:20261122-052801-4f9a1c}"
            " in lists:/srv/mailman/openstack/runbook/journal.jsonl",
            "to take it back: runbook undo {RUN:20261122-052801-4f9a1c}{HOST_OPTION:}",
            *(_NEXT[action] if len(entries) > 1 else ()),
        )
    )


#: Of several addresses: what is shown before the question, after the change, and at the end.
_PLANNED = {
    "ban": (
        "  ADDRESS             REFUSED BY  SUBSCRIBED TO",
        f"  {_TARGET}  no list     {placeholder('MEMBERSHIPS', _TARGET, shown='2')} lists",
        f"  {_OTHER}  no list     no list",
    ),
    "unban": (
        "  ADDRESS             BANNED BY",
        f"  {_TARGET}  {placeholder('TO_UNBAN', _TARGET, shown='7')} lists",
        f"  {_OTHER}  {placeholder('TO_UNBAN', _OTHER, shown='7')} lists",
    ),
}
_RESULTS = {
    "ban": (
        "  ADDRESS             BANNED FROM",
        f"  {_TARGET}  {placeholder('BANNED', _TARGET, shown='7')} lists",
        f"  {_OTHER}  {placeholder('BANNED', _OTHER, shown='7')} lists",
    ),
    "unban": (
        "  ADDRESS             UNBANNED ON",
        f"  {_TARGET}  {placeholder('UNBANNED', _TARGET, shown='7')} lists",
        f"  {_OTHER}  {placeholder('UNBANNED', _OTHER, shown='7')} lists",
    ),
}
_NEXT = {
    "ban": (f"to unsubscribe: runbook unsubscribe {_TARGET}{{HOST_OPTION:}}",),
    "unban": (),
}


PROCEDURE = Procedure(
    name="ban",
    synonyms=(
        "ban",
        "spam",
        "abuse",
        "attack",
        "subscription bomb",
        "mail bomb",
        "flood",
        "blacklist",
        "blocklist",
        "block an address",
    ),
    title="Banning an Address from All Lists",
    when=(
        "Somebody abuses the subscription form to have many lists write to an address that"
        " is not theirs. The ban makes every list refuse that address, on the form and by"
        " mail. It does not unsubscribe a member, and a list that is created later does not"
        " have it."
    ),
    steps=steps,
    command=lambda arguments: ("ban", *arguments.addresses),
    shows=_shows("ban", _TARGET, _OTHER),
    troubles=(
        Trouble(
            "``Please set MAILMAN_SITE_DIR`` is printed, and nothing else",
            "The host has several sites and the variable did not reach Mailman: give it on"
            " sudo's own command line, as above. The exit status is 0 all the same, and"
            " nobody was banned.",
        ),
        Trouble(
            "A list is ``locked``",
            "Another process holds it, or one that died while it did. The other lists are"
            " done. See who it is (``runbook locks``) and repeat the ban for this list.",
        ),
        Trouble(
            "A list is ``corrupt``",
            "Neither ``config.pck`` nor ``config.pck.last`` loads. The list does not work at"
            " all until one of them is restored from a backup; the other lists are done.",
        ),
        Trouble(
            "The address is still subscribed",
            "A ban keeps an address out; it does not put it out. :ref:`unsubscribe` does, and so"
            " does ``runbook ban --unsubscribe``, in the same run.",
        ),
        Trouble(
            "A list was created after the ban",
            "It does not have it. Repeat the ban: lists that refuse the address already are"
            " left alone. Mailman 2.1.21 and later also read ``GLOBAL_BAN_LIST`` in ``mm_cfg.py``:"
            " what is in it, every list refuses, later ones too.",
        ),
    ),
    befalls=befalls,
    example=BanArguments((_TARGET, _OTHER), single="openstack-discuss"),
)

UNBAN = Procedure(
    name="unban",
    synonyms=(
        "unban",
        "unblock",
        "whitelist",
        "allowlist",
        "remove a ban",
        "allow again",
        "banned by mistake",
        "cannot subscribe",
    ),
    title="Lifting a Ban",
    when="The abuse is over, or the ban was a mistake.",
    steps=steps,
    command=lambda arguments: ("unban", *arguments.addresses),
    shows=_shows("unban", _TARGET, _OTHER),
    troubles=(
        Trouble(
            "A list still refuses the address",
            "By another entry of its ban list, which is named: a pattern, most likely. Lift"
            " that one, as it is spelled there, if it is not needed any more. An entry that no"
            " list has is in ``GLOBAL_BAN_LIST`` in ``mm_cfg.py``.",
        ),
    ),
    after="ban",
    follows="reopen-lists",
    takes_back=True,
    example=replace(PROCEDURE.example, action="unban"),
)


@dataclass(frozen=True)
class PatternArguments:
    """What banning a pattern is told."""

    pattern: str
    #: an address that it is meant for
    matched: str
    #: one that a careless form of it would ban as well
    stranger: str


def pattern_steps(installation: Installation, arguments: PatternArguments) -> tuple[Step, ...]:
    """A pattern, by hand."""
    pattern, matched = arguments.pattern, arguments.matched
    first = installation.sites[0]
    hand = _ByHand(installation, "ban", (pattern,))
    return (
        hand.create(),
        *(hand.everywhere(site) for site in installation.sites),
        Step(
            "check-matched",
            f"See that it bans {matched}",
            "A pattern that Mailman cannot compile is skipped without a word, and bans nobody.",
            hand.ask(first, matched),
            f"{every_list(first)}: {_refuses(matched, pattern)}\n{MORE}",
        ),
        Step(
            "check-stranger",
            "See that it bans nobody else",
            "An entry that starts with :example:`^` is a regular expression, searched without"
            " regard to case. A dot that is not escaped matches any character, and without the"
            " :example:`$` the address may go on: :example:`^target.*@example.com` bans strangers"
            " at :example:`examplexcom` and at :example:`example.com.evil.org`.",
            hand.ask(first, arguments.stranger),
            f"{every_list(first)}: {_accepts(arguments.stranger)}\n{MORE}",
        ),
    )


_PATTERN = r"^target(\+.*)?@example\.com$"

PATTERN = Procedure(
    name="ban-pattern",
    synonyms=(
        "wildcard",
        "regular expression",
        "regex",
        "plus addressing",
        "subaddress",
        "changing addresses",
    ),
    title="Banning an Address with All Its Suffixes",
    when=(
        "The address comes back as :example:`target+1@example.com`,"
        " :example:`target+2@example.com`: mail"
        " to all of them reaches the same person. One pattern bans the address and every"
        " suffix of it."
    ),
    steps=pattern_steps,
    command=lambda arguments: ("ban", arguments.pattern),
    shows=_shows("ban", _PATTERN),
    troubles=(
        Trouble(
            "Nobody is banned",
            "The entry has no :example:`^` at its start, or a blank before it: then it is compared"
            " as a whole address, which nobody has. :example:`.*@example.com`,"
            " :example:`*@example.com` and :example:`@example.com` ban nobody;"
            " :example:`^.*@example\\.com$` bans the domain.",
        ),
        Trouble(
            "Everybody is banned",
            ":example:`^` and :example:`^.*` match every address. Lift that entry at once"
            " (:ref:`unban`), spelled as it is in the ban list.",
        ),
    ),
    example=PatternArguments(
        _PATTERN, matched="target+1@example.com", stranger="target@examplexcom"
    ),
)

#: In the order of the page, but for those that follow one of another folder.
PROCEDURES = (PROCEDURE, UNBAN, PATTERN)
