"""*Banning an Address from All Lists*: by hand, and by command."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runbooks.addresses import Entry
from runbooks.errors import BadInputError, LostError
from runbooks.expected import MORE, placeholder
from runbooks.mailman import Installation, Site, unknown_list
from runbooks.mailman import as_mailman as as_mailman
from runbooks.onhost import source
from runbooks.procedure import File, Outcome, Procedure, Step, Trouble, every_list
from runbooks.target import TIMEOUT, LockEvidence, invocation
from runbooks.target import Target as Target

if TYPE_CHECKING:
    from runbooks.journal import Recorded


# -- by command ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """What was seen of one list, before anything changed."""

    site: str
    list: str
    #: the entry by which the list refuses the address, or None
    refused_by: str | None = None
    #: that entry is in Mailman's GLOBAL_BAN_LIST, and not in the list's own
    for_all: bool = False
    #: entries that are the very address, as they are spelled there
    entries: tuple[str, ...] = ()
    #: there was a lock; what it means is for `Plan.evidence` to say
    locked: bool = False
    #: present members whom the new entry would match, and the first of them
    members: int = 0
    some_members: tuple[str, ...] = ()
    of_members: int = 0
    #: owners, moderators and addresses of the site whom it would match
    people: tuple[str, ...] = ()
    #: what stood in the way of looking
    trouble: Outcome | None = None
    detail: str = ""


@dataclass
class Plan:
    """What there is to do, list by list."""

    looks: list[Look] = field(default_factory=list)
    #: sites whose lists could not be named, and why
    sites_failed: dict[str, str] = field(default_factory=dict)
    evidence: LockEvidence = field(default_factory=LockEvidence)

    def of(self, site: Site) -> list[Look]:
        return [look for look in self.looks if look.site == site.name]

    @property
    def people(self) -> dict[str, list[str]]:
        """Who runs a list and would be matched: address to the lists."""
        found: dict[str, list[str]] = {}
        for look in self.looks:
            for address in look.people:
                found.setdefault(address, []).append(look.list)
        return found


@dataclass(frozen=True)
class Result:
    """What became of one list."""

    site: str
    list: str
    outcome: Outcome
    detail: str = ""
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()


@dataclass
class Report:
    """What a change did, list by list."""

    results: list[Result] = field(default_factory=list)
    sites_failed: dict[str, str] = field(default_factory=dict)
    #: the run ended before its last list, and why
    ended_early: str = ""
    #: where the run is recorded; None when nothing was to be changed
    recorded: Recorded | None = None

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(result.outcome for result in self.results)

    @property
    def not_done(self) -> list[Result]:
        return [result for result in self.results if not result.outcome.is_done]

    @property
    def is_done(self) -> bool:
        return not (self.not_done or self.sites_failed or self.ended_early)


def look(target: Target, entry: Entry, *, people: bool = True) -> Plan:
    """See which lists refuse the address already. One command; changes nothing on the host.

    `people`: look also for members, owners and moderators whom the entry would match.
    Raises BadInputError for a list that none of the sites has, and for a pattern that the
    host's Python does not compile.
    """
    plan = Plan()
    parameters = target.parameters(
        {site.name: list(target.names) for site in target.sites} if target.names else None
    )
    parameters |= {"action": "look" if people else "ask", "address": entry.text}

    def hear(event: dict[str, Any]) -> None:
        match event["event"]:
            case "refused":
                raise BadInputError(f"{entry.text!r} would ban nobody: {event['why']}")
            case "site" if "error" in event:
                plan.sites_failed[event["site"]] = event["error"]
            case "locks":
                plan.evidence.hear(event)
            case "list" if event["outcome"] == "looked":
                plan.looks.append(_look(event))
            case "list" if not event.get("unknown"):
                plan.looks.append(
                    Look(
                        event["site"],
                        event["list"],
                        trouble=Outcome(event["outcome"]),
                        detail=event["detail"],
                    )
                )

    target.installation.call("banning", parameters, hear)
    found = {look.list for look in plan.looks}
    for name in target.names:
        if name not in found:
            raise unknown_list(name, _all_names(target))
    plan.looks.sort(key=lambda look: (look.site, look.list))
    return plan


def _look(event: dict[str, Any]) -> Look:
    return Look(
        site=event["site"],
        list=event["list"],
        refused_by=event.get("refused_by"),
        for_all=event.get("for_all", False),
        entries=tuple(event.get("entries", ())),
        locked=event.get("locked", False),
        members=event.get("members", 0),
        some_members=tuple(event.get("some_members", ())),
        of_members=event.get("of_members", 0),
        people=tuple(event.get("people", ())),
        detail=event.get("detail", ""),
    )


def _all_names(target: Target) -> list[str]:
    """The names of all lists of the sites, to find the one that was perhaps meant."""
    names: list[str] = []
    parameters = target.parameters() | {"action": "names", "address": ""}

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "list":
            names.append(event["list"])

    target.installation.call("banning", parameters, hear)
    return names


def nothing_to_do(target: Target, plan: Plan, action: str) -> Report:
    """The report of a run that found every list as asked (or past helping) when it looked."""
    done = _DONE_ALREADY[action]
    hints = _Hints(target, plan, action)
    results = []
    for look in plan.looks:
        if look.trouble:
            results.append(Result(look.site, look.list, look.trouble, look.detail))
        elif action == "unban" and look.refused_by is not None:
            refused = _still_refused(
                look.site, look.list, look.refused_by, hints, for_all=look.for_all
            )
            results.append(refused)
        else:
            results.append(Result(look.site, look.list, done))
    return Report(results, plan.sites_failed)


class _Hints:
    """The arguments of ``runbook`` that help with one list, and touch no other than was asked for.

    `options`: of the command itself, without those that choose lists.
    """

    def __init__(
        self,
        target: Target,
        plan: Plan,
        action: str,
        address: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self.target = target
        self.names = Counter(look.list for look in plan.looks)
        self.action, self.address, self.options = action, address, options

    def only(self, site: str, name: str) -> tuple[str, ...]:
        return self.target.only(site, several=self.names[name] > 1)

    def again(self, site: str, name: str) -> tuple[str, ...]:
        options = (*self.options, "--list", name, *self.only(site, name))
        return invocation(self.action, self.address, options=options)

    def lift(self, site: str, name: str, entry: str) -> tuple[str, ...]:
        """Lift another entry: wherever it is, unless the command was about some lists alone."""
        some = self.target.names or len(self.target.sites) < len(self.target.installation.sites)
        options = ("--list", name, *self.only(site, name)) if some else ()
        return invocation("unban", entry, options=options)


def _still_refused(
    site: str, name: str, entry: str, hints: _Hints, *, for_all: bool = False
) -> Result:
    still = "it still refuses the address, by"
    if for_all:
        # No unban helps: it is in no ban list.
        detail = f"{still} the entry {entry} of GLOBAL_BAN_LIST in Mailman's mm_cfg.py"
        return Result(site, name, Outcome.ERROR, detail)
    help = hints.lift(site, name, entry)
    return Result(site, name, Outcome.ERROR, f"{still} its entry {entry}", help)


def change(
    target: Target,
    action: str,
    entry: Entry,
    plan: Plan,
    on_result: Callable[[Result], None] = lambda result: None,
    on_waiting: Callable[[int, float], None] = lambda lists, seconds: None,
    arguments: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Report:
    """``ban`` or ``unban`` on every list, and read back. One command.

    Ctrl-C lets the lists in hand be finished; the report says what was done until then.
    `arguments`: the command line, for the journal. `options`: those without which the command
    could not be repeated. Raises JournalError when the journal cannot be written; then
    nothing was changed.
    """
    from runbooks import journal

    report = Report()
    hints = _Hints(target, plan, action, entry.text, options)
    evidence = LockEvidence()
    names: dict[str, list[str]] | None = None
    if target.names:
        names = {site.name: [one.list for one in plan.of(site)] for site in target.sites}
    parameters = target.parameters(names)
    parameters |= {"action": action, "address": entry.text, "sample": entry.sample}
    parameters["journal"] = journal.parameters(
        target.installation,
        action,
        arguments or (action, entry.text),
        sites=target.sites,
        address=entry.text,
    )

    def hear(event: dict[str, Any]) -> None:
        match event["event"]:
            case "site" if "error" in event:
                report.sites_failed[event["site"]] = event["error"]
            case "waiting":
                on_waiting(event["lists"], event["seconds"])
            case "locks":
                evidence.hear(event)
            case "recorded" | "unrecorded":
                report.recorded = journal.heard(event) or report.recorded
                report.ended_early = journal.stopped_why(event) or report.ended_early
            case "stopped":
                report.ended_early = report.ended_early or INTERRUPTED
            case "list":
                result = _result(event, hints)
                report.results.append(result)
                on_result(result)

    try:
        target.installation.call("banning", parameters, hear)
    except KeyboardInterrupt:
        report.ended_early = report.ended_early or INTERRUPTED
    except LostError as e:
        # What was heard until then is worth telling; the host finishes what it had in hand.
        report.ended_early = str(e)
    report.results = [
        _explained(result, evidence, hints) if result.outcome is Outcome.LOCKED else result
        for result in sorted(report.results, key=lambda result: (result.site, result.list))
    ]
    return report


#: Why a run ended before its last list.
INTERRUPTED = (
    "interrupted: the lists in hand were finished, and no other was begun;"
    " the same command run again completes it"
)


def _result(event: dict[str, Any], hints: _Hints) -> Result:
    """What became of a list."""
    site, name, outcome = event["site"], event["list"], Outcome(event["outcome"])
    if event.get("refused_by"):
        entry, for_all = event["refused_by"], event.get("for_all", False)
        return _still_refused(site, name, entry, hints, for_all=for_all)
    help: tuple[str, ...] = ()
    if event.get("left_lock"):
        help = invocation("clear-lock", name, options=hints.only(site, name))
    elif outcome in (Outcome.LOCKED, Outcome.ERROR) and not (
        # Mailman knows no such list: the command would not either.
        event.get("unknown") or event.get("unseen")
    ):
        help = hints.again(site, name)
    return Result(site, name, outcome, event["detail"], help)


def _explained(result: Result, evidence: LockEvidence, hints: _Hints) -> Result:
    """A list that was locked, with who has the lock and what to do about it."""
    return replace(
        result,
        detail=evidence.describe(result.site, result.list),
        help=evidence.help(
            result.site,
            result.list,
            again=result.help,
            only=hints.only(result.site, result.list),
        ),
    )


# -- by hand ------------------------------------------------------------------------------


def steps(installation: Installation, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """The procedure by hand.

    `arguments`: ``address``; ``list``, one of the first site, for the single-list form
    (left out when it is ""); and where they are there ``action``, ``ban`` or ``unban``;
    ``sites``, all of them; ``lists``, by the name of the site, where not all lists are meant;
    ``timeout``, in seconds.
    """
    hand = _ByHand(
        installation,
        arguments.get("action", "ban"),
        arguments["address"],
        arguments.get("timeout", TIMEOUT),
    )
    sites: Sequence[Site] = arguments.get("sites") or installation.sites
    narrowed: Mapping[str, Sequence[str]] | None = arguments.get("lists")
    if narrowed is not None:
        chosen = [(site, name) for site in sites for name in narrowed[site.name]]
        return (
            hand.create(),
            *(hand.one(site, name) for site, name in chosen),
            *(hand.check_one(site, name) for site, name in chosen),
        )
    again = (hand.again(sites[0], arguments["list"]),) if arguments["list"] else ()
    return (
        hand.create(),
        *(hand.everywhere(site) for site in sites),
        *again,
        *(hand.check(site) for site in sites),
    )


@dataclass(frozen=True)
class _ByHand:
    """The steps by hand, for one address."""

    installation: Installation
    action: str
    address: str
    timeout: float = TIMEOUT

    @property
    def change(self) -> tuple[str, ...]:
        """The arguments of the function: the address, and seconds where they are not the usual."""
        return (self.address,) if self.timeout == TIMEOUT else (self.address, f"{self.timeout:g}")

    @property
    def past(self) -> str:
        return {"ban": "banned", "unban": "unbanned"}[self.action]

    @property
    def verb(self) -> str:
        return {"ban": "refuses", "unban": "accepts"}[self.action]

    @property
    def outcome(self) -> str:
        """What becomes of a list that has not been done."""
        return placeholder("OUTCOME", self.action, self.address, shown=self.past)

    @property
    def asked(self) -> str:
        """What ``ban.banned`` says of a list, behind its name."""
        return (
            _refuses(self.address, self.address) if self.action == "ban" else _accepts(self.address)
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
        title = {"ban": "Ban the address from", "unban": "Lift the ban from"}[self.action]
        return Step(
            f"{self.action}-{site.name}",
            f"{title} every list of the site {site.name}",
            "The script locks each list itself: do not use ``withlist -l``. It says what"
            " became of each list; the exit status says nothing.",
            self.with_all(site, _FUNCTIONS[self.action], *self.change),
            f"{every_list(site)}: {self.outcome}\n{MORE}",
        )

    def again(self, site: Site, name: str) -> Step:
        """The single-list form, on a list that has been done."""
        return Step(
            f"{self.action}-one",
            "The same for a single list",
            "For a list that was locked the first time, or one that was created since.",
            self.with_one(site, _FUNCTIONS[self.action], name, *self.change),
            f"{name}: {_DONE_ALREADY[self.action].value}",
        )

    def one(self, site: Site, name: str) -> Step:
        title = {"ban": "Ban the address from", "unban": "Lift the ban from"}[self.action]
        return Step(
            f"{self.action}-{site.name}-{name}",
            f"{title} the list {name} of the site {site.name}",
            "The script locks the list itself: do not use ``withlist -l``.",
            self.with_one(site, _FUNCTIONS[self.action], name, *self.change),
            f"{name}: {self.past}",
        )

    def check(self, site: Site) -> Step:
        return Step(
            f"check-{site.name}",
            f"See that every list of the site {site.name} {self.verb} the address",
            "Each list is loaded again and asked, with Mailman's own matching.",
            self.ask(site, self.address),
            f"{every_list(site)}: {self.asked}\n{MORE}",
        )

    def check_one(self, site: Site, name: str) -> Step:
        return Step(
            f"check-{site.name}-{name}",
            f"See that the list {name} of the site {site.name} {self.verb} the address",
            "It is loaded again and asked, with Mailman's own matching.",
            self.with_one(site, "ban.banned", name, self.address),
            f"{name}: {self.asked}",
        )

    def ask(self, site: Site, address: str) -> str:
        return self.with_all(site, "ban.banned", address)

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
_DONE_ALREADY = {"ban": Outcome.ALREADY, "unban": Outcome.ABSENT}


def _shows(action: str, entry: str) -> str:
    """What a terminal shows of ``runbook ban`` and ``runbook unban`` on the documented host."""
    past = {"ban": "banned", "unban": "unbanned"}[action]

    def number(name: str, shown: int, *site: str) -> str:
        return placeholder(name, entry, *site, shown=str(shown))

    to_do, done = f"TO_{action.upper()}", past.upper()
    return (
        "{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:7} lists\n"
        f"  openstack  {{LISTS openstack:4}} lists  {number(to_do, 4, 'openstack')} to {action}\n"
        f"  zuul       {{LISTS zuul:3}} lists  {number(to_do, 3, 'zuul')} to {action}\n"
        f"{action.capitalize()} {entry} from {number(to_do, 7)} lists? [y/N] {{ANSWER:y}}\n"
        "{BAR:━━━━━━━━━━━━━━━━━━━━} {LISTS:7}/{LISTS:7} {ELAPSED:0:00:01}\n"
        f"{number(done, 7)} lists {past} and read back\n"
        "recorded as {RUN:20261122-052801-4f9a1c}"
        " in lists:/srv/mailman/openstack/runbook/journal.jsonl\n"
    )


PROCEDURE = Procedure(
    name="ban",
    title="Banning an Address from All Lists",
    when=(
        "Somebody abuses the subscription form to have many lists write to an address that"
        " is not theirs. The ban makes every list refuse that address, on the form and by"
        " mail. It does not unsubscribe a member, and a list that is created later does not"
        " have it."
    ),
    steps=steps,
    command=lambda arguments: ("ban", arguments["address"]),
    shows=_shows("ban", "target@example.com"),
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
            "A ban keeps an address out; it does not put it out. ``remove_members`` does.",
        ),
        Trouble(
            "A list was created after the ban",
            "It does not have it. Repeat the ban: lists that refuse the address already are"
            " left alone. Mailman 2.1.21 and later also read ``GLOBAL_BAN_LIST`` in ``mm_cfg.py``:"
            " what is in it, every list refuses, later ones too.",
        ),
    ),
    example={"address": "target@example.com", "list": "openstack-discuss"},
)

UNBAN = Procedure(
    name="unban",
    title="Lifting a Ban",
    when="The abuse is over, or the ban was a mistake.",
    steps=steps,
    command=lambda arguments: ("unban", arguments["address"]),
    shows=_shows("unban", "target@example.com"),
    troubles=(
        Trouble(
            "A list still refuses the address",
            "By another entry of its ban list, which is named: a pattern, most likely. Lift"
            " that one, as it is spelled there, if it is not needed any more. An entry that no"
            " list has is in ``GLOBAL_BAN_LIST`` in ``mm_cfg.py``.",
        ),
    ),
    after="ban",
    example={**PROCEDURE.example, "action": "unban"},
)


# -- a pattern ----------------------------------------------------------------------------


def pattern_steps(installation: Installation, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """A pattern, by hand.

    `arguments`: ``address``, the pattern; ``matched``, an address that it is meant for;
    ``stranger``, one that a careless form of it would ban as well.
    """
    pattern, matched = arguments["address"], arguments["matched"]
    first = installation.sites[0]
    hand = _ByHand(installation, "ban", pattern)
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
            hand.ask(first, arguments["stranger"]),
            f"{every_list(first)}: {_accepts(arguments['stranger'])}\n{MORE}",
        ),
    )


_PATTERN = r"^target(\+.*)?@example\.com$"

PATTERN = Procedure(
    name="ban-pattern",
    title="Banning an Address with All Its Suffixes",
    when=(
        "The address comes back as :example:`target+1@example.com`,"
        " :example:`target+2@example.com`: mail"
        " to all of them reaches the same person. One pattern bans the address and every"
        " suffix of it."
    ),
    steps=pattern_steps,
    command=lambda arguments: ("ban", arguments["address"]),
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
    example={
        "address": _PATTERN,
        "matched": "target+1@example.com",
        "stranger": "target@examplexcom",
    },
)
