"""*Lock Files*: what holds a list up, and removing only what is safe to remove."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbooks import journal, locks
from runbooks.errors import BadInputError, LostError
from runbooks.expected import MORE, placeholder
from runbooks.journal import Recorded
from runbooks.locks import START_MAILMANCTL, Lock, Observation, Verdict
from runbooks.mailman import Installation, Site, as_mailmans_user, unknown_list
from runbooks.procedure import Outcome, Procedure, Step, Trouble
from runbooks.session import Event

#: Names of claims that a run looks for, to see who takes a lock next.
_MOST_WAITERS = 100


# -- by command ---------------------------------------------------------------------------


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
    order: Mapping[str, Any]

    @property
    def is_lock(self) -> bool:
        return False

    @property
    def label(self) -> str:
        return f"{self.list}/{self.order['name']}"

    @property
    def outline(self) -> str:
        """``a save that was not finished by process 83 on lists, which no longer runs``"""
        who = f"process {self.order['pid']} on {locks.printable(self.order['host'])}"
        return f"a save that was not finished by {who}, which no longer runs"

    def as_json(self) -> dict[str, object]:
        return {"list": self.list, "save": self.order["name"], "bytes": self.order["size"]}


@dataclass
class Look:
    """What the lock folders of an installation hold."""

    sites: tuple[Site, ...]
    #: every lock of a site, and what belongs to none
    locks: dict[str, list[Lock]] = field(default_factory=dict)
    #: lock folders that could not be read, and why
    failed: dict[str, str] = field(default_factory=dict)
    #: the names of the lists of a site, where they were asked for
    lists: dict[str, list[str]] = field(default_factory=dict)
    #: saves that were cut short, where they were asked for
    saves: list[Save] = field(default_factory=list)

    def all(self) -> list[Found]:
        """Everything, site by site."""
        return [Found(site, lock) for site in self.sites for lock in self.locks.get(site.name, ())]

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

    def hear(event: Event) -> None:
        match event["event"]:
            case "locks":
                observation = Observation.from_json(event["observation"])
                if observation.error:
                    why = f"{observation.lock_dir}: {observation.error}"
                    seen.failed[event["site"]] = locks.printable(why)
                seen.locks[event["site"]] = locks.examine(observation, gone)
            case "saves":
                site = next(site for site in sites if site.name == event["site"])
                seen.saves += [Save(site, order["list"], order) for order in event["saves"]]
                if event["error"]:
                    seen.failed[event["site"]] = locks.printable(event["error"])
            case "lists":
                seen.lists[event["site"]] = event["names"]
                if event["error"]:
                    seen.failed[event["site"]] = locks.printable(event["error"])

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


def plan(seen: Look, names: Iterable[str]) -> Plan:
    """What to do about the locks of the lists `names`.

    Raises BadInputError for a name that no site has, or several.
    """
    made = Plan(failed=seen.failed)
    for name in names:
        site = site_of(seen, name)
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
    answers: dict[tuple[str, str], Event] = {}
    taken: dict[tuple[str, str], Lock] = {}
    after: dict[str, list[Lock]] = {}

    def hear(event: Event) -> None:
        match event["event"]:
            case "removal":
                answers[event["site"], event["files"][0]] = event
            case "taken" | "after":
                seen = locks.examine(Observation.from_json(event["observation"]))
                if event["event"] == "after":
                    after[event["site"]] = seen
                for name in event.get("locks", ()):
                    now = next((lock for lock in seen if lock.files[0] == name), None)
                    if now:
                        taken[event["site"], name] = now
            case "recorded" | "unrecorded":
                report.recorded = journal.heard(event) or report.recorded
                report.ended_early = journal.stopped_why(event) or report.ended_early
            case "stopped":
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
                    {**save.order, "label": save.label} for save in plan.saves if save.site == site
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
            report.results.append(Result(save, _OUTCOMES[answer["result"]], _said(answer)))
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
    found: Found, answer: Event, after: Sequence[Lock] | None, taken: Lock | None
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
    match answer["result"]:
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


def _said(answer: Event, fallback: str = "") -> str:
    return locks.printable(answer["reason"] or fallback)


# -- by hand ------------------------------------------------------------------------------

#: By how many seconds a process must be younger than a lock not to be its holder, by hand: a
#: clock that was set since moves the one and not the other.
_DOUBT = 20


def steps(installation: Installation, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """The procedure by hand.

    `arguments`: ``list``; ``site``, the name of its site, the first one when missing.
    """
    name = arguments["list"]
    sites = {site.name: site for site in installation.sites}
    site = sites[arguments["site"]] if arguments.get("site") else installation.sites[0]
    path = f"{site.lock_dir}/{name}.lock"
    claim = f"{path}.{installation.hostname}.4711.0"
    # `stat` and `ps` of any Debian; no process id is known when this is printed.
    read = (
        f"lock={shlex.quote(path)}\n"
        'claim=$(cat "$lock") && pid=${claim%.*} && pid=${pid##*.} &&\n'
    )

    def of_lock(what: str, shown: str) -> str:
        return placeholder("LOCK", what, site.name, name, shown=shown)

    dead = placeholder("DEAD", site.name, name, shown="4711")
    listed = f"{site.user} {site.group}"
    return (
        Step(
            "see-lock",
            "See the lock",
            f"``{name}.lock`` is there: somebody has the list. The other name of the same file"
            " (the number behind the permissions is 2) is the *claim* of whoever that is. The"
            " time lies in the future: until then nobody else gets the list. A claim with a 1"
            " is that of a process that waits, or was killed while it did.",
            f"ls -l --time-style=full-iso {shlex.quote(path)}*",
            f"-rw-rw-r-- 2 {listed} {of_lock('size', '66')} {of_lock('expiry', _EXPIRY)} {path}\n"
            f"-rw-rw-r-- {{LINKS:2}} {listed} {{SIZE:66}} {{STAMP:{_EXPIRY}}}"
            f" {placeholder('CLAIM', site.name, name, shown=claim)}\n"
            f"{MORE}",
        ),
        Step(
            "read-lock",
            "Read who has it",
            "The lock's content is the path of the claim. Read its name from the right: a number,"
            " the process id, the host; host and list may have dots in their names.",
            f"cat {shlex.quote(path)}; echo",
            of_lock("claim", claim),
        ),
        Step(
            "find-holder",
            "Find out whether that process runs, and is the one that took the lock",
            "A process that is shown and started before the lock was taken has it, even if it is"
            " stopped (``T``): **stop here**. It works, or it hangs; end it if it must go, and"
            " begin again. A process that started after the lock was taken only has the id of the"
            " one that died. If the claim names another host than this one, look there: here its"
            " id means nothing.",
            f"{read}"
            'LC_ALL=C date -d "@$(stat -c %Z "$lock")" \\\n'
            '  "+taken on %a %b %e %T %Y, and this is $(uname -n):" &&\n'
            '{ ps -o stat= -o lstart= -o args= -p "$pid" ||\n'
            '  echo "no process here has the id $pid"; }',
            f"taken on {of_lock('taken_on', 'Wed May  1 05:28:14 2024')},"
            f" and this is {installation.hostname}:\n"
            f"no process here has the id {dead}",
        ),
        Step(
            "remove-lock",
            "Remove the lock and its claim",
            "In the order in which Mailman breaks a lock: its expiry is pushed forward, so that no"
            " waiting process breaks it in the same moment, then the lock goes, then the claim."
            " The command looks again first, and leaves alone what a process may still have.",
            f"{read}"
            'if [ "${claim##*/}" != "${lock##*/}.$(uname -n).$pid.${claim##*.}" ] ||\n'
            '  ! [ "$pid" -gt 0 ] || ! [ "$lock" -ef "${lock%/*}/${claim##*/}" ]; then\n'
            '  echo "left alone: it is not a lock of this host, $(uname -n)"\n'
            'elif [ -e "/proc/$pid" ] && ! [ "$(ps -o etimes= -p "$pid")" -lt \\\n'
            f'  "$(($(date +%s) - $(stat -c %Z "$lock") - {_DOUBT}))" ]; then\n'
            '  echo "left alone: process $pid may have it"\n'
            'elif touch -d \'+1 hour\' "$lock" && [ "$(cat "$lock")" = "$claim" ] &&\n'
            '  rm "$lock" "${lock%/*}/${claim##*/}"; then\n'
            '  echo "removed"\n'
            "fi",
            "removed",
        ),
        Step(
            "lock-again",
            "See that the list goes on",
            "The list is locked and let go of, with Mailman's own code. Who was waiting comes"
            " first: the command waits for up to ten seconds. It runs under the Python that"
            " Mailman's programs name in their first line.",
            as_mailmans_user(
                installation,
                site,
                "@PYTHON@",
                "-c",
                f"import sys; sys.path.insert(0, {_quoted(installation.bin)}); import paths;"
                " from Mailman.MailList import MailList;"
                f" m = MailList({_quoted(name)}, lock=0); m.Lock(timeout=10); m.Unlock();"
                f" print({_quoted(f'{name}: can be locked')})",
            ).replace(
                # Another server's Mailman is of another Python, and may not load under this one.
                "@PYTHON@",
                f"$(sed -n '1s/^#! *//p' {shlex.quote(installation.bin)}/withlist)",
                1,
            ),
            f"{name}: can be locked",
        ),
    )


def _quoted(text: str) -> str:
    """A string for Python, 2 or 3, that a shell needs no quoting within."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_EXPIRY = "2024-05-01 10:28:14.060000000 +0000"

#: What a terminal shows of ``runbook clear-lock`` on the installation of the docs.
_SHOWS = (
    "{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:8} lists\n"
    "  openstack-foo (openstack)  locked since {LOCK taken openstack openstack-foo:05:28}"
    " by process {LOCK pid openstack openstack-foo:4711} on lists, which no longer runs\n"
    "    openstack-foo.lock and"
    " {LOCK claim_name openstack openstack-foo:openstack-foo.lock.lists.4711.0}"
    " in /srv/mailman/openstack/locks\n"
    "    inode {LOCK inode openstack openstack-foo:131}, link count 2,"
    " taken {LOCK taken openstack openstack-foo:05:28},"
    " expires {LOCK expires openstack openstack-foo:10:28}\n"
    "    no process has the id {DEAD openstack openstack-foo:4711}\n"
    "    process {WAITER pid openstack openstack-foo:4811} on lists waits since {CLOCK:05:31}\n"
    "Remove 1 stale lock? [y/N] {ANSWER:y}\n"
    "1 stale lock removed and read back:\n"
    "  openstack-foo (openstack)  now locked since {CLOCK:05:40} by process"
    " {WAITER pid openstack openstack-foo:4811} on lists, which runs"
    " ({WAITER command openstack openstack-foo:/usr/bin/python2.7 …/qrunner"
    " --runner=IncomingRunner:0:1 -s})\n"
    "recorded as {RUN:20240501-120301-4f9a1c}"
    " in lists:/srv/mailman/openstack/runbook/journal.jsonl\n"
)


def _command(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return ("clear-lock", arguments["list"])


PROCEDURE = Procedure(
    name="clear-lock",
    title="Lock Files",
    when=(
        "A list stops handling mail, or a command says that a list is locked. Whoever works on a"
        " list locks it, for five hours at most. When that process dies, killed or with the"
        " host, its lock stays, and everybody else waits until it expires. The locks of a site"
        " are in the folder ``locks`` beside its lists; ``runbook locks`` shows all of them, and"
        " ends with exit status 1 when one keeps everybody from its list."
    ),
    steps=steps,
    command=_command,
    shows=_SHOWS,
    troubles=(
        Trouble(
            "The list has no lock, and handles no mail all the same",
            "Then something else is wrong. ``ps -u list -o pid,args`` shows whether ``mailmanctl``"
            " and its ``qrunner`` processes run; ``logs/error`` of the site says what failed.",
        ),
        Trouble(
            "The process runs and has the lock",
            "Then the lock is no mistake. See what it does (``ps``, :elsewhere:`strace -p`). If it"
            " hangs, end it with ``kill`` and begin again: it lets go of the lock, or leaves a"
            " stale one.",
        ),
        Trouble(
            "The process is stopped (``T``)",
            "Somebody typed Ctrl-Z in an interactive ``withlist -l``, and everybody waits for that"
            " session. ``fg`` in the shell that started it lets it go on; ``runbook locks`` names"
            " its terminal. Where that shell is gone, ``kill -CONT`` lets it go on, and"
            " ``kill -KILL`` ends it and leaves a stale lock.",
        ),
        Trouble(
            "The claim names another host",
            "Several hosts share the folder, or the host was renamed, or was a container that was"
            " made anew. A process id means something on that host alone: look there, with that"
            " host's ``runbook locks``. Where no such host exists any more, ``runbook clear-lock"
            " --gone`` with its name removes what it left, and still leaves alone what a process of"
            " this host may have. Without that, its lock ends when it expires.",
        ),
        Trouble(
            "The lock and its claim are two files, or there is a lock and no claim",
            "A folder that was restored from a backup has such locks; Mailman waits behind each."
            " ``runbook clear-lock`` removes one that names a single process of this host, when"
            " that process is gone. It shows any other, and leaves it and its claim as they are:"
            " remove the lock by hand when no process of Mailman's user is left that may have it.",
        ),
        Trouble(
            "Only the lock was removed, and not its claim",
            "The list is free. The claim stays in the folder for good and does no harm;"
            " ``runbook clear-lock --stale`` removes it, those of processes that were killed while"
            " they waited, and what a process that was killed while it saved a list has left in"
            " that list's folder (``config.pck.tmp`` with its host and id).",
        ),
        Trouble(
            "No list handles mail, and there is a lock ``master-qrunner``",
            "That one is of ``mailmanctl``, which has it for as long as it runs. After a crash it"
            " stays, and ``mailmanctl start`` exits with status 0 and starts nothing. Its queue"
            " runners may have outlived it: ``pgrep -af bin/qrunner`` shows them. End them first,"
            f" with ``kill``: ``{START_MAILMANCTL}`` removes the lock and starts, and would start a"
            " second set beside them, on the same queues. ``runbook clear-lock master-qrunner``"
            " names those that are left, and removes the lock when none is.",
        ),
        Trouble(
            "The list is locked again a minute later, by a process that is gone as well",
            "Something dies each time it works on the list. ``logs/error`` of the site names it;"
            " a message in ``qfiles/shunt`` or ``qfiles/in`` may be what it dies of.",
        ),
        Trouble(
            "Nobody knows whether the process is the holder, since the clock was set",
            "Times of processes follow the clock, those of files do not. ``runbook clear-lock``"
            " takes that into account, and refuses when in doubt. The lock ends when it expires.",
        ),
    ),
    example={"list": "openstack-foo", "site": "openstack"},
)
