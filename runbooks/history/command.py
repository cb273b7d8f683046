"""``runbook history`` and ``runbook undo``."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from runbooks.book.whose import whose
from runbooks.errors import BadInputError
from runbooks.history import restore
from runbooks.history import run as undoing
from runbooks.history.run import Plan
from runbooks.mailman import journal
from runbooks.mailman.clock import Clock
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import Installation
from runbooks.mailman.journal import ListRecord, Run, StepTold
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Work
from runbooks.terminal import options
from runbooks.terminal.console import Question, Screen, Task, columns, cut, many
from runbooks.terminal.report import Report


@click.command(
    epilog="""\b
Examples:
  runbook history                              what was done on this machine lately
  runbook history 20240501-120301-4f9a1c       one run, list by list
  runbook history 4f9a1c --json
"""
)
@click.argument("run", required=False, shell_complete=options.completing("runs"))
@click.option(
    "--limit",
    metavar="N",
    type=options.Number(1),
    default=20,
    show_default=True,
    help="Number of runs to show.",
)
@options.together(options.host, options.json)
def history(run: str | None, limit: int, **chosen: Any) -> int:
    """Show what runbook changed on a host, newest first, or what one RUN changed.

    RUN is the id of a run, its beginning, or its last part. The record is kept on the host,
    where only root and Mailman's user can read it.
    """
    return options.on_installations(
        lambda screen, found: _history(screen, found, run, limit), **chosen
    )


def _history(screen: Screen, found: Installation, run: str | None, limit: int) -> int:
    found.check_user()
    if run is not None:
        with screen.busy("reading the journal"):
            one = journal.find(found, run)
        _show_run(screen, found, one)
        screen.object(**_as_json(one))
        return 0
    with screen.busy("reading the journal"):
        past = journal.history(found, limit)
    for problem in past.problems:
        screen.warn(problem)
    screen.say(found.title, style="bold")
    if not past.runs:
        screen.say("nothing is recorded yet")
    _show_runs(screen, past.runs, found.clock)
    if past.number > len(past.runs):
        screen.say(f"  … and {past.number - len(past.runs):,} older: --limit {past.number}")
    for one in past.runs:
        screen.object(**_as_json(one))
    return 0


@click.command(
    epilog=f"""\b
Examples:
  runbook undo 20240501-120301-4f9a1c
  runbook undo 4f9a1c --dry-run --host {whose().server.spec}
"""
)
@click.argument("run", shell_complete=options.completing("runs"))
@options.together(
    options.host,
    options.timeout,
    options.jobs,
    options.dry_run,
    options.yes,
    options.quiet,
    options.json,
)
def undo(run: str, dry_run: bool, yes: bool, **chosen: Any) -> int:
    """Take back what RUN changed.

    RUN is the id of a run (see 'runbook history'), its beginning, or its last part. A run of ban,
    unban, unsubscribe, withlist, undo or 'add-list --fix' can be taken back. What it removed is
    put back as it was. A list that is already as it was before RUN is left alone, so undoing twice
    does no harm. What somebody has changed since is left alone, and named. An undo is itself a
    run, and can be undone. A run on several hosts has the same id on each: name the same hosts.
    """
    return options.on_lists(
        lambda screen, target: _undo(screen, target, run, dry_run, yes), **chosen
    )


def _undo(screen: Screen, target: Target, run: str, dry_run: bool, yes: bool) -> int:
    with screen.busy("reading the journal"):
        past = journal.find(target.installation, run)
    if restore.has_states(past):
        return restore.put_back(screen, target, past, dry_run, yes)
    undoing.check(past, target.installation)
    with screen.busy("looking at the lists"):
        plan = undoing.look(target, past)
    report = Report(screen, target.installation)
    _show_plan(report, past, plan)
    if dry_run or not plan.to_do:
        _tell_seen(report, plan)
        _show_left(report, plan)
        if dry_run:
            report.dry_run()
        return 1 if plan.left else 0
    screen.confirm(Question((Task.of(f"Take back {past.id} on", len(plan.to_do)),)), yes)
    with options.changing(target.installation.host):
        with screen.progress(len(plan.to_do)) as bar:
            work = undoing.undo(target, past, plan, options.typed(), bar)
        return _show_work(report, plan, work)


# -- undo ---------------------------------------------------------------------------------


def _show_plan(report: Report, past: Run, plan: Plan) -> None:
    screen = report.screen
    to_do = {(answer.site, answer.list) for answer in plan.to_do}

    def parts(answers: Sequence[Answer]) -> list[str]:
        here = [a for a in answers if (a.site, a.list) in to_do]
        well = [a for a in answers if a.outcome in plan.seen.done]
        counts = {
            "already as before": sum((a.site, a.list) not in to_do for a in well),
            "cannot be read": len(answers) - len(well),
            "locked now": sum(a.said.has_lock for a in here),
        }
        also = [f"{number:,} {what}" for what, number in counts.items() if number]
        return [f"{len(here):,} to take back", *also]

    report.plan(report.by_site(plan.seen, parts), past.outline(report.installation.clock))
    for what, member in (("out of", "take_out"), ("back into", "put_back")):
        entries = sorted({e for a in plan.to_do for e in getattr(a.said, member)})
        if entries:
            screen.say(f"  {what} the ban lists: {_value(entries)}")
    for answer in plan.to_do:
        if answer.said.describe is not None:
            screen.say(f"  description back to: {answer.said.describe!r}")
    back = {f"{name} back to {was!r}" for a in plan.to_do for name, was in a.said.set.items()}
    for line in sorted(back):
        screen.say(f"  {line}")
    for line in _subscriptions(plan):
        screen.say(f"  {line}")
    if not plan.to_do:
        by = f" (taken back by {' and '.join(past.undone_by)})" if past.undone_by else ""
        screen.say(f"nothing is left to take back{by}", style="green")


def _subscriptions(plan: Plan) -> list[str]:
    """What becomes of members, and of subscriptions that wait."""
    lines = []
    for direction, of_members, of_waiting in (
        ("returning", "to subscribe again, as before", "to wait again"),
        ("leaving", "to unsubscribe again", "to discard again"),
    ):
        number: Counter[str] = Counter()
        for answer in plan.to_do:
            number.update(getattr(answer.said, direction))
        members = number.pop("members", 0)
        if members:
            lines.append(f"{many(members, 'member')} {of_members}")
        if number:
            lines.append(f"{' and '.join(_counted(number))} {of_waiting}")
    return lines


def _counted(number: Mapping[str, int]) -> list[str]:
    """Members and subscriptions that wait: how many there are, a text for each kind."""
    nouns = {"members": "member", "confirmations": "confirmation", "requests": "held request"}
    return [many(number[kind], noun) for kind, noun in nouns.items() if number.get(kind)]


def _show_left(report: Report, plan: Plan) -> None:
    """What is not taken back, for a person and for programs."""
    for answer in plan.left:
        report.object(answer)
    if plan.left:
        report.screen.say(f"{len(plan.left):,} not taken back:", style="yellow", always=True)
        report.left(plan.left)


def _tell_seen(report: Report, plan: Plan) -> None:
    """For programs: what would be done to each list that is in no doubt."""
    to_do = {(one.site, one.list) for one in plan.to_do}
    doubtful = {(one.site, one.list) for one in plan.left}
    for answer in plan.seen.answers:
        if (answer.site, answer.list) in to_do:
            report.object(answer, Outcome.PLANNED)
        elif (answer.site, answer.list) not in doubtful:
            report.object(answer, Outcome.ALREADY if answer.outcome is Outcome.LOOKED else None)


def _show_work(report: Report, plan: Plan, work: Work) -> int:
    counts, left = work.counts, work.left
    number, already = counts["undone"], counts["already"] + counts["gone"]
    parts = [f"taken back on {number:,} list{'' if number == 1 else 's'} and read back"]
    if already:
        parts.append(f"{already:,} were already as before")
    report.headline(parts, len(left), done=not left)
    report.left(left)
    _show_left(report, plan)
    report.ended(work)
    report.recorded(work.recorded)
    for answer in work.answers:
        report.object(answer)
    report.summary(counts, work)
    return 0 if work.is_done and not plan.left else 1


# -- history ------------------------------------------------------------------------------


def _show_runs(screen: Screen, runs: Sequence[Run], clock: Clock) -> None:
    """A line for each run; two where a terminal is too narrow for that."""
    if not runs:
        return
    rows = [
        (one.id, clock.recorded(one.began), _summary(one), f"{one.login} on {one.machine}")
        for one in runs
    ]
    commands = [one.typed for one in runs]
    width = screen.width
    in_one = columns([(*row, command) for row, command in zip(rows, commands, strict=True)])
    if width is None or max(len(line) for (line,) in in_one) <= width:
        for (line,) in in_one:
            screen.say(line)
        return
    heads = columns([row[:-1] for row in rows])
    for (head,), row, command in zip(heads, rows, commands, strict=True):
        screen.say(cut(head, width))
        screen.say(cut(f"    {row[-1]}: {command}", width))


def _summary(run: Run) -> str:
    """``140 banned, 1 locked``, and what became of the run as a whole."""
    counts = sorted(run.counts.items(), key=lambda item: -item[1])
    parts = [f"{number:,} {outcome}" for outcome, number in counts]
    if run.state != "done":
        parts.append(run.state)
    if run.undone_by:
        parts.append("taken back")
    return ", ".join(parts) or "nothing"


def _show_run(screen: Screen, found: Installation, run: Run) -> None:
    screen.say(f"{run.id} on {found.hostname}", style="bold")
    who = run.login if run.login == run.user else f"{run.login} (as {run.user})"
    seen = f"{run.host_login} from {run.host_client}" if run.host_client else run.host_login
    rows = [
        ("typed", f"runbook {run.typed}"),
        ("by", f"{who} on {run.machine}"),
        ("seen here as", seen),
        ("began", found.clock.recorded(run.began)),
        ("ended", found.clock.recorded(run.ended) if run.ended else f"never: it is {run.state}"),
        ("state", run.state),
        ("sites", ", ".join(run.sites)),
        ("journal", run.path),
    ]
    rows += [(name, _value(value)) for name, value in sorted(run.more.items())]
    if run.undoes:
        rows.append(("takes back", run.undoes))
    if run.undone_by:
        rows.append(("taken back by", ", ".join(run.undone_by)))
    screen.table(rows)
    groups: dict[tuple[str, str], list[ListRecord]] = {}
    for one in run.lists:
        groups.setdefault((one.outcome, one.detail), []).append(one)
    for (outcome, detail), lists in sorted(groups.items()):
        said = outcome if outcome != "begun" else "begun, and what became of it is not on record"
        screen.say(f"{said}, {many(len(lists), 'list')}{': ' + detail if detail else ''}")
        screen.table([(one.list, one.site, _kept(one)) for one in lists])
    screen.table([_step(one, found.clock) for one in run.steps_told])
    kept = sum(one.more.get("state") == "kept" for one in run.lists)
    if kept:
        where = f"{run.path.rpartition('/')[0]}/saved/{run.id}"
        screen.say(f"the state of {many(kept, 'list')} from before: {where}")
    if restore.has_states(run):
        again = f"runbook {shlex.join(restore.again(run))}{found.host.option}"
        screen.say(f"to put it back: {again}" if kept else "there is nothing to put back")
        return
    try:
        undoing.check(run, found)
    except BadInputError as e:
        screen.say(str(e))
    else:
        again = f"runbook undo {run.id}{found.host.option}"
        screen.say(
            f"to take it back: {again}" if undoing.changed(run) else "there is nothing to take back"
        )


def _step(told: StepTold, clock: Clock) -> tuple[str, ...]:
    """When a step was taken, which, and what came of it."""
    one = told.came
    if one.how == "begun":
        said = "begun, and what became of it is not on record"
    elif one.how == "run" and told.differs is not None:
        said = f"run, and not as on the page: {told.differs}" if told.differs else "as on the page"
    else:
        said = one.how
    return (clock.recorded(one.at), f"#{one.name}", said)


def _kept(one: ListRecord) -> str:
    parts = []
    if one.added:
        parts.append(f"+ {_value(one.added)}")
    if one.removed:
        parts.append(f"- {_value(one.removed)}")
    parts += [f"{name}: {was} → {now}" for name, (was, now) in one.more.get("set", {}).items()]
    parts += _counted(one.more.get("subscribers", {}))
    parts += [
        f"{name} {_value(value)}"
        for name, value in sorted(one.more.items())
        if name not in ("state", "set", "subscribers")
    ]
    return "; ".join(parts)


#: So many entries of a ban list are named; --json has them all.
_MOST_ENTRIES = 10


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        more = len(value) - _MOST_ENTRIES
        some = ", ".join(str(v) for v in value[:_MOST_ENTRIES])
        return f"{some} and {more:,} more" if more > 0 else some
    return str(value) or "(empty)"


def _as_json(run: Run) -> dict[str, object]:
    members = asdict(run)
    for name in ("lists", "steps"):
        if not members[name]:
            del members[name]
    return members
