"""``runbook withlist``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import click

from runbooks.book.whose import whose
from runbooks.errors import BadInputError
from runbooks.history import restore as restoring
from runbooks.mailman import journal
from runbooks.mailman.events import Change
from runbooks.mailman.target import Target
from runbooks.mailman.work import Answer, Work
from runbooks.scripted_change import run as scripted
from runbooks.scripted_change.run import Plan, Script
from runbooks.terminal import byhand, explained, options, secret
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Bar, Question, Screen, Task, clean, many
from runbooks.terminal.report import Report

#: Lists that are named for the same reason, before the rest is counted.
_NAMED = 5


@click.command(
    epilog=f"""\b
Examples:
  runbook withlist owners.py                          who owns which list
  runbook withlist whereis.py someone@example.com     where an address occurs
  runbook withlist closing.py --function close --dry-run
  runbook withlist mine.py --list {whose().examples.list} -- -v  ARG after -- may start with -
  runbook withlist reset_pw.py --lock --list {whose().examples.list}
  runbook withlist --restore 20240501-120301-4f9a1c
"""
)
@click.argument(
    "script", metavar="[SCRIPT.py]", required=False, shell_complete=options.completing("files")
)
@click.argument("arguments", metavar="[ARG]...", nargs=-1)
@click.option(
    "--function", metavar="F", help="The function to call.  [default: the name of SCRIPT]"
)
@click.option("--lock", is_flag=True, help="Lock each list first, as withlist -l does.")
@click.option(
    "--secret-file",
    metavar="FILE",
    shell_complete=options.completing("files"),
    help="File with a secret for the script, in one line; - is standard input.",
)
@click.option(
    "--restore",
    metavar="RUN",
    shell_complete=options.completing("runs"),
    help="Put back the lists that RUN changed.",
)
@options.together(options.lists, options.sites, options.host, options.timeout)
@click.option(
    "--jobs",
    metavar="N",
    type=options.Number(1, 64),
    default=1,
    show_default=True,
    help="Lists to work on at a time, each in its own process.",
)
@click.option(
    "--dry-run",
    "-n",
    is_flag=True,
    help="Run it on copies of the lists, and show what would change.",
)
@options.together(options.yes, options.quiet, byhand.options, options.json)
def withlist(
    script: str | None,
    arguments: tuple[str, ...],
    function: str | None,
    lock: bool,
    secret_file: str | None,
    restore: str | None,
    lists: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    by_hand: ByHand | None,
    **chosen: Any,
) -> int:
    """Call a function of SCRIPT.py on every list, as Mailman's 'withlist -r' does.

    The function is called with the list, unlocked, and the ARGs. It has to lock, save and unlock
    the list itself. If it fails on one list, the others are still done, and a list that it leaves
    locked is unlocked. Scripts for withlist -l do not lock the list: with --lock, each list is
    locked before the call and unlocked afterwards. As with withlist, what is not saved is lost.

    ARGs are kept in the journal, so put no password there. Give a secret in --secret-file, or in
    the variable RUNBOOK_SECRET; the script finds it in its own variable RUNBOOK_SECRET. It is in
    no record and no list of processes, and what the script prints has *** in its place.

    The state of each list that the script changes is kept on the host, with requests and held
    messages, and --restore puts it back. --dry-run works on copies of the lists, and Mailman's own
    functions then change and send nothing. It does not stop a script from opening files by a path
    of its own, connecting somewhere, or starting programs.
    """
    if restore is not None:
        if script is not None or function is not None or lists or by_hand or lock or secret_file:
            raise BadInputError(
                "--restore takes a run and no script, and puts back every list of it"
            )

        def put_back(screen: Screen, target: Target) -> int:
            with screen.busy("reading the journal"):
                past = journal.find(target.installation, restore)
            return restoring.put_back(screen, target, past, dry_run, yes)

        return options.on_lists(put_back, **chosen)
    if script is None:
        raise BadInputError("name a script, or a run with --restore (see runbook withlist --help)")
    wanted = scripted.read(script, function, arguments, lock=lock, secret_file=secret_file)
    is_run = by_hand is None or by_hand.steps
    hidden, source, warning = secret.for_script(secret_file) if is_run else (b"", "", "")

    def tell(screen: Screen) -> None:
        if warning:
            screen.warn(warning)

    def on_lists(screen: Screen, target: Target) -> int:
        if by_hand:
            return _by_hand(screen, target, wanted, hidden, by_hand, yes)
        return _carry_out(screen, target, wanted, hidden, source, dry_run, yes)

    return options.on_lists(on_lists, tell, lists=lists, **chosen)


def _carry_out(
    screen: Screen,
    target: Target,
    wanted: Script,
    hidden: bytes,
    source: str,
    dry_run: bool,
    yes: bool,
) -> int:
    """Show the plan, ask, run the script, report; the exit status."""
    with screen.busy("looking at the lists"):
        plan = scripted.look(target, wanted)
    report = Report(screen, target.installation)
    _show_plan(report, plan, source)
    if not plan.lists:
        screen.say("there is no list to run it on")
        return 1 if plan.seen.sites_failed else 0
    if not dry_run:
        task = Task.of(f"Run {wanted.module}.{wanted.function} on", len(plan.lists))
        screen.confirm(Question((task,)), yes)
    with options.changing(target.installation.host):
        with screen.progress(len(plan.lists)) as bar:
            work = scripted.run(
                plan,
                rehearse=dry_run,
                secret=hidden,
                arguments=options.typed(),
                on_output=_printer(screen, plan, bar),
                on_stopping=lambda seconds: screen.warn(
                    f"stopping: the script has {seconds:g} s to finish this list"
                    " (Ctrl-C again: do not wait for it)"
                ),
                watch=bar,
            )
        return _show_work(report, work, dry_run)


def _by_hand(
    screen: Screen, target: Target, script: Script, hidden: bytes, wanted: ByHand, yes: bool
) -> int:
    from runbooks.scripted_change import page

    if hidden:  # each step has it already
        script = replace(script, secret_file=None)
    steps = page.by_hand(target.installation, script, target.sites, target.lists, bool(hidden))
    found = page.documented(script) or page.PROCEDURE
    printed = PrintedSteps.of(found, steps, secret=hidden, variable=secret.VARIABLE)
    return explained.show(screen, target.installation, wanted, printed, yes)


# -- before -------------------------------------------------------------------------------


def _show_plan(report: Report, plan: Plan, source: str) -> None:
    screen, script = report.screen, plan.script
    rows = []
    for site in plan.target.site_names:
        answers = plan.seen.of(site)
        if site in plan.seen.sites_failed:
            rows.append((site, f"its lists cannot be named: {plan.seen.sites_failed[site]}"))
            continue
        locked = sum(answer.said.has_lock for answer in answers)
        note = f", {locked:,} of them locked now" if locked else ""
        rows.append((site, many(len(answers), "list") + note))
    report.plan(rows)
    where = "which comes with runbook" if script.is_own else f"of {script.filename}"
    screen.say(f"  {script}, {where}, compiles under Python {plan.python} there")
    if script.lock:
        screen.say("  each list is locked before it is called")
    if source:
        screen.say(f"  it gets the secret from {source} as RUNBOOK_SECRET")


# -- while it runs ------------------------------------------------------------------------


def _printer(screen: Screen, plan: Plan, bar: Bar) -> Callable[[str, str, str], None]:
    """What prints the lines of a script, with the list's name in front."""
    names = [answer.list for answer in plan.lists]
    several = {name for name, number in Counter(names).items() if number > 1}
    host = plan.target.installation.host

    def show(site: str, name: str, text: str) -> None:
        label = f"{name} ({site})" if name in several else name
        for line in text.split("\n"):
            if screen.as_json:
                screen.object(host=host.spec, site=site, list=name, output=line)
                continue
            shown = clean(line.rstrip("\r"))
            # Many scripts name the list themselves.
            screen.output(f"{label}: {shown.removeprefix(f'{name}: ')}", bar)

    return show


# -- after --------------------------------------------------------------------------------


def _show_work(report: Report, work: Work, rehearsed: bool) -> int:
    screen = report.screen
    if rehearsed:
        _show_differences(report, work)
    counts, left = work.counts, work.left
    words = {"planned": "would change", "changed": "changed", "unchanged": "unchanged"}
    parts = [f"{counts[outcome]:,} {word}" for outcome, word in words.items() if counts[outcome]]
    of_all = f"{many(len(work.answers), 'list')}: "
    report.headline(
        [of_all + (parts[0] if parts else "nothing was done"), *parts[1:]], len(left), done=not left
    )
    report.left(left)
    attributes = sorted({name for a in work.answers for name in a.said.changed})
    if attributes:
        screen.say(f"changed attributes: {', '.join(attributes)}")
    files = [file for a in work.answers for file in a.said.files]
    if files:
        screen.say(f"changed files: {', '.join(restoring.counted(files))}")
    for note in dict.fromkeys(note for a in work.answers for note in a.said.notes):
        having = [a for a in work.answers if note in a.said.notes]
        screen.warn(f"{note}: {report.names(having)}")
    report.ended(work, repeatable=False)
    if any(answer.said.hopeless for answer in work.answers):
        screen.say("no other list was begun: it would fare no better", style="red", always=True)
    if rehearsed:
        report.dry_run("it ran on copies of the lists; the lists are as they were")
    report.recorded(work.recorded)
    if work.recorded and any(a.said.changed or a.said.files for a in work.answers):
        report.next("to put them back", ("withlist", "--restore", work.recorded.run))
    for answer in work.answers:
        members = ("changed", "files", "changes", "others", "notes", "traceback")
        said = {key: getattr(answer.said, key) for key in members}
        report.object(answer, **{key: value for key, value in said.items() if value})
    report.summary(counts, work)
    return 0 if work.is_done else 1


def _show_differences(report: Report, work: Work) -> None:
    """What a rehearsal would have changed; lists with the same changes together."""
    groups: dict[tuple[tuple[str, str], ...], list[Answer]] = {}
    for answer in work.answers:
        lines = [*_lines(answer.said.changes)]
        for other, changes in answer.said.others.items():
            lines += [(f"{name} of {other}", change) for name, change in _lines(changes)]
        if lines:
            groups.setdefault(tuple(lines), []).append(answer)
    for shown, answers in groups.items():
        names = ", ".join(report.label(answer.site, answer.list) for answer in answers)
        if len(answers) == 1:
            report.screen.say(f"{names} would change:", style="bold")
        else:
            report.screen.say(f"{len(answers):,} lists would change alike:", style="bold")
        report.screen.table(list(shown))
        if len(answers) > 1:
            report.screen.say(f"  these are: {names}")


def _lines(changes: Iterable[Change]) -> list[tuple[str, str]]:
    """``subscribe_policy``, ``1 → 2`` for each attribute."""
    found = []
    for change in changes:
        name = change["name"]
        if "added" in change:
            parts = [f"+ {item}" for item in change["added"]]
            parts += [f"- {item}" for item in change["removed"]]
            parts += [f"{key}: {was} → {now}" for key, was, now in change.get("altered", ())]
            if change.get("more"):
                parts.append(f"and {change['more']:,} more")
            found.append((name, ", ".join(parts)))
        elif "from" not in change:
            found.append((name, f"new: {change['to']}"))
        elif "to" not in change:
            found.append((name, f"gone (was {change['from']})"))
        else:
            found.append((name, f"{change['from']} → {change['to']}"))
    return found
