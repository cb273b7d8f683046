"""*Unsubscribing an Address from All Lists*, as the page prints it: the steps by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, File, Procedure, Step, Trouble, every_list, one_list
from runbooks.book.whose import WrittenSite, whose
from runbooks.mailman.installation import Installation, Site, as_mailman, as_mailmans_python
from runbooks.mailman.truth import discarded
from runbooks.onhost import source
from runbooks.terminal import shown


@dataclass(frozen=True)
class UnsubscribeArguments:
    """What unsubscribing is told."""

    addresses: tuple[str, ...]
    #: tell the members, and those who run the lists
    tell: bool = False
    #: all of them when empty
    sites: Sequence[Site] = ()
    #: by the name of the site, where not all lists are meant
    lists: Mapping[str, Sequence[str]] | None = None


def steps(installation: Installation, arguments: UnsubscribeArguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    hand = _ByHand(installation, arguments.addresses, arguments.tell)
    sites = arguments.sites or installation.sites
    if arguments.lists is not None:
        chosen = [(site, name) for site in sites for name in arguments.lists[site.name]]
        return (
            *(hand.remove_from(site, name) for site, name in chosen),
            hand.create(),
            *(hand.discard_on(site, name) for site, name in chosen),
        )
    return (
        *(hand.remove(site) for site in sites),
        hand.create(),
        *(hand.discard(site) for site in sites),
        *(hand.check(site) for site in sites),
        *(hand.check_waiting(site) for site in sites),
    )


@dataclass(frozen=True)
class _ByHand:
    """The steps by hand."""

    installation: Installation
    addresses: tuple[str, ...]
    tell: bool

    @property
    def untold(self) -> tuple[str, ...]:
        return () if self.tell else ("--nouserack", "--noadminack")

    def remove(self, site: Site) -> Step:
        return Step(
            f"remove-{site.name}",
            f"Remove it from every list of the site {site.name}",
            "Without ``--nouserack`` and ``--noadminack`` Mailman tells the member and the list's"
            " owner. It waits for a locked list as long as the lock lasts.",
            as_mailman(
                *(self.installation, site, "remove_members", "--fromall"),
                *(*self.untold, *self.addresses),
            ),
            "".join(self._removed(address, site) for address in self.addresses),
        )

    def _removed(self, address: str, site: Site) -> str:
        name = placeholder("LIST_WITH_MEMBER", address, site.name, shown=site.first_list)
        return f"User `{address}' removed from list: {name}.\n{MORE}\n"

    def remove_from(self, site: Site, name: str) -> Step:
        return Step(
            f"remove-{site.name}-{name}",
            f"Remove it from the list {name} of the site {site.name}",
            "In any case of letters.",
            as_mailman(
                self.installation, site, "remove_members", *self.untold, name, *self.addresses
            ),
            # It says nothing of those whom it removes.
            "\n".join(
                f"No such member: {placeholder('NO_MEMBER', one, site.name, name, shown=one)}"
                for one in self.addresses
            ),
        )

    def create(self) -> Step:
        path = f"{self.installation.bin}/waiting.py"
        return Step(
            "create-waiting-py",
            "Create waiting.py beside Mailman's programs",
            "Mailman has no program for pending subscriptions.",
            f"tee {shlex.quote(path)} > /dev/null",
            creates=File(path, source("waiting")),
        )

    def discard(self, site: Site) -> Step:
        return Step(
            f"discard-{site.name}",
            f"Discard what waits on the site {site.name}",
            "Otherwise a confirmation or an approval makes it a member again.",
            self.with_all(site, "waiting.discard"),
            f"{every_list(site)}: {self.discarded}\n{MORE}",
        )

    def discard_on(self, site: Site, name: str) -> Step:
        return Step(
            f"discard-{site.name}-{name}",
            f"Discard what waits on the list {name} of the site {site.name}",
            "Otherwise a confirmation or an approval makes it a member again.",
            as_mailman(
                *(self.installation, site, "withlist", "-q", "-r", "waiting.discard"),
                *(name, *self.addresses),
            ),
            f"{one_list(site, name)}: {self.discarded}",
        )

    def check(self, site: Site) -> Step:
        patterns = [f"^{re.escape(address)}$" for address in self.addresses]
        return Step(
            f"check-{site.name}",
            f"See that no list of the site {site.name} has it as a member",
            "",
            as_mailman(self.installation, site, "find_member", *patterns),
        )

    def check_waiting(self, site: Site) -> Step:
        return Step(
            f"check-waiting-{site.name}",
            f"See that nothing waits on the site {site.name}",
            "",
            self.with_all(site, "waiting"),
            f"{every_list(site)}: nothing waits\n{MORE}",
        )

    @property
    def discarded(self) -> str:
        return placeholder("OUTCOME", "discard", *self.addresses, shown=discarded(1, 1))

    def with_all(self, site: Site, function: str) -> str:
        words = ("-q", "-a", "-r", function, *self.addresses)
        return as_mailman(self.installation, site, "withlist", *words)


# -- what there is to take out ------------------------------------------------------------

#: For Mailman's Python: subscribes an address to every list of a site, as its form would. To the
#: last one it is about to be.
_SUBSCRIBE = """\
from Mailman import MailList, Utils, UserDesc, mm_cfg
names = sorted(Utils.list_names(), key=lambda name: (name == mm_cfg.MAILMAN_SITE_LIST, name))
for number, name in enumerate(names):
    m = MailList.MailList(name)
    if name != names[-1] and not m.isMember(sys.argv[1]):
        m.addNewMember(sys.argv[1], password="secret", digest=number == 2)
    if number == 0 or name == names[-1]:
        m.pend_new("S", UserDesc.UserDesc(sys.argv[1], "", "secret", 0, "en"))
        notify, m.admin_immed_notify = m.admin_immed_notify, 0
        m.HoldSubscription(sys.argv[1], "", "secret", 0, "en")
        m.admin_immed_notify = notify
    m.Save()
    m.Unlock()
"""


def befalls(installation: Installation, arguments: UnsubscribeArguments) -> Event:
    """Somebody has subscribed the addresses to every list that can be found."""
    lines = [
        as_mailmans_python(installation, site, _SUBSCRIBE, address)
        for site in installation.sites
        for address in arguments.addresses
    ]
    return Event("set -e\n" + "\n".join(lines))


_TARGET = "target@example.com"


def _number(name: str, number: int, *site: str) -> str:
    return placeholder(name, _TARGET, *site, shown=f"{number:,}")


def _shows() -> str:
    """What a terminal shows of ``runbook unsubscribe``, when `befalls` has come to pass."""
    all_lists, sites = whose().number_of_lists, whose().sites
    members, waiting = all_lists - len(sites), 2 * len(sites)

    def planned(site: WrittenSite) -> str:
        to_do = _number("TO_UNSUBSCRIBE", len(site.all_lists), site.name)
        return f"{to_do} to unsubscribe from"

    has = (
        f"member of {shown.counted(_number('MEMBERSHIPS', members), members, 'list')},"
        f" {_number('CONFIRMATIONS', waiting)} confirmations and"
        f" {_number('REQUESTS', waiting)} held requests waiting"
    )
    return "\n".join(
        (
            shown.heading(),
            shown.by_site(planned),
            shown.table([(_TARGET, has)]),
            f"Unsubscribe {_TARGET} from {_number('TO_UNSUBSCRIBE', all_lists)} lists?"
            " [y/N] {ANSWER:y}",
            shown.progress(),
            f"unsubscribed from {_number('UNSUBSCRIBED', all_lists)} lists and read back",
            shown.recorded(),
            shown.undo(),
        )
    )


PROCEDURE = Procedure(
    name="unsubscribe",
    synonyms=(
        "unsubscribe",
        "remove a member",
        "delete a subscriber",
        "take off the lists",
        "opt out",
        "gdpr",
    ),
    title="Unsubscribing an Address from All Lists",
    when=(
        "Somebody subscribed an address that is not theirs, or a person leaves altogether. It is"
        " removed from every list, its subscriptions that wait for a confirmation or a moderator"
        " are discarded, and nobody is told."
    ),
    steps=steps,
    command=lambda arguments: ("unsubscribe", *arguments.addresses),
    shows=_shows(),
    troubles=(
        Trouble(
            "The address is a member again",
            "It was subscribed again. :ref:`Ban it <ban>`, and repeat this.",
        ),
        Trouble(
            "``remove_members`` ends with a ``TypeError``",
            "Nobody was removed: under Mailman 2.2 it takes addresses from no file (``-f``). Give"
            " them behind the options.",
            prints=r"^TypeError",
        ),
        Trouble(
            "``pending.pck`` or ``request.pck`` is damaged",
            "The list was left as it is. Move the file away, with what waited in it, or restore it"
            " from a backup; then repeat this for that list.",
            prints=r"UnpicklingError|EOFError|pending\.pck|request\.pck",
        ),
        Trouble(
            "It was a mistake",
            "``runbook undo`` subscribes the address again, with its name, password and options."
            " After the steps by hand, subscribe it anew.",
        ),
    ),
    befalls=befalls,
    example=UnsubscribeArguments((_TARGET,)),
)


#: In the order of the page.
PROCEDURES = (PROCEDURE,)
