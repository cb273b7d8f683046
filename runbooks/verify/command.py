"""``runbook verify``."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import click

from runbooks.book.procedure import Procedure
from runbooks.book.records import replace_file
from runbooks.book.whose import whose
from runbooks.errors import BadInputError, did_you_mean, short
from runbooks.mailman.installation import Installation
from runbooks.procedures import all_procedures
from runbooks.terminal import options
from runbooks.terminal.console import Screen, many
from runbooks.verify import run
from runbooks.verify.needs import Cause
from runbooks.verify.result import DIFFERS, NOT_RUN, StepResult, junit
from runbooks.verify.run import Report

#: Steps that are named for the same reason, before the rest is counted.
_NAMED = 4


@click.command(
    epilog=f"""\b
Examples:
  runbook verify                                          the whole page, on this machine
  runbook verify ban unban --host {whose().server.spec}
  runbook verify --json > build/verify.json               for the page to say so
"""
)
@click.argument(
    "procedures",
    metavar="[PROCEDURE]...",
    nargs=-1,
    shell_complete=options.completing("procedures"),
)
@click.option(
    "--junit",
    "junit_file",
    metavar="FILE",
    shell_complete=options.completing("files"),
    help="Write the results to FILE as well, as JUnit has them.",
)
@options.together(options.one_host, options.quiet, options.json)
def verify(
    procedures: tuple[str, ...],
    junit_file: str | None,
    host_spec: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """See whether the page, as it is printed, holds on a host.

    Each PROCEDURE is named as on the page; without any, all are meant. The programs, options,
    paths, users and sites that the steps need are looked for. Steps that only look are run where
    what they look at is there. Functions of pasted scripts are run on copies of the lists, which
    are removed again; withlist is run as printed, with a function in their place that does nothing
    but print. Steps that change anything else are not run.

    Nothing on the host is changed. The exit status is 1 if a step differs.
    """
    screen = Screen(as_json, quiet)
    chosen = [_procedure(name) for name in dict.fromkeys(procedures)] or list(all_procedures())
    if junit_file is not None and not Path(junit_file).absolute().parent.is_dir():
        raise BadInputError(f"{short(junit_file)} cannot be written: there is no such folder")
    found = options.on_one(host_spec, screen)
    found.check_user()
    with screen.progress(run.number_of_steps(chosen)) as bar:
        report = run.verify(found, chosen, bar)
    _show(screen, report)
    for one in report.results:
        screen.object(**one.as_json())
    screen.object(**summary(report))
    if junit_file is not None:
        try:
            replace_file(Path(junit_file), junit(report.results, found.hostname))
        except OSError as e:
            raise BadInputError(f"{short(junit_file)} cannot be written: {e.strerror}") from None
    return 0 if report.holding == len(report.results) else 1


def _procedure(name: str) -> Procedure[Installation, Any]:
    known = {one.name: one for one in all_procedures()}
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are: {', '.join(known)}"
        raise BadInputError(f"there is no procedure {short(name)}{hint}")
    return known[name]


def summary(report: Report) -> dict[str, object]:
    """The last object of ``--json``: where and when that was."""
    found = report.found
    return {
        "host": found.host.spec,
        "server": found.host.name if found.host.uses_terminal else found.hostname,
        "hostname": found.hostname,
        "mailman": found.version,
        "note": found.note,
        "python": found.python,
        "when": report.when.isoformat(),
        "steps": len(report.results),
        "holding": report.holding,
        "notes": list(report.notes),
        "texts": report.texts,
    }


def _show(screen: Screen, report: Report) -> None:
    found, results = report.found, report.results
    screen.say(found.title, style="bold")
    for note in report.notes:
        screen.say(f"  {note}", style="yellow")
    for procedure in report.texts:
        _show_procedure(screen, procedure, report.of(procedure))
    by_cause: dict[Cause, list[str]] = defaultdict(list)
    for one in results:
        for cause in one.causes:
            by_cause[cause].append(f"#{one.anchor}")
    for cause, anchors in by_cause.items():
        screen.say(f"{_named(anchors)}: {cause.why}", always=True)
        if cause.help:
            screen.say(f"  → {cause.help}", "cyan", always=True)
    is_well = report.holding == len(results)
    note = f", {found.note}" if found.note else ""
    screen.say(
        f"{report.holding:,} of {many(len(results), 'step')} of the page hold on {found.hostname}"
        f" (Mailman {found.version}{note})",
        "green" if is_well else "yellow",
        always=not is_well,
    )


def _show_procedure(screen: Screen, procedure: str, results: list[StepResult]) -> None:
    holding = sum(one.state != DIFFERS for one in results)
    not_run = Counter(one.not_run for one in results if one.state == NOT_RUN)
    also = "".join(f", {number} checked and not run: {why}" for why, number in not_run.items())
    screen.say(
        f"  {procedure}: {holding} of {len(results)} hold{also}",
        "" if holding == len(results) else "yellow",
    )


def _named(anchors: list[str]) -> str:
    more = len(anchors) - _NAMED
    return ", ".join(anchors[:_NAMED]) + (f" and {more} more" if more > 0 else "")
