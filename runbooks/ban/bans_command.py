"""``runbook bans``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from runbooks.ban import bans as run
from runbooks.ban.bans import Bans, Found, Inventory, Place
from runbooks.book.whose import whose
from runbooks.host.host import Host
from runbooks.mailman.clock import Clock
from runbooks.mailman.installation import Installation
from runbooks.terminal import hosts, options
from runbooks.terminal.console import Screen, many
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
def bans(
    lists: tuple[str, ...],
    sites: tuple[str, ...],
    host_specs: tuple[str, ...],
    at_once: int,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Show every entry of every ban list: on how many lists, since when, and by which run.

    Odd entries come first: those that ban everybody or nobody, and those that only some lists
    have. On a terminal, a long rest is cut; 'runbook bans | less' shows everything.

    The time and the run come from the record; a dash means that the entry was not added by
    runbook. The exit status is 1 only if a list could not be read. A locked list can be read.
    """
    screen = Screen(as_json)

    def look(screen: Screen, host: Host) -> tuple[Installation, Inventory]:
        target = options.target(options.installation(host, screen), sites, lists, 0, jobs)
        with screen.busy("reading the ban lists"):
            return target.installation, run.look(target)

    seen = hosts.ask_each(screen, hosts.opened(host_specs), at_once, look)
    of_hosts = {label: found for label, (_, found) in seen.of.items()}
    told = _Told(
        screen,
        of_hosts[""] if "" in of_hosts else run.together(of_hosts),
        tuple(installation for installation, _ in seen.of.values()),
    )
    for problem in told.found.problems:
        screen.warn(problem)
    for label, (installation, found) in seen.of.items():
        report = Report(screen, installation)
        for answer in found.seen.answers:
            if answer.detail and answer not in found.seen.left:
                name = report.label(answer.site, answer.list)
                screen.warn(hosts.named(label, f"{name}: {answer.detail}"))
    for label, (installation, _) in seen.of.items():
        screen.say(hosts.named(label, installation.title), style="bold")
    sections = _sections(told.found)
    for title, entries in sections.items():
        _show(told, title, entries)
    odd = _ODD & sections.keys()
    screen.say(_summary(told.found, sections), style="yellow" if odd else "")
    _objects(told, sections)
    left = _show_left(screen, seen)
    _summary_object(told, sections, left)
    return 1 if left or seen.failed else 0


@dataclass(frozen=True)
class _Told:
    """What is told, of one host or of several as if they were one."""

    screen: Screen
    found: Inventory
    installations: tuple[Installation, ...]

    @property
    def clock(self) -> Clock:
        return self.installations[0].clock

    def label(self, site: str, name: str) -> str:
        if len(self.installations) == 1:
            return Report(self.screen, self.installations[0]).label(site, name)
        return f"{name} ({site})"

    @property
    def hosts(self) -> dict[str, object]:
        """Whose lists these are, for a program."""
        specs = [installation.host.spec for installation in self.installations]
        return {"host": specs[0]} if len(specs) == 1 else {"hosts": specs}


def _show_left(screen: Screen, seen: hosts.Answers[tuple[Installation, Inventory]]) -> int:
    """What could not be read, by host; how many lists that are."""
    number = 0
    for label, (installation, found) in seen.of.items():
        if left := found.seen.left:
            number += len(left)
            where = f" on {label}" if label else ""
            screen.say(f"{len(left):,} could not be read{where}:", style="red")
            report = Report(screen, installation)
            report.left(left)
            for answer in left:
                report.object(answer)
    for host, why in seen.failed:
        screen.say(why, style="red")
        screen.object(host=host.spec, outcome="unreachable", detail=why)
    return number


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


def _show(told: _Told, title: str, entries: Sequence[Found]) -> None:
    screen = told.screen
    shown = entries[:SHOWN] if screen.is_terminal else entries
    rows = [_row(told, entry) for entry in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    screen.say()
    screen.say(f"{title}: {len(entries):,}", style="yellow" if title in _ODD else "bold")
    for row, entry in zip(rows, shown, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        screen.say("  " + "  ".join([*cells, row[-1]]))
        for note in _notes(told, entry):
            screen.say(f"      {note}", style="dim")
    if len(shown) < len(entries):
        screen.say(f"  … and {len(entries) - len(shown):,} more: 'runbook bans | less' shows all")


def _row(told: _Told, entry: Found) -> tuple[str, ...]:
    """On how many lists, since when, by which run and whom, and what."""
    found = told.found
    adders = found.adders_of(entry)
    first = adders[0][0] if adders else None
    run = ("-", "-", "-")
    if first:
        since = told.clock.recorded(first.at)
        run = (since, first.run.rpartition("-")[2], first.login)
    return (f"{found.number(entry):,} of {len(found.lists):,}", *run, entry.text or "''")


def _notes(told: _Told, entry: Found) -> Iterable[str]:
    """What else there is to say, a line each."""
    found = told.found
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
        yield _where(told, entry)


def _where(told: _Told, entry: Found) -> str:
    """The lists that have it, or those that do not, whichever are fewer."""
    found = told.found
    has, places = _fewer(found, entry)
    whole = [
        site
        for site, number in Counter(site for site, _ in places).items()
        if number == found.of_site[site] and number > 1
    ]
    answers = [place for place in places if place[0] not in whole]
    names = [f"all of {site}" for site in whole]
    names += [told.label(*place) for place in answers[:NAMED]]
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


def _objects(told: _Told, sections: dict[str, list[Found]]) -> None:
    """One for each entry."""
    if not told.screen.as_json:
        return
    found = told.found
    for entry in (one for entries in sections.values() for one in entries):
        where: dict[str, object] = {}
        if not found.is_everywhere(entry):
            has, places = _fewer(found, entry)
            where["only_on" if has else "not_on"] = [
                {"site": site, "list": name} for site, name in places
            ]
        told.screen.object(
            **told.hosts,
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


def _summary_object(told: _Told, sections: dict[str, list[Found]], left: int) -> None:
    """The numbers, last of all."""
    told.screen.object(
        summary={
            "entries": len(told.found.entries),
            "lists": len(told.found.lists),
            "not_read": left,
            **{str(kind): len(sections.get(title, ())) for kind, title in _SECTIONS.items()},
            "some_lists": len(sections.get(_SOME, ())),
        }
    )
