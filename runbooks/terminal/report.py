"""The life of a command that changes a host, as a person or a program sees it: written once.

What a plan holds is the command's own. The rest is the same for all: the end of a dry run, what
was not done and what helps, where it is recorded, objects for programs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runbooks.mailman import journal
from runbooks.mailman.edit import Plan
from runbooks.mailman.events import Outcome, Recorded
from runbooks.mailman.installation import Installation
from runbooks.mailman.work import Answer, Work
from runbooks.terminal import options
from runbooks.terminal.console import Question, Screen, Task, many

#: So many lists of which the same is to be said have a row each; more share one.
NAMED = 5


class Report:
    """Tells what becomes of the lists of an installation."""

    def __init__(self, screen: Screen, installation: Installation) -> None:
        self.screen = screen
        self.installation = installation

    def label(self, site: str, name: str | None) -> str:
        """A list, with its site where there are several; without a name, all of the site."""
        if name is None:
            return f"all of {site}"
        return f"{name} ({site})" if len(self.installation.sites) > 1 else name

    def names(self, answers: Sequence[Answer]) -> str:
        """The lists, no more than `NAMED` of them."""
        named = [self.label(answer.site, answer.list) for answer in answers[:NAMED]]
        more = len(answers) - len(named)
        return ", ".join(named) + (f" and {more:,} more" if more else "")

    # -- before -----------------------------------------------------------------------

    def plan(self, rows: Sequence[tuple[str, ...]], *more: str) -> None:
        """What there is to do, a row for each site, and what else is to be known first."""
        self.screen.say(self.installation.title, style="bold")
        for line in more:
            self.screen.say(line)
        self.screen.table(rows)

    def by_site(
        self, work: Work, parts: Callable[[Sequence[Answer]], Iterable[str]]
    ) -> list[tuple[str, ...]]:
        """A row for each site that has any of the lists: how many, and the `parts` of them."""
        lists = {site.name: work.of(site.name) for site in self.installation.sites}
        return [
            (site, many(len(answers), "list"), ", ".join(parts(answers)))
            for site, answers in lists.items()
            if answers
        ]

    def dry_run(self, what: str = "nothing was changed") -> None:
        """The last line of a run that changes nothing."""
        self.screen.say(f"dry run: {what}")

    # -- after ------------------------------------------------------------------------

    def headline(self, parts: Iterable[str], left: int, *, done: bool) -> None:
        """What was done, and how much was not; the rows below say which."""
        parts = [*parts, *([f"{left:,} not done"] if left else [])]
        end = ":" if left else ""
        self.screen.say(
            ", ".join(parts) + end, style="green" if done else "yellow", always=left > 0
        )

    def left(self, answers: Sequence[Answer]) -> None:
        """What was not done, why, and the command that helps."""
        groups: dict[tuple[str, tuple[str, ...]], list[Answer]] = {}
        for answer in answers:
            groups.setdefault((answer.detail, answer.help), []).append(answer)
        rows: list[tuple[str, str]] = []
        for (detail, help), alike in groups.items():
            names = [self.label(answer.site, answer.list) for answer in alike]
            if len(alike) > NAMED:
                detail = f"{detail}\n{', '.join(names)}"
                names = [many(len(names), "list")]
            helps = f"\n→ {self.installation.host.command(help)}" if help else ""
            rows += [(name, detail + helps) for name in names]
        self.screen.table(rows, always=True)

    def ended(self, work: Work, *, repeatable: bool = True) -> None:
        """Why a run ended before its last list. `repeatable`: doing it again does no harm."""
        if work.ended_early:
            again = "; the same command completes it" if repeatable else ""
            text = f"{work.ended_early}: lists not named here were not started{again}"
            self.screen.say(text, style="red", always=True)

    def recorded(self, where: Recorded | None) -> None:
        """Where the run is recorded."""
        recorded(self.screen, self.installation, where)

    def next(self, what: str, command: tuple[str, ...]) -> None:
        """A command that may come next."""
        self.screen.next(what, command, self.installation.host)

    # -- for programs -----------------------------------------------------------------

    def object(
        self, answer: Answer, outcome: Outcome | None = None, detail: str = "", **more: object
    ) -> None:
        """One list, or a site whose lists could not be named."""
        self.screen.object(**self._members(answer, outcome, detail), **more)

    def _members(
        self, answer: Answer, outcome: Outcome | None = None, detail: str = ""
    ) -> dict[str, Any]:
        return {
            "host": self.installation.host.spec,
            "site": answer.site,
            "list": answer.list,
            "outcome": outcome or answer.outcome,
            "detail": detail or answer.detail,
        }

    def objects(self, work: Work) -> None:
        """Every list, and how many there are of each outcome."""
        self.screen.objects(map(self._members, work.answers if self.screen.as_json else ()))
        self.summary(work.counts, work)

    def summary(self, counts: Mapping[str, int], work: Work) -> None:
        """What comes last: sites whose lists could not be named, and how many lists there were."""
        total = Counter(counts)
        for site, why in work.sites_failed.items():
            total["error"] += 1
            self.object(Answer(site, None, Outcome.ERROR, why))
        ending = {"ended_early": work.ended_early} if work.ended_early else {}
        self.screen.object(summary=dict(total), **ending)


def recorded(screen: Screen, installation: Installation, where: Recorded | None) -> None:
    """Say where a run is recorded."""
    if where:
        screen.say(journal.describe(where, installation))
        screen.object(recorded={"run": where.run, "path": where.path})


# -- one thing done to every list that is not so already ------------------------------------


@dataclass(frozen=True)
class Words:
    """What differs from command to command in what a person reads."""

    #: the question, without the number of lists: "Ban t@example.com from"
    question: str
    #: as in "126 to ban"
    to_do: str
    #: as in "126 lists banned and read back"; also the outcome of such a list
    past: str
    #: of lists that are as was asked: one, several, and several before this run
    done: tuple[str, str, str]
    #: of lists that were changed, where `past` behind their number says something else
    result: str = ""


@dataclass(frozen=True)
class Change:
    """One thing to be done to every list, and what is told of it."""

    plan: Plan
    words: Words
    #: more of the plan
    details: Callable[[Report], None] = lambda report: None
    #: more of what became of it, before where that is recorded
    results: Callable[[Report, Work], None] = lambda report, work: None
    #: what may come next
    after: Callable[[Report, Work], None] = lambda report, work: None


class First(Protocol):
    """What may have to be done before lists can be changed."""

    def look(self, lists: Sequence[Answer]) -> Task | None:
        """Show what there is to do for these lists, whose locks are stale; what to ask, if any."""

    def clear(self) -> None:
        """Do it."""


def carry_out(
    screen: Screen, *changes: Change, dry_run: bool, yes: bool, first: First | None = None
) -> int:
    """Show the plans, ask once, do one after the other, report; the exit status."""
    report = Report(screen, changes[0].plan.target.installation)
    for number, change in enumerate(changes):
        _show_plan(report, change, is_first=not number)
        change.details(report)
    to_do = [change for change in changes if change.plan.to_do]
    before: Task | None = None
    if first:
        # They are the same lists for each change.
        stale = [one for one in changes[0].plan.seen.stale if _is_in_the_way(one, to_do)]
        before = first.look(stale)
    if dry_run:
        status = max(_would_be(report, change) for change in changes)
        report.dry_run()
        return status
    if to_do:
        tasks = [Task.of(one.words.question, len(one.plan.to_do)) for one in to_do]
        screen.confirm(Question((*([before] if before else []), *tasks)), yes)
    with options.changing(report.installation.host):
        if first and to_do:
            first.clear()
        status = 0
        for change in changes:
            work = _do(report, change)
            status = max(status, 0 if work.is_done else 1)
            if work.ended_early:
                break
        return status


def _is_in_the_way(one: Answer, changes: Sequence[Change]) -> bool:
    where = (one.site, one.list)
    return any(where == (it.site, it.list) for change in changes for it in change.plan.to_do)


def _would_be(report: Report, change: Change) -> int:
    would = change.plan.untouched
    report.left([answer for answer in would.left if answer.list is not None])
    report.objects(would)
    return 1 if would.left else 0


def _do(report: Report, change: Change) -> Work:
    plan = change.plan
    if plan.to_do:
        with report.screen.progress(len(plan.seen.answers)) as bar:
            work = plan.change(bar, options.typed())
    else:
        work = plan.untouched
    _show_work(report, work, change)
    return work


def _show_plan(report: Report, change: Change, *, is_first: bool) -> None:
    plan, words = change.plan, change.words
    seen, to_do, rows = plan.seen, plan.to_do, []
    for site in plan.target.site_names:
        answers = seen.of(site)
        if site in seen.sites_failed:
            rows.append((site, "? lists", f"not readable: {seen.sites_failed[site]}"))
            continue
        begin = sum(lists for look, lists in to_do.kinds if look.site == site)
        finished = len(answers.those(lambda answer: answer.outcome in seen.done)) - begin
        parts = [f"{begin:,} {words.to_do}"]
        if finished:
            parts.append(f"{finished:,} {words.done[finished > 1]}")
        if len(answers) > begin + finished:
            parts.append(f"{len(answers) - begin - finished:,} cannot be read")
        rows.append((site, many(len(answers), "list"), ", ".join(parts)))
    if is_first:
        report.plan(rows)
    else:
        report.screen.table(rows)
        return
    locked = to_do.those(lambda look: look.said.locked)
    if locked:
        report.screen.say(f"  {many(len(locked), 'list')} locked now:")
        who = [
            (report.label(one.site, one.list), seen.evidence.describe(one.site, str(one.list)))
            for one in locked[:NAMED]
        ]
        report.screen.table(who, indent=4)
        if len(locked) > NAMED:
            report.screen.say(f"    and {many(len(locked) - NAMED, 'list')} more")
    for look in seen.answers.those(lambda look: look.detail):
        report.screen.warn(f"{report.label(look.site, look.list)}: {look.detail}")


def _show_work(report: Report, work: Work, change: Change) -> None:
    words = change.words
    counts, left = work.counts, work.left
    changed, already = counts[words.past], counts["already"] + counts["absent"]
    parts = []
    if changed or not already:
        result = words.result or f"{{}} {words.past}"
        parts.append(f"{result.format(many(changed, 'list'))} and read back")
    if already:
        noun = "" if changed else " list" if already == 1 else " lists"
        parts.append(f"{already:,}{noun} {words.done[2]}")
    report.headline(parts, len(left), done=work.is_done)
    report.left(left)
    change.results(report, work)
    report.ended(work)
    report.recorded(work.recorded)
    if work.recorded and (changed or any(answer.said.did for answer, _ in work.answers.kinds)):
        report.next("to take it back", ("undo", work.recorded.run))
    change.after(report, work)
    report.objects(work)
