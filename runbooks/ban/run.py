"""Banning an address from all lists, by command: look, change, read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runbooks.ban.entries import Entry
from runbooks.errors import BadInputError, LostError
from runbooks.mailman import events
from runbooks.mailman.events import Event, ListEvent, Outcome
from runbooks.mailman.installation import Site, unknown_list
from runbooks.mailman.installation import as_mailman as as_mailman
from runbooks.mailman.target import LockEvidence, invocation
from runbooks.mailman.target import Target as Target

if TYPE_CHECKING:
    from runbooks.mailman.events import Recorded

#: What a list is called that was so before.
DONE_ALREADY = {"ban": Outcome.ALREADY, "unban": Outcome.ABSENT}


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

    def hear(event: Event) -> None:
        match event:
            case events.Refused():
                raise BadInputError(f"{entry.text!r} would ban nobody: {event.why}")
            case events.SiteLists(error=str(why)):
                plan.sites_failed[event.site] = why
            case events.Locks():
                plan.evidence.hear(event)
            case ListEvent(outcome=Outcome.LOOKED):
                plan.looks.append(_look(event))
            case ListEvent(unknown=False):
                plan.looks.append(
                    Look(event.site, event.list, trouble=event.outcome, detail=event.detail)
                )

    target.installation.call("banning", parameters, hear)
    found = {look.list for look in plan.looks}
    for name in target.names:
        if name not in found:
            raise unknown_list(name, _all_names(target))
    plan.looks.sort(key=lambda look: (look.site, look.list))
    return plan


def _look(event: ListEvent) -> Look:
    return Look(
        site=event.site,
        list=event.list,
        refused_by=event.refused_by,
        for_all=event.for_all,
        entries=event.entries,
        locked=event.locked,
        members=event.members,
        some_members=event.some_members,
        of_members=event.of_members,
        people=event.people,
        detail=event.detail,
    )


def _all_names(target: Target) -> list[str]:
    """The names of all lists of the sites, to find the one that was perhaps meant."""
    names: list[str] = []
    parameters = target.parameters() | {"action": "names", "address": ""}

    def hear(event: Event) -> None:
        if isinstance(event, ListEvent):
            names.append(event.list)

    target.installation.call("banning", parameters, hear)
    return names


def nothing_to_do(target: Target, plan: Plan, action: str) -> Report:
    """The report of a run that found every list as asked (or past helping) when it looked."""
    done = DONE_ALREADY[action]
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
    from runbooks.mailman import journal

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

    def hear(event: Event) -> None:
        match event:
            case events.SiteLists(error=str(why)):
                report.sites_failed[event.site] = why
            case events.Waiting():
                on_waiting(event.lists, event.seconds)
            case events.Locks():
                evidence.hear(event)
            case events.Recorded() | events.Unrecorded():
                report.recorded = journal.heard(event) or report.recorded
                report.ended_early = journal.stopped_why(event) or report.ended_early
            case events.Stopped():
                report.ended_early = report.ended_early or INTERRUPTED
            case ListEvent():
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


def _result(event: ListEvent, hints: _Hints) -> Result:
    """What became of a list."""
    site, name, outcome = event.site, event.list, event.outcome
    if event.refused_by:
        return _still_refused(site, name, event.refused_by, hints, for_all=event.for_all)
    help: tuple[str, ...] = ()
    if event.left_lock:
        help = invocation("clear-lock", name, options=hints.only(site, name))
    elif outcome in (Outcome.LOCKED, Outcome.ERROR) and not (
        # Mailman knows no such list: the command would not either.
        event.unknown or event.unseen
    ):
        help = hints.again(site, name)
    return Result(site, name, outcome, event.detail, help)


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
