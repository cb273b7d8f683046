"""``runbook locks`` and ``runbook clear-lock``."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import click

from runbooks.book.procedure import Step
from runbooks.book.whose import whose
from runbooks.clear_lock import page, run
from runbooks.clear_lock.run import Look, Plan, Report
from runbooks.clear_lock.shown import label_of, show_plan, show_report, what
from runbooks.errors import BadInputError, HostError, short
from runbooks.host.host import Host
from runbooks.mailman import journal
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import Installation, Site, is_list_name, list_name
from runbooks.mailman.locks import (
    MASTER,
    START_MAILMANCTL,
    Lock,
    Verdict,
    describe,
    printable,
    refusal,
    removable,
)
from runbooks.mailman.target import invocation
from runbooks.terminal import byhand, explained, hosts, options
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Question, Screen, Task, cut, many
from runbooks.terminal.hosts import Answers

#: The locks of a host.
Seen = tuple[Installation, Look]

#: Seconds between two looks, with --watch.
INTERVAL = 2.0


# -- runbook locks ------------------------------------------------------------------------


@click.command(
    epilog=f"""\b
Examples:
  runbook locks
  runbook locks --watch --host {whose().server.spec}
  runbook locks --json --site {whose().first.name}

\b
For Prometheus, in a cron job or a timer, each minute:
  runbook locks --prometheus --host {whose().server.spec} |
    sponge /var/lib/prometheus/node-exporter/mailman.prom
"""
)
@options.sites
@click.option("--watch", is_flag=True, help="Keep looking until Ctrl-C.")
@click.option(
    "--prometheus",
    "as_metrics",
    is_flag=True,
    help="Print metrics, for the textfile collector of node_exporter, to be written with sponge:"
    " nobody reads half of a file then. The exit status is the same as without it.",
)
@options.together(options.host, options.json)
def locks(
    sites: tuple[str, ...],
    watch: bool,
    as_metrics: bool,
    host_specs: tuple[str, ...],
    at_once: int,
    as_json: bool,
) -> int:
    """Show every lock of every site: who holds it, since when, and who is waiting.

    \b
    held       its process runs, or is stopped, and started before the lock was taken
    stale      its process is gone: runbook clear-lock removes the lock
    expired    its process runs, but its time is over: Mailman itself breaks the lock
    foreign    its process is on another host
    malformed  it is not a lock as Mailman makes them
    waiting    nobody holds it now, and a process wants it

    Files that dead processes left while they waited for a lock are only counted: they block
    nobody. The exit status is 1 if a list is blocked until somebody acts (its lock is stale,
    foreign or malformed, or the process that holds it is stopped), or if a lock folder could not
    be read.
    """
    if as_metrics and (watch or as_json):
        raise click.UsageError("--prometheus prints one look: leave out --watch and --json")
    screen = Screen(as_json or as_metrics)
    named = hosts.opened(host_specs)
    known: dict[str, Installation] = {}

    def look(screen: Screen, host: Host) -> Seen:
        if host.spec not in known:
            found = options.installation(host, screen)
            found.check_user()
            known[host.spec] = found
        found = known[host.spec]
        with screen.busy("looking at the locks"):
            return found, run.look(found, found.choose_sites(sites))

    if as_metrics:
        seen = _print_metrics(screen, named, lambda: hosts.ask_each(screen, named, at_once, look))
        return _status(seen)
    seen = hosts.ask_each(screen, named, at_once, look)
    if watch:
        unseen = Screen(as_json, quiet=True)
        return _watch(screen, seen, lambda: hosts.ask_each(unseen, named, at_once, look))
    _show_locks(screen, seen)
    return _status(seen)


def _print_metrics(
    screen: Screen, named: Sequence[Host], look: Callable[[], Answers[Seen]]
) -> Answers[Seen]:
    from runbooks.clear_lock import metrics  # prometheus_client is needed for this alone

    looks: dict[str, Look | None] = {host.spec: None for host in named}

    def tell() -> None:
        click.echo(metrics.text(looks, time.time()), nl=False)

    try:
        seen = look()
    except HostError:
        tell()  # that none has answered
        raise
    for _, why in seen.failed:
        screen.warn(why)
    looks |= {found.host.spec: one for found, one in seen.of.values()}
    tell()
    return seen


def _status(seen: Answers[Seen]) -> int:
    blocked = any(
        look.failed or any(found.lock.blocks for found in look.all())
        for _, look in seen.of.values()
    )
    return 1 if seen.failed or blocked else 0


def _watch(screen: Screen, seen: Answers[Seen], look: Callable[[], Answers[Seen]]) -> int:
    """Look again and again. Ctrl-C ends it with the status of the last look."""
    if screen.as_json or not sys.stdout.isatty():
        with suppress(KeyboardInterrupt):
            while True:
                _show_locks(screen, seen)
                time.sleep(INTERVAL)
                seen = look()
        return _status(seen)
    from rich.live import Live
    from rich.text import Text

    def picture() -> Text:
        with screen.console.capture() as shown:
            _show_locks(screen, seen)
            screen.say(f"  every {INTERVAL:g} s; Ctrl-C ends it", style="dim")
        return Text.from_ansi(shown.get(), overflow="fold")

    with (
        suppress(KeyboardInterrupt),
        # On a console of its own: each line of the one that it is on comes with all of it.
        Live(picture(), console=type(screen)().console, auto_refresh=False, transient=True) as live,
    ):
        while True:
            time.sleep(INTERVAL)
            seen = look()
            live.update(picture(), refresh=True)
    # What was seen last, with lines that are not cut: they may be copied.
    _show_locks(screen, seen)
    return _status(seen)


def _show_locks(screen: Screen, seen: Answers[Seen]) -> None:
    """All hosts in one table, and what is to be said of each below it."""
    for label, (installation, _) in seen.of.items():
        screen.say(hosts.named(label, installation.title), style="bold")
    shown = [
        (label, installation, found)
        for label, (installation, look) in seen.of.items()
        for found in look.all()
    ]
    with_sites = any(len(installation.sites) > 1 for installation, _ in seen.of.values())
    hosted = "" not in seen.of
    rows = [
        (
            *((label,) if hosted else ()),
            found.lock.list or found.lock.name,
            *((found.site.name,) if with_sites else ()),
            *_columns(found.lock),
        )
        for label, _, found in shown
        if screen.is_read and found.lock.verdict is not Verdict.DEBRIS
    ]
    failed = seen.failed or any(look.failed for _, look in seen.of.values())
    if rows:
        head = (*(("HOST",) if hosted else ()), "LIST", *(("SITE",) if with_sites else ()))
        titles = (*head, "VERDICT", "HOLDER", "SINCE", "EXPIRES", "WAITING")
        screen.table([titles, *rows])
    elif not failed:
        screen.say("nothing is locked")
    for label, (installation, look) in seen.of.items():
        _show_more(screen, label, installation, look)
    for host, why in seen.failed:
        screen.say(why, style="red")
        screen.object(host=host.spec, error=why)
    counts = Counter(found.lock.verdict.value for _, _, found in shown)
    screen.object(summary=dict(counts))


def _show_more(screen: Screen, host: str, installation: Installation, seen: Look) -> None:
    """What there is to say of the locks of a host that is not in the table, and what helps."""

    def say(text: str, style: str = "") -> None:
        screen.say(hosts.named(host, text), style)

    for found in seen.of(Verdict.MALFORMED):
        say(f"{found.label} ({found.site.name}): {found.lock.reason}", "yellow")
    for found in seen.all():
        if found.lock.stopped:
            label = label_of(installation, found.site, found.label)
            say(f"{label}: {refusal(found.lock)}", "yellow")
    for site, why in seen.failed.items():
        say(f"the locks of {site} cannot be seen: {why}", "red")
    debris = seen.of(Verdict.DEBRIS)
    if debris:
        say(f"{many(len(debris), 'file')} left behind by processes that no longer run")
    for line in _advice(installation, seen):
        screen.say(f"  → {line}", style="cyan")
    where = installation.host.spec
    screen.objects(
        {"host": where, "site": found.site.name, **found.lock.as_json()}
        # There may be thousands.
        for found in (seen.all() if screen.as_json else ())
    )
    for site, why in seen.failed.items():
        screen.object(host=installation.host.spec, site=site, error=why)


def _columns(lock: Lock) -> tuple[str, ...]:
    time = lock.observation.time
    claim = lock.claim
    holder = f"process {claim.pid} on {claim.host}" if claim else "?"
    if lock.process and lock.process.command and lock.verdict.value in ("held", "expired"):
        holder += " (stopped)" if lock.stopped else ""
        holder += f": {cut(_short_command(lock.process.command), 40)}"
    first = lock.waiters[0] if lock.waiters else None
    waiting = ""
    if first:
        waiting = f"process {first.claim.pid} since {time(first.since_ns)}"
        if len(lock.waiters) > 1:
            waiting = f"{len(lock.waiters):,} processes, the first since {time(first.since_ns)}"
    elif lock.verdict.value == "waiting":
        waiting, holder = f"{holder} since {time(lock.taken_ns)}", ""
    if lock.verdict.value == "waiting":
        return lock.verdict.value, holder, "", "", waiting
    return lock.verdict.value, holder, time(lock.taken_ns), time(lock.expires_ns), waiting


def _short_command(command: str) -> str:
    """A command line without the interpreter and the folder of the program."""
    words = command.split(" ")
    if len(words) > 1 and words[0].rpartition("/")[2].startswith("python"):
        words = [word for word in words[1:] if not word.startswith("-")] or words
    return " ".join([words[0].rpartition("/")[2], *words[1:]])


def _advice(installation: Installation, seen: Look) -> list[str]:
    """Commands that help, ready to paste."""
    narrowed = len(seen.sites) < len(installation.sites)
    only = [word for site in seen.sites for word in ("--site", site.name) if narrowed]

    def clear(label: str, site: Site) -> str:
        # Another site may have a list of that name, locked or not.
        one = ("--site", site.name) if len(installation.sites) > 1 else ()
        return installation.host.command(invocation("clear-lock", label, options=one))

    left = [found for found in seen.all() if found.lock.is_left]
    gone = {found.lock.claim.host for found in seen.of(Verdict.FOREIGN) if found.lock.claim}
    lines = [
        f"{installation.host.command(('clear-lock', '--gone', host, *only))}"
        f"   if the host {printable(host)} no longer exists"
        for host in sorted(gone)
    ]
    locked = [found for found in left if found.is_lock and removable(found.lock)]
    all_named = all(is_list_name(found.label) for found in locked)
    if len(locked) > 3 or not all_named or any(not found.is_lock for found in left):
        return [installation.host.command(("clear-lock", "--stale", *only)), *lines]
    return [
        *(clear(found.label, found.site) for found in locked),
        *(
            f"{clear(MASTER, found.site)}   shows what to do before mailmanctl is started again"
            for found in left
            if found.lock.name == MASTER and found not in locked
        ),
        *lines,
    ]


# -- runbook clear-lock -------------------------------------------------------------------


def _host_name(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name is not None and not (name.isprintable() and re.fullmatch(r"[^\s/]{1,255}", name)):
        raise click.BadParameter(f"{short(name)} cannot be the name of a host.")
    return name


@click.command(
    "clear-lock",
    epilog=f"""\b
Examples:
  runbook clear-lock {whose().examples.list}
  runbook clear-lock {whose().examples.list} --dry-run --host {whose().server.spec}
  runbook clear-lock {whose().examples.list} --steps
  runbook clear-lock --stale                 every stale lock, and what dead processes left
  runbook clear-lock --gone oldlists         what a host left that no longer exists
""",
)
@click.argument("lists", metavar="[LIST]...", nargs=-1, shell_complete=options.completing("lists"))
@click.option(
    "--stale",
    is_flag=True,
    help="Remove every stale lock, and every file that a dead process left behind.",
)
@click.option(
    "--gone",
    metavar="HOST",
    callback=_host_name,
    help="Remove every lock of HOST, which no longer exists or was renamed.",
)
@options.together(
    options.sites,
    options.host,
    options.dry_run,
    options.yes,
    options.quiet,
    byhand.options,
    options.json,
)
def clear_lock(
    lists: tuple[str, ...],
    stale: bool,
    gone: str | None,
    sites: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    by_hand: ByHand | None,
    **chosen: Any,
) -> int:
    """Remove the lock of each LIST, if the process that took it is gone.

    This shows the evidence, asks, removes the lock and its claim, checks that they are gone, and
    shows who has the list next. A lock that a process holds is never removed. The lock
    master-qrunner belongs to mailmanctl: it is removed only when neither mailmanctl nor any of its
    runners is left.

    A lock of another host names a process that cannot be looked up here. With --gone HOST, you say
    that this host no longer exists: it was renamed, or was a container that was made anew. What a
    process of the present host may hold is left alone even then.
    """
    if bool(lists) + stale + (gone is not None) != 1:
        raise click.UsageError(
            "name the lists, or use --stale for everything left behind, or --gone for one host"
        )
    names = tuple(dict.fromkeys(list_name(name) for name in lists))
    if by_hand and (not lists or (by_hand.steps and len(names) > 1)):
        raise click.UsageError("the steps by hand are for one list: name it")

    def on_host(screen: Screen, installation: Installation) -> int:
        installation.check_user()
        if gone == installation.hostname:
            raise BadInputError(
                f"{gone} is this host: use --stale for what its dead processes left"
            )
        with screen.busy("looking at the locks"):
            seen = run.look(
                installation,
                installation.choose_sites(sites),
                with_lists=bool(lists),
                saves_of=gone or (installation.hostname if stale else None),
                gone=gone,
            )
        if by_hand:
            return _by_hand(screen, installation, seen, names, by_hand, yes)
        if gone:
            plan = run.plan_gone(seen, gone)
        else:
            plan = run.plan_stale(seen) if stale else run.plan(installation, seen, names)
        return _carry_out(screen, installation, seen, plan, names, gone, dry_run, yes)

    return options.on_installations(on_host, **chosen)


def _carry_out(
    screen: Screen,
    installation: Installation,
    seen: Look,
    plan: Plan,
    lists: Sequence[str],
    gone: str | None,
    dry_run: bool,
    yes: bool,
) -> int:
    """Show the plan, ask, remove, report; the exit status."""
    screen.say(installation.title, style="bold")
    show_plan(screen, installation, plan)
    if not (lists or plan.remove or plan.saves or plan.refused or plan.failed):
        _show_nothing(screen, seen, gone)
    if dry_run or not (plan.remove or plan.saves):
        _objects(screen, installation, plan, planned=dry_run)
        if dry_run:
            screen.say("dry run: nothing was changed")
        return 1 if plan.refused or plan.failed else 0
    task = Task("Remove", what([*plan.remove, *plan.saves]))
    first = f"Is the host {gone} really gone? " if gone else ""
    screen.confirm(Question((task,), first), yes)
    with options.changing(installation.host):
        with screen.busy("removing, and seeing who is next"):
            report = run.clear(installation, plan, options.typed(), gone)
        show_report(screen, installation, report)
        _show_what_was_stopped(screen, installation, report)
        _objects(screen, installation, plan, report)
    return 0 if report.is_done and not plan.refused and not plan.failed else 1


#: So many addresses are named in a command that is to be repeated.
_MOST_ADDRESSES = 5


def _show_what_was_stopped(screen: Screen, installation: Installation, report: Report) -> None:
    """What can be repeated, now that its lock does not stop it any more."""
    cleared = [
        (result.found.site.name, result.found.label)
        for result in report.results
        if result.found.is_lock and result.outcome in (Outcome.CLEARED, Outcome.GONE)
    ]
    for stopped in journal.stopped(installation, cleared) if cleared else ():
        for one in stopped.lists:
            site = ("--site", one.site) if len(installation.sites) > 1 else ()
            options = ("--list", one.list, *site)
            again = (*stopped.arguments, *options)
            if len(stopped.addresses) <= _MOST_ADDRESSES:
                again = invocation(stopped.command, *stopped.addresses, options=options)
            line = installation.host.command(again)
            screen.say(f"the lock had stopped {stopped.id}; now repeat it: {line}", style="cyan")


def _by_hand(
    screen: Screen,
    installation: Installation,
    seen: Look,
    names: tuple[str, ...],
    wanted: ByHand,
    yes: bool,
) -> int:
    steps: list[Step] = []
    for name in names:
        site = run.site_of(seen, name)
        if name == MASTER:
            raise BadInputError(
                f"{MASTER} is the lock of mailmanctl, and {START_MAILMANCTL} removes it:"
                f" runbook clear-lock {MASTER} --dry-run says whether a runner is left"
            )
        steps += page.steps(installation, page.ClearArguments(name, site.name))
    printed = PrintedSteps.of(page.PROCEDURE, steps)
    return explained.show(screen, installation, wanted, printed, yes)


def _show_nothing(screen: Screen, seen: Look, gone: str | None) -> None:
    """That there is nothing to remove. A host that is mistyped is seen by those that there are."""
    if gone is None:
        screen.say("nothing is stale, and nothing was left behind", style="green")
        return
    there = f"; those there are name {', '.join(seen.hosts)}" if seen.hosts else ""
    screen.say(f"no lock and no claim names the host {gone}{there}", style="green")


def _objects(
    screen: Screen,
    installation: Installation,
    plan: Plan,
    report: Report | None = None,
    *,
    planned: bool = False,
) -> None:
    host = installation.host.spec
    counts: dict[Outcome, int] = {}

    def tell(site: str, outcome: Outcome, detail: str, **more: object) -> None:
        counts[outcome] = counts.get(outcome, 0) + 1
        screen.object(host=host, site=site, outcome=outcome, detail=detail, **more)

    for site, name, left in plan.free:
        tell(site.name, Outcome.FREE, "it is not locked", list=name, left_behind=left)
    for found in plan.refused:
        detail = refusal(found.lock) or ""
        tell(found.site.name, Outcome.REFUSED, detail, **found.lock.as_json())
    for found in plan.remove if planned else ():
        tell(found.site.name, Outcome.PLANNED, describe(found.lock), **found.as_json())
    for save in plan.saves if planned else ():
        tell(save.site.name, Outcome.PLANNED, save.outline, **save.as_json())
    for result in report.results if report else ():
        after = result.next.as_json() if result.next else None
        found_json = result.found.as_json()
        tell(result.found.site.name, result.outcome, result.detail, **found_json, next=after)
    for name, why in plan.failed.items():
        tell(name, Outcome.ERROR, why)
    screen.object(summary=counts)
