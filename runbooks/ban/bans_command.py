"""``runbook bans``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from runbooks.ban import bans as run
from runbooks.ban.bans import Bans, Found, Inventory, Place
from runbooks.book.whose import whose
from runbooks.mailman.work import Answer
from runbooks.terminal import options
from runbooks.terminal.console import many
from runbooks.terminal.report import Report

#: On a terminal, so many entries of which the same is to be said are shown; the others are counted.
SHOWN = 50

#: So many lists are named.
NAMED = 5

_SECTIONS = {
    Bans.EVERYBODY: "ban everybody",
    Bans.NOBODY: "ban nobody",
    Bans.UNCLEAR: "cannot be judged",
}
_SOME = "on some lists only"
_FOR_ALL = "on every list, by GLOBAL_BAN_LIST in Mailman's mm_cfg.py"
_EVERYWHERE = "on every list"
_ODD = (*_SECTIONS.values(), _SOME)


@click.command(
    epilog=f"""\b
Examples:
  runbook bans
  runbook bans --site {whose().first.name} --host {whose().server.spec}
  runbook bans --list {whose().examples.list} --json
"""
)
@options.together(options.lists, options.sites, options.host, options.jobs, options.json)
def bans(**chosen: Any) -> int:
    """Show every entry of every ban list: on how many lists, since when, and by which run.

    Odd entries come first: those that ban everybody or nobody, and those that only some lists
    have. On a terminal, a long rest is cut; 'runbook bans | less' shows everything.

    The time and the run come from the record; a dash means that the entry was not added by
    runbook. The exit status is 1 only if a list could not be read. A locked list can be read.
    """
    screen, target = options.begin(**chosen)
    with screen.busy("reading the ban lists"):
        found = run.look(target)
    report = Report(screen, target.installation)
    for problem in found.problems:
        screen.warn(problem)
    for answer in found.seen.answers:
        if answer.detail and answer not in found.seen.left:
            screen.warn(f"{report.label(answer.site, answer.list)}: {answer.detail}")
    screen.say(target.installation.title, style="bold")
    sections = _sections(found)
    for title, entries in sections.items():
        _show(report, found, title, entries)
    left = found.seen.left
    screen.say(_summary(found, sections), style="yellow" if _ODD & sections.keys() else "")
    if left:
        screen.say(f"{len(left):,} could not be read:", style="red")
        report.left(left)
    _objects(report, found, sections, left)
    return 1 if left else 0


def _sections(found: Inventory) -> dict[str, list[Found]]:
    """The entries by what is to be said of them, the newest first."""
    order = (*_SECTIONS.values(), _SOME, _FOR_ALL, _EVERYWHERE)
    sections: dict[str, list[Found]] = {title: [] for title in order}
    for entry in sorted(found.entries, key=lambda one: one.text):
        sections[_section(found, entry)].append(entry)
    for entries in sections.values():
        entries.sort(key=found.since, reverse=True)
    return {title: entries for title, entries in sections.items() if entries}


def _section(found: Inventory, entry: Found) -> str:
    if entry.judgement.bans in _SECTIONS:
        return _SECTIONS[entry.judgement.bans]
    if not found.is_everywhere(entry):
        return _SOME
    return _FOR_ALL if entry.for_all else _EVERYWHERE


# -- for a person -------------------------------------------------------------------------


def _show(report: Report, found: Inventory, title: str, entries: Sequence[Found]) -> None:
    screen = report.screen
    shown = entries[:SHOWN] if screen.is_terminal else entries
    rows = [_row(report, found, entry) for entry in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    screen.say()
    screen.say(f"{title}: {len(entries):,}", style="yellow" if title in _ODD else "bold")
    for row, entry in zip(rows, shown, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        screen.say("  " + "  ".join([*cells, row[-1]]))
        for note in _notes(report, found, entry):
            screen.say(f"      {note}", style="dim")
    if len(shown) < len(entries):
        screen.say(f"  … and {len(entries) - len(shown):,} more: 'runbook bans | less' shows all")


def _row(report: Report, found: Inventory, entry: Found) -> tuple[str, ...]:
    """On how many lists, since when, by which run and whom, and what."""
    adders = found.adders_of(entry)
    first = adders[0][0] if adders else None
    run = ("-", "-", "-")
    if first:
        since = report.installation.clock.recorded(first.at)
        run = (since, first.run.rpartition("-")[2], first.login)
    return (f"{found.number(entry):,} of {len(found.lists):,}", *run, entry.text or "''")


def _notes(report: Report, found: Inventory, entry: Found) -> Iterable[str]:
    """What else there is to say, a line each."""
    if entry.judgement.why:
        yield f"it {entry.judgement.why}"
    if entry.for_all and entry.judgement.bans in _SECTIONS:
        yield f"it is {_FOR_ALL.partition(', ')[2]}"
    yield from entry.judgement.warnings
    if len(entry.spelled) > 1:
        yield f"also spelled {', '.join(sorted(entry.spelled - {entry.text}))}"
    adders = found.adders_of(entry)
    if len(adders) > 1:
        yield f"by {adders[0][0].run} and {many(len(adders) - 1, 'more run')}"
    if not found.is_everywhere(entry):
        yield _where(report, found, entry)


def _where(report: Report, found: Inventory, entry: Found) -> str:
    """The lists that have it, or those that do not, whichever are fewer."""
    has, places = _fewer(found, entry)
    whole = [
        site
        for site, number in Counter(site for site, _ in places).items()
        if number == found.of_site[site] and number > 1
    ]
    answers = [place for place in places if place[0] not in whole]
    names = [f"all of {site}" for site in whole]
    names += [report.label(*place) for place in answers[:NAMED]]
    more = f" and {len(answers) - NAMED:,} more" if len(answers) > NAMED else ""
    return f"{'only on' if has else 'not on'}: {', '.join(names)}{more}"


def _fewer(found: Inventory, entry: Found) -> tuple[bool, list[Place]]:
    """(whether these have it, the lists)."""
    if 2 * found.number(entry) <= len(found.lists):
        return True, found.having(entry)
    return False, found.lacking(entry)


def _summary(found: Inventory, sections: dict[str, list[Found]]) -> str:
    total = len(found.entries)
    entries = "1 entry" if total == 1 else f"{total:,} entries"
    parts = [f"{entries} on {many(len(found.lists), 'list')}"]
    parts += [f"{len(sections[title]):,} {title}" for title in _ODD if title in sections]
    return ", ".join(parts) + (
        f"; {many(found.without, 'list')} without any" if found.without else ""
    )


# -- for programs -------------------------------------------------------------------------


def _objects(
    report: Report, found: Inventory, sections: dict[str, list[Found]], left: Sequence[Answer]
) -> None:
    """One for each entry and each list that could not be read, and the numbers last."""
    if not report.screen.as_json:
        return
    for entry in (one for entries in sections.values() for one in entries):
        where: dict[str, object] = {}
        if not found.is_everywhere(entry):
            has, places = _fewer(found, entry)
            where["only_on" if has else "not_on"] = [
                {"site": site, "list": name} for site, name in places
            ]
        report.screen.object(
            host=report.installation.host.spec,
            entry=entry.text,
            spelled=sorted(entry.spelled - {entry.text}),
            bans=entry.judgement.bans,
            why=entry.judgement.why,
            warnings=list(entry.judgement.warnings),
            global_ban_list=sorted(entry.for_all),
            lists=found.number(entry),
            of=len(found.lists),
            since=found.since(entry) or None,
            runs=[
                {"run": one.run, "at": one.at, "by": one.login, "command": one.command, "lists": n}
                for one, n in found.adders_of(entry)
            ],
            unrecorded=entry.runs[None],
            **where,
        )
    for answer in left:
        report.object(answer)
    report.screen.object(
        summary={
            "entries": len(found.entries),
            "lists": len(found.lists),
            "not_read": len(left),
            **{str(kind): len(sections.get(title, ())) for kind, title in _SECTIONS.items()},
            "some_lists": len(sections.get(_SOME, ())),
        }
    )
