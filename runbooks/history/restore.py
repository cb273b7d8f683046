"""Puts back the state that a run kept of the lists that it changed, byte for byte."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from runbooks.errors import BadInputError
from runbooks.mailman.events import Event, Outcome
from runbooks.mailman.events import Kept as KeptThere
from runbooks.mailman.journal import ListRecord, Run
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Hints, Watch, Work, over_lists, recorded
from runbooks.terminal import options
from runbooks.terminal.console import Question, Screen, Task, many
from runbooks.terminal.report import Report


def has_states(run: Run) -> bool:
    """Whether the run kept the state of what it changed, and not a record of each change."""
    kept = any(one.more.get("state") == "kept" for one in run.lists)
    return run.command == "withlist" or kept


@dataclass
class Kept:
    """The lists of which a run kept the state, and how they stand to it."""

    target: Target
    seen: Work
    #: where the host has them
    path: str = ""
    #: sites that the host does not have any more
    sites_gone: list[str] = field(default_factory=list)
    #: lists that the run changed, and of which it kept nothing
    not_kept: list[ListRecord] = field(default_factory=list)

    @property
    def to_do(self) -> list[Answer]:
        return [answer for answer in self.seen.answers if answer.outcome is Outcome.PLANNED]

    @property
    def is_all(self) -> bool:
        """Whether all that the run changed can be put back, or is as it was."""
        strays = any(answer.said.strays for answer in self.seen.answers)
        return not (self.seen.left or self.sites_gone or self.not_kept or strays)


def kept(target: Target, run: Run) -> Kept:
    """See what can be put back. One command; changes nothing on the host.

    Raises BadInputError for a run that kept nothing, or that still goes on.
    """
    if not has_states(run):
        raise BadInputError(
            f"run {run.id} is not a run of withlist: 'runbook undo {run.id}' takes back"
            " what can be taken back"
        )
    if run.state == "running":
        raise BadInputError(f"run {run.id} is still at work: wait for it")
    path, sites_gone = "", []

    def hear(event: Event) -> None:
        nonlocal path, sites_gone
        if isinstance(event, KeptThere):
            path = event.path
            sites_gone = [site for site in event.sites_gone if site not in target.silent]

    done = (Outcome.PLANNED, Outcome.ALREADY)
    parameters = _kept_of(run) | {"action": "look"}
    seen = over_lists(target, "restoring", parameters, done, on_event=hear)
    not_kept = [one for one in run.lists if "files" in one.more and "state" not in one.more]
    if not (seen.answers or sites_gone or seen.sites_failed or not_kept):
        raise BadInputError(f"run {run.id} changed no list, or what it kept is no longer in {path}")
    return Kept(target, seen, path, sites_gone, not_kept)


def restore(
    run: Run, plan: Kept, arguments: Sequence[str] = (), watch: Watch | None = None
) -> Work:
    """Put back the lists that nobody changed since, byte for byte, and read them back.

    One command, which leaves a record of its own and keeps what it replaces. Raises
    JournalError when the record cannot be written; then nothing was changed.
    """
    lists: dict[str, list[str]] = {}
    for answer in plan.to_do:
        lists.setdefault(answer.site, []).append(str(answer.list))
    target = plan.target.on(lists)
    command = again(run)
    parameters = _kept_of(run) | {
        "action": "restore",
        "journal": recorded(target, run.command, arguments or command, undoes=run.id),
    }
    hints = Hints(target, lambda options: command)
    done = (Outcome.RESTORED, Outcome.ALREADY)
    return over_lists(target, "restoring", parameters, done, watch=watch, hints=hints)


def _kept_of(run: Run) -> dict[str, object]:
    return {"folder": os.path.dirname(run.path), "restores": run.id}


def again(run: Run) -> tuple[str, ...]:
    """What to write after ``runbook`` to have the states put back."""
    return ("withlist", "--restore", run.id) if run.command == "withlist" else ("undo", run.id)


# -- as a person sees it --------------------------------------------------------------------


def put_back(screen: Screen, target: Target, past: Run, dry_run: bool, yes: bool) -> int:
    """Show what can be put back, ask, put it back, and say what became of it."""
    with screen.busy("looking at the lists"):
        plan = kept(target, past)
    report = Report(screen, target.installation)
    _show_kept(report, past, plan)
    if dry_run or not plan.to_do:
        if not dry_run:
            by = f" (put back by {' and '.join(past.undone_by)})" if past.undone_by else ""
            screen.say(f"nothing is left to put back{by}", style="green")
        report.left(plan.seen.left)
        for answer in plan.seen.answers:
            report.object(answer)
        if dry_run:
            report.dry_run()
        return 0 if plan.is_all else 1
    screen.confirm(Question((Task.of("Put back", len(plan.to_do)),)), yes)
    with options.changing(target.installation.host):
        with screen.progress(len(plan.to_do)) as bar:
            work = restore(past, plan, options.typed(), bar)
        left = work.left + plan.seen.left
        text = f"{many(work.counts['restored'], 'list')} put back and read back"
        text += f", {len(left):,} not" if left else ""
        screen.say(text, style="yellow" if left else "green", always=bool(left))
        report.left(left)
        report.ended(work)
        report.recorded(work.recorded)
        for answer in [*work.answers, *(one for one in plan.seen.left if one.list is not None)]:
            report.object(answer)
        report.summary(work.counts, work)
        return 0 if work.is_done and plan.is_all else 1


def _show_kept(report: Report, past: Run, plan: Kept) -> None:
    screen = report.screen
    words = {
        Outcome.PLANNED: "to put back",
        Outcome.ALREADY: "already as before",
        Outcome.CHANGED_SINCE: "changed since",
    }

    def parts(answers: Sequence[Answer]) -> list[str]:
        counts = Counter(answer.outcome for answer in answers)
        return [f"{counts[outcome]:,} {what}" for outcome, what in words.items() if counts[outcome]]

    report.plan(report.by_site(plan.seen, parts), past.outline(report.installation.clock))
    files = [file for answer in plan.to_do for file in answer.said.files]
    if set(files) - {"config.pck"}:
        screen.say(f"  files to put back: {', '.join(counted(files))}")
    for answer in plan.seen.answers:
        if answer.said.strays:
            what = ", ".join(answer.said.strays)
            screen.warn(
                f"{report.label(answer.site, answer.list)}: {what} changed without the list's"
                " lock, and stays as it is"
            )
    for one in plan.not_kept:
        what = ", ".join(one.more["files"])
        screen.warn(f"{one.list} ({one.site}): nothing is kept of it; the run changed {what}")
    for site_name in plan.sites_gone:
        screen.warn(f"the host no longer has the site {site_name}; its lists stay in {plan.path}")


def counted(files: Sequence[str]) -> list[str]:
    """The names of files of lists, each once; held messages are counted."""
    held = [file for file in files if file.startswith("heldmsg-")]
    named = sorted(set(files) - set(held))
    return named + ([many(len(held), "held message")] if held else [])
