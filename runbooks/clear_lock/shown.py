"""What a person sees of locks: which are to be removed, on what evidence, what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.clear_lock.run import Found, Plan, Report, Result, Save
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import Installation, Site
from runbooks.mailman.locks import Verdict, describe, printable, refusal
from runbooks.terminal.console import Screen, counted, many
from runbooks.terminal.report import recorded


def label_of(installation: Installation, site: Site, label: str) -> str:
    return f"{label} ({site.name})" if len(installation.sites) > 1 else label


def what(to_remove: Sequence[Found | Save]) -> tuple[tuple[int, str, str], ...]:
    """How many of which: ``2 stale locks and 3 files left behind``"""
    counts: dict[tuple[str, str], int] = {}
    for found in sorted(to_remove, key=lambda found: not found.is_lock):
        if isinstance(found, Save) or not found.is_lock:
            kind = ("file", " left behind")
        elif found.lock.verdict is Verdict.FOREIGN and found.lock.claim:
            kind = ("lock", f" of {printable(found.lock.claim.host)}")
        else:
            kind = (f"{found.lock.verdict.value} lock", "")
        counts[kind] = counts.get(kind, 0) + 1
    return tuple((number, *kind) for kind, number in counts.items())


#: Of what was left behind so many files are shown one by one.
_MOST_DEBRIS = 20


def show_plan(screen: Screen, installation: Installation, plan: Plan) -> None:
    debris = [
        (
            label_of(installation, found.site, found.lock.list or found.lock.name),
            f"{describe(found.lock)}: {found.label}",
        )
        for found in plan.remove
        if not found.is_lock
    ] + [
        (label_of(installation, save.site, save.list), f"{save.outline}: {save.label}")
        for save in plan.saves
    ]
    for found in plan.remove:
        if found.is_lock:
            label = label_of(installation, found.site, found.label)
            screen.say(f"  {label}  {describe(found.lock)}")
            for line in found.lock.evidence:
                screen.say(f"    {line}", style="dim")
    screen.table(debris[:_MOST_DEBRIS])
    if len(debris) > _MOST_DEBRIS:
        screen.say(f"  … and {many(len(debris) - _MOST_DEBRIS, 'more file')} left behind")
    for site, name, left in plan.free:
        note = ""
        if left:
            note = (
                f"; dead processes left {many(left, 'file')} of its lock, which block nobody"
                f" (runbook clear-lock --stale{installation.host.option})"
            )
        screen.say(f"{label_of(installation, site, name)} is not locked{note}", style="green")
    if plan.refused:
        screen.say(
            f"{many(len(plan.refused), 'lock')} not to be removed:", style="yellow", always=True
        )
    screen.table(
        [
            (
                label_of(installation, found.site, found.label),
                f"{describe(found.lock)}\n{_capital(refusal(found.lock) or '')}",
            )
            for found in plan.refused
        ],
        always=True,
    )
    for name, why in plan.failed.items():
        screen.say(f"the locks of {name} cannot be seen: {why}", style="red", always=True)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def show_report(screen: Screen, installation: Installation, report: Report) -> None:
    cleared = [r.found for r in report.results if r.outcome is Outcome.CLEARED]
    gone = sum(r.outcome is Outcome.GONE for r in report.results)
    not_done = [r for r in report.results if not r.outcome.is_done]
    parts = [f"{counted(what(cleared))} removed and read back"] if cleared else []
    if gone:
        parts.append(f"{gone:,} removed by somebody else")
    if not_done:
        parts.append(f"{len(not_done):,} not removed")
    rows = [
        (label_of(installation, result.found.site, result.found.label), _became(result))
        for result in report.results
        if not result.outcome.is_done or (result.found.is_lock and not screen.quiet)
    ]
    if parts:
        end = ":" if rows else ""
        style = "yellow" if not_done else "green"
        screen.say(", ".join(parts) + end, style, always=bool(not_done))
    screen.table(rows, always=bool(not_done))
    if report.ended_early:
        others = "locks not named here were not touched; the same command completes it"
        if report.lost:
            which = (report.recorded.run,) if report.recorded else ()
            history = installation.host.command(("history", *which))
            others = f"'{history}' shows what became of locks not named here"
        screen.say(f"{report.ended_early}: {others}", style="red", always=True)
    recorded(screen, installation, report.recorded)


def _became(result: Result) -> str:
    """What became of a lock, and who has it next."""
    if isinstance(result.found, Save) or not result.found.is_lock:
        return result.detail
    if result.next is not None:
        now = f"now {describe(result.next)}"
    elif result.waiting:
        still = "1 process still waits" if result.waiting == 1 else f"{result.waiting:,} still wait"
        now = f"nobody holds it now, but {still} for it"
    else:
        before = bool(result.found.lock.waiters)
        now = f"nobody holds it now, and nobody waits for it{' any more' if before else ''}"
    return "; ".join(part for part in (result.detail, now) if part)
