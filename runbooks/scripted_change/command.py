"""``runbook withlist``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import click

from runbooks.errors import BadInputError
from runbooks.terminal import options

if TYPE_CHECKING:
    from runbooks.mailman.journal import Run
    from runbooks.mailman.target import Target
    from runbooks.mailman.work import Answer, Work
    from runbooks.scripted_change.run import Kept, Plan, Script
    from runbooks.terminal.console import Bar, Screen

#: Lists that are named for the same reason, before the rest is counted.
_NAMED = 5


@click.command(
    epilog="""\b
Examples:
  runbook withlist owners.py                          who owns which list
  runbook withlist whereis.py someone@example.com     where an address occurs
  runbook withlist closing.py --function close --dry-run
  runbook withlist mine.py --list openstack-foo -- -v  ARG after -- may start with -
  runbook withlist reset_pw.py --lock --list openstack-foo
  runbook withlist --restore 20240501-120301-4f9a1c
"""
)
@click.argument("script", metavar="[SCRIPT.py]", required=False)
@click.argument("arguments", metavar="[ARG]...", nargs=-1)
@click.option("--function", metavar="F", help="The function to call.  [default: as SCRIPT]")
@click.option("--lock", is_flag=True, help="Lock each list first, as withlist -l does.")
@click.option(
    "--secret-file",
    metavar="FILE",
    help="Where a secret for the script is, in one line; - is standard input.",
)
@click.option("--restore", metavar="RUN", help="Put back the lists that RUN changed.")
@options.together(options.lists, options.sites, options.host, options.timeout)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Lists worked on at a time, each in a process of its own.",
)
@click.option(
    "--dry-run", is_flag=True, help="Run it on copies of the lists, and show what would change."
)
@options.together(options.yes, options.explain, options.json)
def withlist(
    script: str | None,
    arguments: tuple[str, ...],
    function: str | None,
    lock: bool,
    secret_file: str | None,
    restore: str | None,
    lists: tuple[str, ...],
    sites: tuple[str, ...],
    host_spec: str,
    timeout: float,
    jobs: int,
    dry_run: bool,
    yes: bool,
    explain: bool,
    as_json: bool,
) -> int:
    """Call a function of SCRIPT.py on every list, as Mailman's 'withlist -r' does.

    The function gets the list, unlocked, and the ARGs. It locks, saves and unlocks the list
    itself. An exception does not keep it from the other lists; a list that it leaves locked
    is unlocked. --lock is for scripts that were written for withlist -l and do not lock the list:
    each is locked before the function is called, and unlocked afterwards. What is not saved is
    lost, as there.

    ARGs are kept in the journal: give no password there. The line in --secret-file, or in the
    variable RUNBOOK_SECRET here, is in the variable RUNBOOK_SECRET of the script's process. It is
    in no record and no list of processes, and what the script prints has *** in its place.

    The state of each list that it changes is kept on the host, with requests and held messages,
    and --restore puts it back. --dry-run works on copies: Mailman's own functions then change
    and send nothing. It does not hold back a script that opens files by a path of its own,
    connects somewhere, or starts programs.
    """
    from runbooks.scripted_change import run as scripted
    from runbooks.terminal import secret
    from runbooks.terminal.console import Screen

    screen = Screen(as_json)
    if restore is not None:
        if script is not None or function is not None or lists or explain or lock or secret_file:
            raise BadInputError(
                "--restore takes a run and no script, and puts back every list of it"
            )
    elif script is None:
        raise BadInputError("name a script, or a run with --restore (see runbook withlist --help)")
    else:
        wanted = scripted.read(script, function, arguments, lock=lock, secret_file=secret_file)
        hidden, source, warning = (b"", "", "") if explain else secret.for_script(secret_file)
        if warning:
            screen.warn(warning)
    target = options.target(options.installation(host_spec, screen), sites, lists, timeout, jobs)
    if restore is not None:
        from runbooks.mailman import journal

        with screen.busy("reading the journal"):
            past = journal.find(target.installation, restore)
        return put_back(screen, target, past, dry_run, yes)
    if explain:
        return _explain(screen, target, wanted)
    with screen.busy("looking at the lists"):
        plan = scripted.look(target, wanted)
    _show_plan(screen, target, wanted, plan, source)
    if not plan.lists:
        screen.say("there is no list to run it on")
        return 1 if plan.seen.sites_failed else 0
    from runbooks.terminal.console import many

    if not dry_run:
        options.permission(
            screen,
            f"Run {wanted.module}.{wanted.function} on {many(len(plan.lists), 'list')}?",
            yes,
        )
    with options.changing():
        with screen.progress(len(plan.lists)) as bar:
            work = scripted.run(
                target,
                wanted,
                plan,
                rehearse=dry_run,
                secret=hidden,
                arguments=options.typed(),
                on_output=_printer(screen, host_spec, plan, bar),
                on_answer=lambda answer: bar.advance(),
                on_waiting=lambda lists, seconds: bar.note(
                    f"waiting for {many(lists, 'locked list')}, {seconds:g} s at most"
                ),
                on_stopping=lambda seconds: screen.warn(
                    f"stopping: the script has {seconds:g} s for the list in hand"
                    " (Ctrl-C again: do not wait for it)"
                ),
            )
        return _show_work(screen, target, work, dry_run)


def _explain(screen: Screen, target: Target, script: Script) -> int:
    from runbooks.scripted_change import page as scripted_change

    steps = scripted_change.by_hand(target.installation, script, target.sites, target.names)
    screen.say(f"# {target.installation.title}")
    options.show_steps(screen, steps)
    return 0


# -- before -------------------------------------------------------------------------------


def _show_plan(screen: Screen, target: Target, script: Script, plan: Plan, source: str) -> None:
    from runbooks.terminal.console import many

    screen.say(target.installation.title, style="bold")
    rows = []
    for site in target.sites:
        answers = plan.seen.of(site.name)
        if site.name in plan.seen.sites_failed:
            why = plan.seen.sites_failed[site.name]
            rows.append((site.name, f"its lists cannot be named: {why}"))
            continue
        locked = sum(bool(answer.said.get("has_lock")) for answer in answers)
        note = f", {locked:,} of them locked now" if locked else ""
        rows.append((site.name, many(len(answers), "list") + note))
    screen.table(rows)
    where = "which comes along" if script.is_own else f"of {script.filename}"
    screen.say(f"  {script}, {where}, compiles under Python {plan.python} there")
    if script.lock:
        screen.say("  each list is locked before it is called")
    if source:
        screen.say(f"  it gets the secret from {source} as RUNBOOK_SECRET")


# -- while it runs ------------------------------------------------------------------------


def _printer(
    screen: Screen, host_spec: str, plan: Plan, bar: Bar
) -> Callable[[str, str, str], None]:
    """What prints the lines of a script, with the list's name in front."""
    from runbooks.terminal.console import clean

    names = [answer.list for answer in plan.lists]
    several = {name for name, number in Counter(names).items() if number > 1}
    # While a bar is shown, sys.stdout is in the hands of what shows it.
    stream = sys.__stdout__ if bar.progress and sys.__stdout__ else sys.stdout

    def show(site: str, name: str, text: str) -> None:
        label = f"{name} ({site})" if name in several else name
        for line in text.split("\n"):
            if screen.as_json:
                screen.object(host=host_spec, site=site, list=name, output=line)
                continue
            shown = clean(line.rstrip("\r"))
            # Many scripts name the list themselves.
            shown = f"{label}: {shown.removeprefix(f'{name}: ')}"
            if bar.progress and stream.isatty():
                from rich.text import Text

                bar.progress.console.print(Text(shown), soft_wrap=True)
            else:
                stream.write(shown + "\n")
        if not bar.progress:
            stream.flush()

    return show


# -- after --------------------------------------------------------------------------------


def _show_work(screen: Screen, target: Target, work: Work, rehearsed: bool) -> int:
    from runbooks.terminal.console import many

    host = target.installation.host
    if rehearsed:
        _show_differences(screen, target, work)
    counts = work.counts
    not_done = [a for a in work.answers if a.outcome not in ("changed", "unchanged", "planned")]
    missing = len(not_done) + len(work.sites_failed)
    words = {"planned": "would change", "changed": "changed", "unchanged": "unchanged"}
    parts = [f"{counts[outcome]:,} {word}" for outcome, word in words.items() if counts[outcome]]
    if missing:
        parts.append(f"{missing:,} not done")
    screen.say(
        f"{many(len(work.answers), 'list')}: {', '.join(parts) or 'nothing was done'}"
        + (":" if missing else ""),
        style="yellow" if missing else "green",
    )
    rows = [
        (names, detail + (f"\n→ {host.command(help)}" if help else ""))
        for names, detail, help in _grouped(target, not_done)
    ]
    rows += [(f"all of {site}", why) for site, why in work.sites_failed.items()]
    screen.table(rows)
    attributes = sorted({name for a in work.answers for name in a.said.get("changed", ())})
    if attributes:
        screen.say(f"changed attributes: {', '.join(attributes)}")
    files = [file for a in work.answers for file in a.said.get("files", ())]
    if files:
        screen.say(f"changed files: {', '.join(_counted(files))}")
    for note in dict.fromkeys(note for a in work.answers for note in a.said.get("notes", ())):
        having = [a for a in work.answers if note in a.said.get("notes", ())]
        screen.warn(f"{note}: {_names(target, having)}")
    if work.ended_early:
        screen.say(f"{work.ended_early}: lists not named here were not begun", style="red")
    if any(answer.said.get("hopeless") for answer in work.answers):
        screen.say("no other list was begun: it would fare no better", style="red")
    if rehearsed:
        screen.say("dry run: it ran on copies of the lists; the lists are as they were")
    options.recorded(screen, target.installation, work.recorded)
    if work.recorded and any(a.said.get("changed") or a.said.get("files") for a in work.answers):
        screen.say(f"to put them back: runbook withlist --restore {work.recorded.run}{host.option}")
    for answer in work.answers:
        extra = {
            key: answer.said[key]
            for key in ("changed", "files", "changes", "others", "notes", "traceback")
            if answer.said.get(key)
        }
        screen.object(
            host=host.spec,
            site=answer.site,
            list=answer.list,
            outcome=answer.outcome,
            detail=answer.detail,
            **extra,
        )
    screen.object(summary=dict(counts))
    return 1 if missing or work.ended_early else 0


def _counted(files: Sequence[str]) -> list[str]:
    """The names of files of lists, each once; held messages are counted."""
    from runbooks.terminal.console import many

    held = [file for file in files if file.startswith("heldmsg-")]
    named = sorted(set(files) - set(held))
    return named + ([many(len(held), "held message")] if held else [])


def _label(target: Target, answer: Answer) -> str:
    several = len(target.installation.sites) > 1
    return f"{answer.list} ({answer.site})" if several else answer.list


def _names(target: Target, answers: Sequence[Answer]) -> str:
    named = [_label(target, answer) for answer in answers[:_NAMED]]
    more = len(answers) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")


def _grouped(target: Target, answers: Sequence[Answer]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Lists with what is wrong with them; many with the same share a row, with every name in it."""
    groups: dict[tuple[str, tuple[str, ...]], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.detail, answer.help), []).append(answer)
    found = []
    for (detail, help), having in groups.items():
        if len(having) <= _NAMED:
            found += [(_label(target, answer), detail, help) for answer in having]
        else:
            every = ", ".join(_label(target, answer) for answer in having)
            found.append((f"{len(having):,} lists", f"{detail}\n{every}", help))
    return found


def _show_differences(screen: Screen, target: Target, work: Work) -> None:
    """What a rehearsal would have changed; lists with the same changes together."""
    groups: dict[tuple[tuple[str, str], ...], list[Answer]] = {}
    for answer in work.answers:
        lines = [*_lines(answer.said.get("changes", ()))]
        for other, changes in answer.said.get("others", {}).items():
            lines += [(f"{name} of {other}", change) for name, change in _lines(changes)]
        if lines:
            groups.setdefault(tuple(lines), []).append(answer)
    for shown, answers in groups.items():
        names = ", ".join(_label(target, answer) for answer in answers)
        if len(answers) == 1:
            screen.say(f"{names} would change:", style="bold")
        else:
            screen.say(f"{len(answers):,} lists would change alike:", style="bold")
        screen.table(list(shown))
        if len(answers) > 1:
            screen.say(f"  these are: {names}")


def _lines(changes: object) -> list[tuple[str, str]]:
    """``subscribe_policy``, ``1 → 2`` for each attribute."""
    found = []
    assert isinstance(changes, list | tuple)
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


# -- putting back -------------------------------------------------------------------------


def put_back(screen: Screen, target: Target, past: Run, dry_run: bool, yes: bool) -> int:
    """Show what can be put back, ask, put it back, and say what became of it."""
    from runbooks.scripted_change import run as scripted
    from runbooks.terminal.console import many

    with screen.busy("looking at the lists"):
        plan = scripted.kept(target, past)
    _show_kept(screen, target, past, plan)
    if dry_run:
        for answer in plan.seen.answers:
            _object(screen, target, answer)
        _show_left(screen, target, plan.left)
        screen.say("dry run: nothing was changed")
        return 1 if _remains(plan) else 0
    if not plan.to_do:
        by = f" (put back by {' and '.join(past.undone_by)})" if past.undone_by else ""
        screen.say(f"nothing is left to put back{by}", style="green")
        _show_left(screen, target, plan.left)
        for answer in plan.seen.answers:
            _object(screen, target, answer)
        return 1 if _remains(plan) else 0
    options.permission(screen, f"Put back {many(len(plan.to_do), 'list')}?", yes)
    with options.changing():
        with screen.progress(len(plan.to_do)) as bar:
            work = scripted.restore(
                target,
                past,
                plan,
                arguments=options.typed(),
                on_answer=lambda answer: bar.advance(),
                on_waiting=lambda lists, seconds: bar.note(
                    f"waiting for {many(lists, 'locked list')}, {seconds:g} s at most"
                ),
            )
        done = [a for a in work.answers if a.outcome in ("restored", "already")]
        left = [a for a in work.answers if a not in done] + plan.left
        screen.say(
            f"{many(work.counts['restored'], 'list')} put back and read back"
            + (f", {len(left):,} not" if left else ""),
            style="yellow" if left else "green",
        )
        _show_left(screen, target, left)
        if work.ended_early:
            screen.say(
                f"{work.ended_early}: lists not named here were not begun;"
                " the same command completes it",
                style="red",
            )
        options.recorded(screen, target.installation, work.recorded)
        for answer in [*work.answers, *plan.left]:
            _object(screen, target, answer)
        screen.object(summary=dict(work.counts))
        return 1 if left or work.sites_failed or work.ended_early or _remains(plan) else 0


def _remains(plan: Kept) -> bool:
    strays = any(answer.said.get("strays") for answer in plan.seen.answers)
    return bool(plan.left or plan.sites_gone or plan.seen.sites_failed or plan.not_kept or strays)


def _object(screen: Screen, target: Target, answer: Answer) -> None:
    screen.object(
        host=target.installation.host.spec,
        site=answer.site,
        list=answer.list,
        outcome=answer.outcome,
        detail=answer.detail,
    )


def _show_kept(screen: Screen, target: Target, past: Run, plan: Kept) -> None:
    from runbooks.terminal.console import many

    screen.say(target.installation.title, style="bold")
    screen.say(f"{past.id}, {past.began}, {past.login} on {past.machine}: {past.typed}")
    rows = []
    for site in target.sites:
        answers = plan.seen.of(site.name)
        if not answers:
            continue
        counts = {
            "to put back": sum(a.outcome == "planned" for a in answers),
            "as before already": sum(a.outcome == "already" for a in answers),
            "changed since": sum(a.outcome == "changed since" for a in answers),
        }
        parts = [f"{number:,} {what}" for what, number in counts.items() if number]
        rows.append((site.name, many(len(answers), "list"), ", ".join(parts)))
    screen.table(rows)
    files = [file for answer in plan.to_do for file in answer.said.get("files", ())]
    if set(files) - {"config.pck"}:
        screen.say(f"  files to put back: {', '.join(_counted(files))}")
    for answer in plan.seen.answers:
        if answer.said.get("strays"):
            what = ", ".join(answer.said["strays"])
            screen.warn(
                f"{_label(target, answer)}: {what} changed without the list's lock, and stays as it"
                " is"
            )
    for one in plan.not_kept:
        what = ", ".join(cast(Sequence[str], one.more["files"]))
        screen.warn(f"{one.list} ({one.site}): nothing is kept of it; the run changed {what}")
    for site_name in plan.sites_gone:
        screen.warn(f"the host has no site {site_name} any more; its lists stay in {plan.path}")
    for site_name, why in plan.seen.sites_failed.items():
        screen.warn(f"{site_name}: {why}")


def _show_left(screen: Screen, target: Target, answers: Sequence[Answer]) -> None:
    host = target.installation.host
    screen.table(
        [
            (
                _label(target, a),
                a.detail + (f"\n→ {host.command(a.help)}" if a.help else ""),
            )
            for a in answers
        ]
    )
