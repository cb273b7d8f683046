"""*Banning an Address from All Lists*, as the page prints it: the steps by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runbooks.ban import entries, run
from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, File, Procedure, Step, Trouble, every_list, one_list
from runbooks.book.whose import WrittenSite, whose
from runbooks.mailman.installation import Installation, Site
from runbooks.mailman.installation import as_mailman as as_mailman
from runbooks.mailman.target import TIMEOUT
from runbooks.mailman.target import Target as Target
from runbooks.onhost import source
from runbooks.refusals import is_address
from runbooks.terminal import shown


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

    def said(self, lists: str, *, done: bool = False) -> str:
        """What the function says of `lists`: of one address only what came of it.

        `done`: on the page, they have been done before.
        """
        named = len(self.addresses) > 1
        shown = run.ACTIONS[self.action].already if done else self.past
        return "\n".join(
            f"{lists}: {placeholder('OUTCOME', self.action, address, shown=shown)}"
            f"{f' {address}' if named else ''}"
            for address in self.addresses
        )

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
            "``withlist`` looks for it there. Only root can write there.",
            f"tee {shlex.quote(path)} > /dev/null",
            creates=File(path, source("ban")),
        )

    def everywhere(self, site: Site) -> Step:
        return Step(
            f"{self.action}-{site.name}",
            f"{self.title} every list of the site {site.name}",
            "The script locks each list itself: leave out ``-l``. Read what it says of each list;"
            " the exit status says nothing.",
            self.with_all(site, _FUNCTIONS[self.action], *self.change),
            f"{self.said(every_list(site))}\n{MORE}",
        )

    def again(self, site: Site, name: str) -> Step:
        """The single-list form, on a list that has been done."""
        return Step(
            f"{self.action}-one",
            "The same for a single list",
            "For a list that was locked the first time, or was created since.",
            self.with_one(site, _FUNCTIONS[self.action], name, *self.change),
            self.said(one_list(site, name), done=True),
        )

    def one(self, site: Site, name: str) -> Step:
        return Step(
            f"{self.action}-{site.name}-{name}",
            f"{self.title} the list {name} of the site {site.name}",
            "The script locks the list itself: leave out ``-l``.",
            self.with_one(site, _FUNCTIONS[self.action], name, *self.change),
            self.said(one_list(site, name)),
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
            "The list is loaded again and asked, with Mailman's own matching.",
            self.with_one(site, "ban.banned", name, *self.addresses),
            self.answered(one_list(site, name)),
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
    all_lists = whose().number_of_lists

    def number(name: str, shown: int, *of: str) -> str:
        return placeholder(name, *of, shown=f"{shown:,}")

    def planned(site: WrittenSite) -> str:
        return f"{number(to_do, len(site.all_lists), *entries, site.name)} to {action}"

    return "\n".join(
        (
            shown.heading(),
            shown.by_site(planned),
            *((_planned(action),) if len(entries) > 1 else ()),
            f"{action.capitalize()} {subject} from {number(to_do, all_lists, *entries)} lists?"
            " [y/N] {ANSWER:y}",
            shown.progress(),
            f"{number(done, all_lists, *entries)} lists {past} and read back",
            *((_result(action),) if len(entries) > 1 else ()),
            shown.recorded(),
            shown.undo(),
            *(_NEXT[action] if len(entries) > 1 else ()),
        )
    )


def _lists(name: str, address: str) -> str:
    """How many lists, when it is all of them."""
    return f"{placeholder(name, address, shown=f'{whose().number_of_lists:,}')} lists"


def _planned(action: str) -> str:
    """Of several addresses: what is shown before the question."""
    if action == "unban":
        return shown.table(
            [
                ("ADDRESS", "BANNED BY"),
                (_TARGET, _lists("TO_UNBAN", _TARGET)),
                (_OTHER, _lists("TO_UNBAN", _OTHER)),
            ]
        )
    # As `befalls` has it: a list of each site.
    number = len(whose().sites)
    memberships = placeholder("MEMBERSHIPS", _TARGET, shown=f"{number:,}")
    return shown.table(
        [
            ("ADDRESS", "REFUSED BY", "SUBSCRIBED TO"),
            (_TARGET, "no list", shown.counted(memberships, number, "list")),
            (_OTHER, "no list", "no list"),
        ]
    )


def _result(action: str) -> str:
    """Of several addresses: what is shown after the change."""
    title, name = {"ban": ("BANNED FROM", "BANNED"), "unban": ("UNBANNED ON", "UNBANNED")}[action]
    rows = [(address, _lists(name, address)) for address in (_TARGET, _OTHER)]
    return shown.table([("ADDRESS", title), *rows])


_NEXT = {
    "ban": (f"to unsubscribe: runbook unsubscribe {_TARGET}{shown.host_option()}",),
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
        "Somebody abuses the subscription form to flood an address with mail from many lists."
        " The ban makes every list refuse that address, on the form and by mail."
    ),
    steps=steps,
    command=lambda arguments: ("ban", *arguments.addresses),
    shows=_shows("ban", _TARGET, _OTHER),
    troubles=(
        Trouble(
            "The address is still subscribed",
            "A ban removes no member. :ref:`Unsubscribe it <unsubscribe>`, or ban with"
            " ``--unsubscribe``.",
        ),
        Trouble(
            "You have many addresses",
            "``runbook ban --from victims.txt`` reads them from a file.",
        ),
        Trouble(
            "New addresses keep coming",
            "If they differ only in a suffix, :ref:`ban all of them <ban-pattern>`. Otherwise"
            " :ref:`close the lists <close-lists>` for now, and :ref:`see who else was hit"
            " <find-victims>`.",
        ),
        Trouble(
            "A list was created after the ban",
            "Repeat the ban. In Mailman 2.1.21 and later, ``GLOBAL_BAN_LIST`` in ``mm_cfg.py``"
            " covers future lists too.",
        ),
    ),
    befalls=befalls,
    example=BanArguments((_TARGET, _OTHER), single=whose().first.first_list),
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
            "Another entry matches it, most likely a pattern: lift the one that is named, spelled"
            " as shown. If no list has it, it is in ``GLOBAL_BAN_LIST`` in ``mm_cfg.py``.",
            prints=": refuses ",
        ),
    ),
    after="ban",
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
            "Mailman skips a pattern that it cannot compile, without a word.",
            hand.ask(first, matched),
            f"{every_list(first)}: {_refuses(matched, pattern)}\n{MORE}",
        ),
        Step(
            "check-stranger",
            "See that it bans nobody else",
            "An unescaped dot matches any character, and without :example:`$` the address may go"
            " on: :example:`^target.*@example.com` also bans strangers at :example:`examplexcom`"
            " and :example:`example.com.evil.org`.",
            hand.ask(first, arguments.stranger),
            f"{every_list(first)}: {_accepts(arguments.stranger)}\n{MORE}",
        ),
    )


#: As `entries.with_suffixes` writes it.
_SUFFIXED = re.compile(r"\^(.+)\(\\\+\.\*\)\?@(.+)\$")


def of_suffixes(pattern: str) -> PatternArguments | None:
    """What banning an address with all its suffixes is told; None for any other pattern."""
    found = _SUFFIXED.fullmatch(pattern)
    if found is None:
        return None
    local, domain = (re.sub(r"\\(.)", r"\1", part) for part in found.groups())
    address = f"{local}@{domain}"
    if not is_address(address) or entries.with_suffixes(address) != pattern:
        return None
    stranger = f"{local}@{domain.replace('.', 'x', 1)}"
    return PatternArguments(pattern, f"{local}+1@{domain}", stranger)


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
        "The address comes back as :example:`target+1@example.com` and"
        " :example:`target+2@example.com`, which all reach the same person. One pattern bans the"
        " address with every suffix."
    ),
    steps=pattern_steps,
    command=lambda arguments: ("ban", arguments.pattern),
    shows=_shows("ban", _PATTERN),
    troubles=(
        Trouble(
            "Nobody is banned",
            "Without :example:`^` as its very first character the entry is a plain address, which"
            " nobody has. :example:`@example.com` and :example:`*@example.com` ban nobody;"
            " :example:`^.*@example\\.com$` bans the domain.",
        ),
        Trouble(
            "Everybody is banned",
            ":example:`^` and :example:`^.*` match every address. :ref:`Lift <unban>` that entry at"
            " once, spelled as it is in the ban list.",
        ),
    ),
    example=PatternArguments(
        _PATTERN, matched="target+1@example.com", stranger="target@examplexcom"
    ),
)

#: In the order of the page.
PROCEDURES = (PROCEDURE, PATTERN, UNBAN)
