"""*Unsubscribing an Address from All Lists*, as the page prints it: the steps by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, File, Procedure, Step, Trouble, every_list
from runbooks.mailman.installation import Installation, Site, as_mailman, as_mailmans_python
from runbooks.mailman.truth import discarded
from runbooks.onhost import source


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
            f"Remove it from every list of the site {site.name} of which it is a member",
            "In any case of letters. Without ``--nouserack`` Mailman says goodbye to the member,"
            " and without ``--noadminack`` it tells who runs the list, where the list is set so."
            " A list that does not have the address is not named. It waits for a list that is"
            " locked for as long as the lock lasts (:ref:`clear-lock`).",
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
        )

    def create(self) -> Step:
        path = f"{self.installation.bin}/waiting.py"
        return Step(
            "create-waiting-py",
            "Create waiting.py beside Mailman's programs",
            "Mailman has no program for subscriptions that wait. ``withlist`` looks for it there."
            f" It needs root: ``{self.installation.bin}`` is not Mailman's to write.",
            f"tee {shlex.quote(path)} > /dev/null",
            creates=File(path, source("waiting")),
        )

    def discard(self, site: Site) -> Step:
        return Step(
            f"discard-{site.name}",
            f"Discard what waits on the site {site.name}",
            "Whoever confirms a subscription, or approves one, makes it a member again.",
            self.with_all(site, "waiting.discard"),
            f"{every_list(site)}: {self.discarded}\n{MORE}",
        )

    def discard_on(self, site: Site, name: str) -> Step:
        return Step(
            f"discard-{site.name}-{name}",
            f"Discard what waits on the list {name} of the site {site.name}",
            "Whoever confirms a subscription, or approves one, makes it a member again.",
            as_mailman(
                *(self.installation, site, "withlist", "-q", "-r", "waiting.discard"),
                *(name, *self.addresses),
            ),
        )

    def check(self, site: Site) -> Step:
        patterns = [f"^{re.escape(address)}$" for address in self.addresses]
        return Step(
            f"check-{site.name}",
            f"See that no list of the site {site.name} has it as a member",
            "It prints nothing then.",
            as_mailman(self.installation, site, "find_member", *patterns),
        )

    def check_waiting(self, site: Site) -> Step:
        return Step(
            f"check-waiting-{site.name}",
            f"See that nothing waits on the site {site.name}",
            "The files are read again.",
            self.with_all(site, "waiting"),
            f"{every_list(site)}: nothing waits\n{MORE}",
        )

    def who(self, site: Site) -> Step:
        words = ("-q", "-a", "-r", "waiting.who")
        return Step(
            f"who-{site.name}",
            f"See whose subscriptions wait on the site {site.name}",
            "It changes nothing, and locks no list.",
            as_mailman(self.installation, site, "withlist", *words),
            f"{every_list(site)}: {{WAITING:{_TARGET}}}\n{MORE}",
        )

    @property
    def discarded(self) -> str:
        shown = discarded(1, 1)
        return placeholder("OUTCOME", "discard", *self.addresses, shown=shown)

    def with_all(self, site: Site, function: str) -> str:
        words = ("-q", "-a", "-r", function, *self.addresses)
        return as_mailman(self.installation, site, "withlist", *words)


# -- what there is to take out ------------------------------------------------------------

#: For Mailman's Python: subscribes an address to every list of a site, as its form would. To the
#: last one it is about to be.
_SUBSCRIBE = """\
from Mailman import MailList, Utils, UserDesc
names = sorted(Utils.list_names())
for number, name in enumerate(names):
    m = MailList.MailList(name)
    if name != names[-1] and not m.isMember(sys.argv[1]):
        m.addNewMember(sys.argv[1], password="secret", digest=number == 2)
    if number == 1 or name == names[-1]:
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


def _number(name: str, shown: int, *site: str) -> str:
    return placeholder(name, _TARGET, *site, shown=str(shown))


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
        "Somebody has subscribed an address that is not theirs, or a person leaves altogether."
        " It is removed from every list of which it is a member, for regular delivery or for"
        " digests, and its subscriptions that wait for a confirmation or for a moderator are"
        " discarded. Nobody is told. That does not keep it out: :ref:`ban` does, and comes"
        " first while an attack goes on."
    ),
    steps=steps,
    command=lambda arguments: ("unsubscribe", *arguments.addresses),
    shows=(
        "{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:7} lists\n"
        f"  openstack  {{LISTS openstack:4}} lists  {_number('TO_UNSUBSCRIBE', 4, 'openstack')} to"
        " unsubscribe from\n"
        f"  zuul       {{LISTS zuul:3}} lists  {_number('TO_UNSUBSCRIBE', 3, 'zuul')} to"
        " unsubscribe from\n"
        f"  {_TARGET}  member of {_number('MEMBERSHIPS', 5)} lists,"
        f" {_number('CONFIRMATIONS', 4)} confirmations and"
        f" {_number('REQUESTS', 4)} held requests waiting\n"
        f"Unsubscribe {_TARGET} from {_number('TO_UNSUBSCRIBE', 7)} lists? [y/N] {{ANSWER:y}}\n"
        "{BAR:━━━━━━━━━━━━━━━━━━━━} {LISTS:7}/{LISTS:7} {ELAPSED:0:00:01}\n"
        f"unsubscribed from {_number('UNSUBSCRIBED', 7)} lists and read back\n"
        "recorded as {RUN:20261122-052801-4f9a1c}"
        " in lists:/srv/mailman/openstack/runbook/journal.jsonl\n"
        "to take it back: runbook undo {RUN:20261122-052801-4f9a1c}{HOST_OPTION:}\n"
    ),
    troubles=(
        Trouble(
            "It ends with a ``TypeError``",
            "Under Mailman 2.2 ``remove_members`` takes no file with ``-f``, nor standard input:"
            " nobody was removed. Give the addresses behind the options, as above."
            " ``runbook unsubscribe --from`` reads a file.",
        ),
        Trouble(
            "``Please set MAILMAN_SITE_DIR`` is printed, and nothing else",
            "The host has several sites and the variable did not reach Mailman: give it on"
            " sudo's own command line, as above. ``--fromall`` means every list of that site.",
        ),
        Trouble(
            "The address is a member again",
            "Whoever subscribed it goes on, or it confirmed a subscription itself. Ban it"
            " (:ref:`ban`), and repeat this: ``runbook unsubscribe`` does nothing to a list"
            " that has nothing of it.",
        ),
        Trouble(
            "A list is ``locked``",
            "Another process holds it, or one that died while it did. The other lists are done."
            " See who it is (``runbook locks``) and repeat it for this list.",
        ),
        Trouble(
            "A list is ``corrupt``, and its ``pending.pck`` or ``request.pck`` is damaged",
            "What waits there cannot be read, and the list was left as it is. Move the file"
            " away, with what waited in it, or put one from a backup in its place; then repeat"
            " it for this list.",
        ),
        Trouble(
            "It was a mistake",
            "``runbook undo`` subscribes it again with the name, the password, the options and"
            " the delivery that it had, and what waited waits again. After the steps by hand it"
            " has to be subscribed anew.",
        ),
    ),
    befalls=befalls,
    example=UnsubscribeArguments((_TARGET,)),
)


# -- who else was hit -----------------------------------------------------------------------

#: For Mailman's Python: the first address waits for a confirmation on every list of a site, the
#: second for a moderator on the last.
_WAIT = """\
from Mailman import MailList, Utils, UserDesc
names = sorted(Utils.list_names())
for name in names:
    m = MailList.MailList(name)
    m.pend_new("S", UserDesc.UserDesc(sys.argv[1], "", "secret", 0, "en"))
    if name == names[-1]:
        notify, m.admin_immed_notify = m.admin_immed_notify, 0
        m.HoldSubscription(sys.argv[2], "", "secret", 0, "en")
        m.admin_immed_notify = notify
    m.Save()
    m.Unlock()
"""


def others_befall(installation: Installation, arguments: UnsubscribeArguments) -> Event:
    """Somebody goes on subscribing others than those who were reported."""
    lines = [
        as_mailmans_python(installation, site, _WAIT, *arguments.addresses)
        for site in installation.sites
    ]
    return Event("set -e\n" + "\n".join(lines))


def who_steps(installation: Installation, arguments: UnsubscribeArguments) -> tuple[Step, ...]:
    """Whose subscriptions wait, by hand."""
    hand = _ByHand(installation, arguments.addresses, arguments.tell)
    return (hand.create(), *(hand.who(site) for site in installation.sites))


VICTIMS = Procedure(
    name="find-victims",
    synonyms=("victims", "recent subscriptions", "subscribed by the attack", "subscription log"),
    title="Seeing Who Else Was Hit",
    when=(
        "The addresses that were reported are banned, and the attack may have had others. Each"
        " list names those whose subscriptions wait for a confirmation or for a moderator: an"
        " address that waits on many lists did not ask for it."
    ),
    steps=who_steps,
    command=lambda arguments: ("withlist", "waiting.py", "--function", "who"),
    shows=(
        "{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:7} lists\n"
        "  openstack  {LISTS openstack:4} lists\n"
        "  zuul       {LISTS zuul:3} lists\n"
        "  waiting.who(m), which comes along, compiles under Python {PYTHON:2.7.18} there\n"
        "Run waiting.who on {LISTS:7} lists? [y/N] {ANSWER:y}\n"
        f"{{LIST:openstack-announce}}: {{WAITING:{_TARGET}}}\n{MORE}\n"
        "{BAR:━━━━━━━━━━━━━━━━━━━━} {LISTS:7}/{LISTS:7} {ELAPSED:0:00:01}\n"
        "{LISTS:7} lists: {LISTS:7} unchanged\n"
        "recorded as {RUN:20261122-052801-4f9a1c}"
        " in lists:/srv/mailman/openstack/runbook/journal.jsonl\n"
    ),
    troubles=(
        Trouble(
            "Members may have been hit as well",
            "Whoever was subscribed without being asked waits nowhere. :ref:`find-address` names"
            " the lists of an address; Mailman's log ``subscribe`` says when it came.",
        ),
    ),
    befalls=others_befall,
    follows="close-lists",
    example=UnsubscribeArguments((_TARGET, "victim@example.org")),
)

PROCEDURES = (PROCEDURE, VICTIMS)
