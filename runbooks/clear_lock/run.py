"""Clearing locks, by command: look, plan, remove, read back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runbooks.errors import BadInputError, LostError, NotThereError
from runbooks.mailman import events, journal, locks
from runbooks.mailman.events import Event, Outcome, Recorded, UnfinishedSave
from runbooks.mailman.installation import Installation, Site, unknown_list
from runbooks.mailman.locks import Lock, Verdict

#: Names of claims that a run looks for, to see who takes a lock next.
_MOST_WAITERS = 100


@dataclass(frozen=True)
class Found:
    """A lock, or a file that was left behind, and the site that it is of."""

    site: Site
    lock: Lock

    @property
    def is_lock(self) -> bool:
        """Whether it holds somebody up; otherwise it was only left behind."""
        return self.lock.present

    def as_json(self) -> dict[str, object]:
        return self.lock.as_json()

    @property
    def label(self) -> str:
        """The list, or the lock where that is no list's; of what was left behind, the file."""
        return (self.lock.list or self.lock.name) if self.is_lock else self.lock.files[0]


@dataclass(frozen=True)
class Save:
    """A save that was cut short: a file in a list's folder that nobody will ever rename."""

    site: Site
    list: str
    #: what the on-host program is told, and compares with what is there by then
    order: UnfinishedSave

    @property
    def is_lock(self) -> bool:
        return False

    @property
    def label(self) -> str:
        return f"{self.list}/{self.order.name}"

    @property
    def outline(self) -> str:
        """``a save that was not finished by process 83 on lists, which no longer runs``"""
        who = f"process {self.order.pid} on {locks.printable(self.order.host)}"
        return f"a save that was not finished by {who}, which no longer runs"

    def as_json(self) -> dict[str, object]:
        return {"list": self.list, "save": self.order.name, "bytes": self.order.size}


@dataclass
class Look:
    """What the lock folders of an installation hold."""

    sites: tuple[Site, ...]
    #: every lock of a site, and what belongs to none
    locks: dict[str, list[Lock]] = field(default_factory=dict)
    #: lock folders that could not be read, and why
    failed: dict[str, str] = field(default_factory=dict)
    #: the names of the lists of a site, where they were asked for
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: saves that were cut short, where they were asked for
    saves: list[Save] = field(default_factory=list)
    #: by site, the locks of which it was made
    _found: dict[str, tuple[list[Lock], list[Found]]] = field(default_factory=dict)

    def all(self) -> list[Found]:
        """Everything, site by site."""
        return [found for site in self.sites for found in self._of_site(site)]

    def _of_site(self, site: Site) -> list[Found]:
        # Asked for a dozen times, of thousands of locks.
        locks = self.locks.get(site.name)
        if locks and (site.name not in self._found or self._found[site.name][0] is not locks):
            self._found[site.name] = locks, [Found(site, lock) for lock in locks]
        return self._found[site.name][1] if locks else []

    def of(self, *verdicts: Verdict) -> list[Found]:
        """What has one of the verdicts."""
        return [found for found in self.all() if found.lock.verdict in verdicts]

    @property
    def hosts(self) -> list[str]:
        """The hosts that locks and claims name."""
        return sorted({found.lock.claim.host for found in self.all() if found.lock.claim})


@dataclass
class Plan:
    """What is to be removed, and what cannot be."""

    remove: list[Found] = field(default_factory=list)
    refused: list[Found] = field(default_factory=list)
    #: lists that are not locked, and how many files dead processes left of their locks
    free: list[tuple[Site, str, int]] = field(default_factory=list)
    saves: list[Save] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of a lock, or of what was left behind."""

    found: Found | Save
    outcome: Outcome
    detail: str = ""
    #: the lock of the same name as it was seen afterwards; None: there was none
    next: Lock | None = None
    #: how many of those that waited still did then
    waiting: int = 0


@dataclass
class Report:
    """What a run removed, and who has the locks since."""

    results: list[Result] = field(default_factory=list)
    #: the run ended before its last lock, and why
    ended_early: str = ""
    #: it was not heard to end: locks may be gone that are not among the results
    lost: bool = False
    recorded: Recorded | None = None

    @property
    def is_done(self) -> bool:
        return not self.ended_early and all(result.outcome.is_done for result in self.results)


def look(
    installation: Installation,
    sites: Sequence[Site],
    *,
    with_lists: bool = False,
    saves_of: str | None = None,
    gone: str | None = None,
) -> Look:
    """See every lock of `sites`. One command; changes nothing on the host.

    `with_lists`: ask for the names of the lists as well. `saves_of`: ask for saves that were cut
    short, those of processes of this host. `gone`: a host of which somebody has said that it no
    longer exists.
    """
    seen = Look(tuple(sites))
    if len(sites) == len(installation.sites):
        for site_name, why in installation.silent.items():
            seen.failed[site_name] = locks.printable(f"the site does not answer: {why}")

    def hear(event: Event) -> None:
        match event:
            case events.Locks(observation=observation):
                if observation.error:
                    why = f"{observation.lock_dir}: {observation.error}"
                    seen.failed[event.site] = locks.printable(why)
                seen.locks[event.site] = locks.examine(observation, gone)
            case events.Saves():
                site = next(site for site in sites if site.name == event.site)
                seen.saves += [Save(site, order.list, order) for order in event.saves]
                if event.error:
                    seen.failed[event.site] = locks.printable(event.error)
            case events.ListNames():
                seen.lists[event.site] = event.names
                if event.error:
                    seen.failed[event.site] = locks.printable(event.error)

    parameters = {
        "action": "look",
        "sites": [_on_host(site) for site in sites],
        "with_lists": with_lists,
        "saves_of": saves_of,
    }
    installation.call("clearing", parameters, hear)
    return seen


def _on_host(site: Site) -> dict[str, object]:
    return {
        "name": site.name,
        "lock_dir": site.lock_dir,
        "lock_lifetime": site.lock_lifetime,
        "list_dir": site.list_dir,
        "name_characters": site.name_characters,
    }


def site_of(seen: Look, name: str) -> Site:
    """The site of a list, or of a lock that is no list's.

    A list that was removed while it was locked is known by its lock. Raises BadInputError
    for a name that no site has, or several.
    """
    having = [
        site
        for site in seen.sites
        if name in seen.lists.get(site.name, ()) or locks.find(seen.locks.get(site.name, ()), name)
    ] or [
        # What holds nobody up is no reason to ask which site is meant.
        site
        for site in seen.sites
        if locks.left_behind(seen.locks.get(site.name, ()), name)
    ]
    if len(having) > 1:
        names = [site.name for site in having]
        raise BadInputError(
            f"{name} is on the sites {', '.join(names[:-1])} and {names[-1]}:"
            f" say which, with {' or '.join(f'--site {shlex.quote(site)}' for site in names)}"
        )
    if not having:
        for site, why in seen.failed.items():
            raise BadInputError(f"there is no list {name!r} that could be seen ({site}: {why})")
        raise unknown_list(name, [one for site in seen.sites for one in seen.lists[site.name]])
    return having[0]


def plan(installation: Installation, seen: Look, names: Sequence[str]) -> Plan:
    """What to do about the locks of the lists `names`.

    Raises BadInputError for a name that no site has, or several. Where another host may have the
    list, it is left out here.
    """
    found: list[tuple[Site, str]] = []
    missing: dict[str, NotThereError] = {}
    for name in names:
        try:
            found.append((site_of(seen, name), name))
        except NotThereError as e:
            missing[name] = e
    installation.lacks(missing, of=names)
    return plan_lists(seen, found)


def plan_lists(seen: Look, lists: Iterable[tuple[Site, str]]) -> Plan:
    """What to do about the locks of these lists."""
    made = Plan(failed=seen.failed)
    for site, name in lists:
        found = seen.locks.get(site.name, [])
        lock = locks.find(found, name)
        if lock is None:
            made.free.append((site, name, len(locks.left_behind(found, name))))
        else:
            # A claim that is another file than its lock goes with it.
            claim = lock.claim.name if lock.orphaned and lock.claim else None
            claims = [one for one in found if not one.present and claim in one.files]
            _sort(made, [Found(site, one) for one in (lock, *claims)])
    return made


def plan_stale(seen: Look) -> Plan:
    """What to do about everything that dead processes left, on every site that was looked at."""
    made = Plan(failed=seen.failed, saves=seen.saves)
    _sort(made, [found for found in seen.all() if found.lock.is_left])
    return made


def plan_gone(seen: Look, host: str) -> Plan:
    """What to do about everything that a host left which no longer exists.

    Raises BadInputError when that is the host itself.
    """
    made = Plan(failed=seen.failed, saves=seen.saves)
    _sort(made, [one for one in seen.all() if one.lock.claim and one.lock.claim.host == host])
    return made


def _sort(plan: Plan, found: Iterable[Found]) -> None:
    for one in found:
        (plan.remove if locks.removable(one.lock) else plan.refused).append(one)


def clear(
    installation: Installation,
    plan: Plan,
    arguments: Sequence[str] = (),
    gone: str | None = None,
) -> Report:
    """Remove locks, read back, and see who has them next. One command.

    Each is looked at again on the host, and left alone when anything about it has changed.
    `arguments`: the command line, for the journal; `gone`: the host that no longer exists. Raises
    JournalError when that cannot be written; then nothing was changed.
    """
    report = Report()
    answers: dict[tuple[str, str], events.Removal] = {}
    taken: dict[tuple[str, str], Lock] = {}
    after: dict[str, list[Lock]] = {}

    def hear(event: Event) -> None:
        match event:
            case events.Removal():
                answers[event.site, event.files[0]] = event
            case events.After():
                after[event.site] = locks.examine(event.observation)
            case events.Taken():
                for lock in locks.examine(event.observation):
                    if lock.files[0] in event.locks:
                        taken[event.site, lock.files[0]] = lock
            case Recorded() | events.Unrecorded():
                report.recorded = journal.heard(event) or report.recorded
                report.ended_early = journal.stopped_why(event) or report.ended_early
            case events.Stopped():
                report.ended_early = report.ended_early or "interrupted"

    to_remove: list[Found | Save] = [*plan.remove, *plan.saves]
    sites = list({found.site.name: found.site for found in to_remove}.values())
    parameters: dict[str, object] = {
        "action": "clear",
        "sites": [
            {
                **_on_host(site),
                "locks": [_order(found) for found in plan.remove if found.site == site],
                "saves": [
                    {**vars(save.order), "label": save.label}
                    for save in plan.saves
                    if save.site == site
                ],
            }
            for site in sites
        ],
        "journal": journal.parameters(
            installation,
            "clear-lock",
            arguments or ("clear-lock",),
            sites=sites,
            **({"gone": gone} if gone else {}),
        ),
    }
    try:
        installation.call("clearing", parameters, hear)
    except KeyboardInterrupt:
        # A second one does not wait for the host to end what it has in hand.
        report.lost = len(after) < len(sites)
        report.ended_early = report.ended_early or "interrupted"
    except LostError as e:
        if report.recorded is None:
            raise
        report.lost, report.ended_early = True, str(e)
    for found in plan.remove:
        answer = answers.get((found.site.name, found.lock.files[0]))
        if answer is not None:
            now = after.get(found.site.name)
            who = taken.get((found.site.name, found.lock.name))
            report.results.append(_result(found, answer, now, who))
    for save in plan.saves:
        answer = answers.get((save.site.name, save.label))
        if answer is not None:
            report.results.append(Result(save, _OUTCOMES[answer.result], _said(answer)))
    return report


#: What became of a save, by what the host says.
_OUTCOMES = {
    "removed": Outcome.CLEARED,
    "gone": Outcome.GONE,
    "changed": Outcome.REFUSED,
    "refused": Outcome.REFUSED,
    "failed": Outcome.ERROR,
}


def _order(found: Found) -> dict[str, object]:
    lock, time = found.lock, found.lock.observation.time
    waiters = [waiter.claim for waiter in lock.waiters]
    return {
        **lock.order(),
        "label": found.label,
        "waiters": [claim.name for claim in waiters[:_MOST_WAITERS]],
        # For the journal. Not the command lines of processes: they may hold a password.
        "evidence": [
            locks.describe(lock),
            lock.reason,
            *(f"process {w.claim.pid} waited since {time(w.since_ns)}" for w in lock.waiters[:5]),
        ],
    }


def _result(
    found: Found, answer: events.Removal, after: Sequence[Lock] | None, taken: Lock | None
) -> Result:
    """What became of a lock: what the host says it did, and what was seen there afterwards."""
    if after is None:
        return Result(found, Outcome.ERROR, _said(answer, "it was not looked at again afterwards"))
    # A new file may have the number of the old one.
    old = found.lock.entry
    still = any(
        (lock.entry.file, lock.entry.content) == (old.file, old.content)
        and set(lock.files) & set(found.lock.files)
        for lock in after
    )
    now = taken or next((lock for lock in after if lock.files[0] == found.lock.name), None)
    claims = {waiter.claim.name for lock in after for waiter in lock.waiters}
    claims |= {lock.files[0] for lock in after if lock.verdict is Verdict.WAITING}
    waiting = sum(waiter.claim.name in claims for waiter in found.lock.waiters)
    match answer.result:
        case "removed" if still:
            return Result(found, Outcome.ERROR, "it was removed, and is there again", now)
        case "removed":
            return Result(found, Outcome.CLEARED, next=now, waiting=waiting)
        # Broken by Mailman itself, or removed by somebody else: it is no longer in the way.
        case "gone":
            return Result(found, Outcome.GONE, "somebody else removed it just now", now)
        case "changed" if not still:
            return Result(found, Outcome.GONE, "somebody else removed it just now", now)
        case "refused" | "changed":
            return Result(found, Outcome.REFUSED, _said(answer), now)
    return Result(found, Outcome.ERROR, _said(answer), now)


def _said(answer: events.Removal, fallback: str = "") -> str:
    return locks.printable(answer.reason or fallback)
