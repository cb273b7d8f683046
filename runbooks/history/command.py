"""``runbook history`` and ``runbook undo``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from runbooks.terminal import options

if TYPE_CHECKING:
    from runbooks.history.run import Plan
    from runbooks.mailman.installation import Installation
    from runbooks.mailman.journal import ListRecord, Run
    from runbooks.mailman.target import Target
    from runbooks.mailman.work import Answer, Work
    from runbooks.terminal.console import Screen


@click.command(
    epilog="""\b
Examples:
  runbook history                              what was done on this machine lately
  runbook history 20240501-120301-4f9a1c       one run, list by list
  runbook history 4f9a1c --json
"""
)
@click.argument("run", required=False)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many runs to show.",
)
@options.together(options.host, options.json)
def history(run: str | None, limit: int, host_spec: str, as_json: bool) -> int:
    """Show what runbook changed on a host, newest first, or what one RUN changed.

    RUN is the id of a run, its beginning, or its last part. The record is kept on the host,
    where only root and Mailman's user can read it.
    """
    from runbooks.mailman import journal
    from runbooks.terminal.console import Screen

    screen = Screen(as_json)
    found = options.installation(host_spec, screen)
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
    screen.table(
        [
            (one.id, one.began, f"{one.login} on {one.machine}", _summary(one), one.typed)
            for one in past.runs
        ]
    )
    if past.number > len(past.runs):
        screen.say(f"  … and {past.number - len(past.runs):,} older: --limit {past.number}")
    for one in past.runs:
        screen.object(**_as_json(one))
    return 0


@click.command(
    epilog="""\b
Examples:
  runbook undo 20240501-120301-4f9a1c
  runbook undo 4f9a1c --dry-run --host ssh://root@lists.example.org
"""
)
@click.argument("run")
@options.together(
    options.host,
    options.timeout,
    options.jobs,
    options.dry_run,
    options.yes,
    options.json,
)
def undo(
    run: str,
    host_spec: str,
    timeout: float,
    jobs: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Take back RUN, on the lists that it changed.

    RUN is the id of a run (see 'runbook history'), its beginning, or its last part: one of ban,
    unban, withlist, undo, or 'add-list --fix'. What a run removed is put back as it was. A list
    that is as it was before RUN already is left alone, so undoing twice is harmless. What
    somebody else changed since is left alone, and named. The undo is a run of its own, and
    can be undone.
    """
    from runbooks.history import run as undoing
    from runbooks.mailman import journal
    from runbooks.terminal.console import Screen

    screen = Screen(as_json)
    target = options.target(options.installation(host_spec, screen), (), (), timeout, jobs)
    with screen.busy("reading the journal"):
        past = journal.find(target.installation, run)
    if past.command == "withlist":
        from runbooks.scripted_change.command import put_back

        return put_back(screen, target, past, dry_run, yes)
    undoing.check(past, target.installation)
    with screen.busy("looking at the lists"):
        plan = undoing.look(target, past)
    _show_plan(screen, target, past, plan)
    doubts = _doubts(target, plan)
    if dry_run or not plan.to_do:
        _tell_seen(screen, target, plan, doubts)
        _show_doubts(screen, target, doubts)
        if dry_run:
            screen.say("dry run: nothing was changed")
        return 1 if doubts else 0
    from runbooks.terminal.console import many

    options.permission(screen, f"Take back {past.id} on {many(len(plan.to_do), 'list')}?", yes)
    with options.changing():
        with screen.progress(len(plan.to_do)) as bar:
            work = undoing.undo(
                target,
                past,
                plan,
                options.typed(),
                on_answer=lambda answer: bar.advance(),
                on_waiting=lambda lists, seconds: bar.note(
                    f"waiting for {many(lists, 'locked list')}, {seconds:g} s at most"
                ),
            )
        return _show_work(screen, target, doubts, work)


# -- undo ---------------------------------------------------------------------------------


def _show_plan(screen: Screen, target: Target, past: Run, plan: Plan) -> None:
    from runbooks.terminal.console import many

    screen.say(target.installation.title, style="bold")
    screen.say(f"{past.id}, {past.began}, {past.login} on {past.machine}: {past.typed}")
    rows = []
    for site in target.installation.sites:
        answers = plan.seen.of(site.name)
        if not answers:
            continue
        here = [a for a in plan.to_do if a.site == site.name]
        parts = [f"{len(here):,} to take back"]
        counts = {
            "as before already": sum(
                a.outcome in ("looked", "gone") and a not in here for a in answers
            ),
            "cannot be read": sum(a.outcome not in ("looked", "gone") for a in answers),
            "locked now": sum(bool(a.said.get("has_lock")) for a in here),
        }
        parts += [f"{number:,} {what}" for what, number in counts.items() if number]
        rows.append((site.name, many(len(answers), "list"), ", ".join(parts)))
    screen.table(rows)
    entries = sorted({e for a in plan.to_do for e in a.said["take_out"]})
    if entries:
        screen.say(f"  out of the ban lists: {', '.join(entries)}")
    entries = sorted({e for a in plan.to_do for e in a.said["put_back"]})
    if entries:
        screen.say(f"  back into the ban lists: {', '.join(entries)}")
    for answer in plan.to_do:
        if answer.said["describe"] is not None:
            screen.say(f"  description back to: {answer.said['describe']!r}")
    if not plan.to_do:
        by = f" (taken back by {' and '.join(past.undone_by)})" if past.undone_by else ""
        screen.say(f"nothing is left to take back{by}", style="green")


@dataclass(frozen=True)
class _Doubt:
    """A list, or a whole site, that is not taken back."""

    site: str
    #: None: all of the site
    list: str | None
    outcome: str
    detail: str
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()


def _doubts(target: Target, plan: Plan) -> list[_Doubt]:
    """What cannot be read, what somebody changed, what the run may not have changed."""
    from runbooks.mailman.target import invocation

    found = [
        _Doubt(site, None, "gone", "the host has no such site any more") for site in plan.sites_gone
    ]
    found += [_Doubt(site, None, "error", why) for site, why in plan.seen.sites_failed.items()]
    found += [_Doubt(a.site, a.list, a.outcome, a.detail) for a in plan.troubled]
    for answer in plan.described_since:
        was = plan.entries[answer.site][answer.list]["description_was"]
        why = f"somebody changed its description since: it was {was!r} before the run"
        found.append(_Doubt(answer.site, answer.list, "changed since", why))
    for answer in plan.doubtful:
        entry, verb = (
            (answer.said["take_out"][0], "unban")
            if answer.said["take_out"]
            else (answer.said["put_back"][0], "ban")
        )
        has = "has" if verb == "unban" else "does not have"
        site = ("--site", answer.site) if len(target.installation.sites) > 1 else ()
        found.append(
            _Doubt(
                answer.site,
                answer.list,
                "unknown",
                f"the run did not record what became of this list; it {has} {entry},"
                " perhaps since before",
                invocation(verb, entry, options=("--list", answer.list, *site)),
            )
        )
    return found


def _show_doubts(screen: Screen, target: Target, doubts: list[_Doubt]) -> None:
    host = target.installation.host
    rows = []
    for one in doubts:
        name = f"all of {one.site}" if one.list is None else f"{one.list} ({one.site})"
        rows.append((name, one.detail + (f"\n→ {host.command(one.help)}" if one.help else "")))
        _tell(screen, target, one)
    if rows:
        screen.say(f"{len(rows):,} not taken back:", style="yellow")
        screen.table(rows)


def _tell_seen(screen: Screen, target: Target, plan: Plan, doubts: list[_Doubt]) -> None:
    """For programs: what would be done to each list that is in no doubt."""
    doubtful = {(one.site, one.list) for one in doubts}
    for answer in plan.seen.answers:
        if answer in plan.to_do:
            _tell(screen, target, answer, "planned")
        elif (answer.site, answer.list) not in doubtful:
            _tell(screen, target, answer, "already" if answer.outcome == "looked" else "")


def _tell(screen: Screen, target: Target, what: Answer | _Doubt, outcome: str = "") -> None:
    screen.object(
        host=target.installation.host.spec,
        site=what.site,
        list=what.list,
        outcome=outcome or what.outcome,
        detail=what.detail,
    )


def _show_work(screen: Screen, target: Target, doubts: list[_Doubt], work: Work) -> int:
    host = target.installation.host
    counts = work.counts
    number = counts["undone"]
    parts = [f"taken back on {number:,} list{'' if number == 1 else 's'} and read back"]
    if counts["already"] + counts["gone"]:
        parts.append(f"{counts['already'] + counts['gone']:,} were as before already")
    not_done = [a for a in work.answers if a.outcome not in ("undone", "already", "gone")]
    if not_done:
        parts.append(f"{len(not_done):,} not done")
    screen.say(
        ", ".join(parts) + (":" if not_done else ""), style="yellow" if not_done else "green"
    )
    rows = []
    for answer in not_done:
        text = answer.detail
        if answer.help:
            text += f"\n→ {host.command(answer.help)}"
        rows.append((f"{answer.list} ({answer.site})", text))
    rows += [(f"all of {site}", why) for site, why in work.sites_failed.items()]
    screen.table(rows)
    _show_doubts(screen, target, doubts)
    if work.ended_early:
        screen.say(
            f"{work.ended_early}: lists not named here were not begun;"
            " the same command completes it",
            style="red",
        )
    options.recorded(screen, target.installation, work.recorded)
    for answer in work.answers:
        _tell(screen, target, answer)
    screen.object(summary=dict(counts))
    return 1 if not_done or work.sites_failed or work.ended_early or doubts else 0


# -- history ------------------------------------------------------------------------------


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
    from runbooks.errors import BadInputError
    from runbooks.history import run as undoing
    from runbooks.terminal.console import many

    screen.say(f"{run.id} on {found.hostname}", style="bold")
    who = run.login if run.login == run.user else f"{run.login} (as {run.user})"
    seen = f"{run.host_login} from {run.host_client}" if run.host_client else run.host_login
    rows = [
        ("typed", f"runbook {run.typed}"),
        ("by", f"{who} on {run.machine}"),
        ("seen here as", seen),
        ("began", run.began),
        ("ended", run.ended or f"never: it is {run.state}"),
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
    kept = sum(one.more.get("state") == "kept" for one in run.lists)
    if kept:
        where = f"{run.path.rpartition('/')[0]}/saved/{run.id}"
        screen.say(f"the state of {many(kept, 'list')} from before: {where}")
    if run.command == "withlist":
        again = f"runbook withlist --restore {run.id}{found.host.option}"
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


def _kept(one: ListRecord) -> str:
    parts = []
    if one.added:
        parts.append(f"+ {', '.join(one.added)}")
    if one.removed:
        parts.append(f"- {', '.join(one.removed)}")
    parts += [
        f"{name} {_value(value)}" for name, value in sorted(one.more.items()) if name != "state"
    ]
    return "; ".join(parts)


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return str(value) or "(empty)"


def _as_json(run: Run) -> dict[str, object]:
    from dataclasses import asdict

    members = asdict(run)
    if not run.lists:
        del members["lists"]
    return members
