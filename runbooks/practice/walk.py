"""``runbook practice``: each procedure on a practice site, both ways, and what changed.

The walk is also a check: it ends with exit status 1 when a step does not print what the page shows,
as it is true of the practice site, or when the two ways end in different states.
"""

from __future__ import annotations

import itertools
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runbooks.book.plain import plain
from runbooks.book.procedure import A, Procedure, Step, paste
from runbooks.book.steps import Printed, go_through, in_shell, on_terminal
from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.mailman.truth import Witness
from runbooks.practice.site import PracticeSite, create
from runbooks.procedures import all_procedures, find
from runbooks.terminal.console import Screen, many

#: (site, list) or (site, "locks"): what is there
State = dict[tuple[str, str], dict[str, Any]]


class _Shortened(Screen):
    """A screen on which DIR stands for the folder of the practice site."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = str(folder)

    def lines(self, lines: Sequence[tuple[str, str]], *, always: bool = False) -> None:
        told = [(text.replace(self.folder, "DIR"), style) for text, style in lines]
        super().lines(told, always=always)


def walk(screen: Screen) -> int:
    """Walk through all procedures; the exit status."""
    with tempfile.TemporaryDirectory(prefix="runbook-practice-") as parent:
        folder, free = Path(parent) / "site", Path(parent) / "free"
        with screen.busy("making a practice site"):
            site = create(folder)
            # Each procedure but one would wait for the stale lock, for ten seconds each time.
            for lock in folder.glob("srv/mailman/*/locks/*"):
                lock.unlink()
            _copy(folder, free)
        host = Host(site.spec)
        installation = discover(host)
        host.close()
        _introduce(screen, installation, folder)
        screen = _Shortened(folder)
        different = 0
        for number, procedure in enumerate(all_procedures(), 1):
            _put_back(free, site)
            if procedure.after:
                _prepare(find(procedure.after), site)
            if procedure.befalls:
                event = procedure.befalls(installation, procedure.practised.arguments)
                site.befall(event.script)
            start = Path(parent) / f"start{number}"
            _copy(site.folder, start)
            screen.say()
            screen.say(f"{number}. {procedure.title}", style="bold underline")
            different += not _walk_through(screen, procedure, installation, site, start)
        screen.say()
        if different:
            screen.say(
                f"{many(different, 'procedure')} did not do what the page says both ways",
                style="red",
            )
            return 1
        screen.say("By hand and by command, each procedure ended in the same state.", style="green")
        screen.say("A site to try things on yourself: runbook practice new FOLDER")
        return 0


def _introduce(screen: Screen, installation: Installation, folder: Path) -> None:
    screen.say(installation.title, style="bold")
    screen.say(
        "This is a practice site, on which nobody depends. Its Mailman is a stand-in, not GNU"
        f"\nMailman. DIR stands for {folder}; it is removed at the end."
    )
    screen.say(
        "\nEach procedure of the page follows, by hand, as the page prints it, and by command,"
        "\nwith what changed on the lists:"
    )
    for number, procedure in enumerate(all_procedures(), 1):
        screen.say(f"  {number}. {procedure.title}")


def _walk_through(
    screen: Screen,
    procedure: Procedure[Installation, A],
    installation: Installation,
    site: PracticeSite,
    start: Path,
) -> bool:
    """One procedure both ways from `start`, a copy; whether all was as the page says."""
    screen.say(textwrap.fill(plain(procedure.when), 88, break_on_hyphens=False))
    before = state(site)

    practice = procedure.practised
    if practice.note:
        screen.say(practice.note)
    screen.say("\nby hand", style="bold")
    numbers = itertools.count(1)

    def run(step: Step) -> Printed:
        screen.say(f"\n  {next(numbers)}. {step.title}")
        shown = step.command
        if step.creates:
            shown += f"   < the text of {Path(step.creates.path).name}, as on the page"
        screen.say("  $ " + shown.replace("\n", "\n    "), style="cyan")
        if not step.asks:
            return in_shell(paste(step), hear)
        assert practice.secret, f"{procedure.name} has no secret to practise with"
        printed = on_terminal(paste(step), step.asks, practice.secret.value)
        for line in printed.text.splitlines():
            hear(line.rstrip())
        return printed

    def hear(line: str) -> None:
        screen.say(f"    {line}")

    is_true = True
    steps = procedure.steps(installation, practice.arguments)
    for ran in go_through(steps, run, partial(Witness, installation, _answer_of)):
        if ran.fault:
            screen.say(f"    That is not what the page shows: {ran.fault}", style="red")
            is_true = False
    by_hand = state(site)
    _show_changes(screen, before, by_hand)

    _put_back(start, site)
    screen.say("\nby command, on the site as it was", style="bold")
    command = ("runbook", *procedure.command(practice.arguments), "--yes")
    screen.say(f"  $ {shlex.join(command)} --host {shlex.quote(site.spec)}", style="cyan")
    if practice.secret:
        screen.say(f"    (with the password in the variable {practice.secret.variable})")
    if status := in_shell(_command_line(procedure, site), hear).status:
        screen.say(f"    (exit status {status})")
    by_command = state(site)
    _show_changes(screen, before, by_command)

    if by_hand != by_command:
        screen.say("  The two ways ended in different states:", style="red")
        _show_changes(screen, by_hand, by_command)
    return is_true and by_hand == by_command


def _prepare(procedure: Procedure[Installation, A], site: PracticeSite) -> None:
    """Do what the next procedure begins with. Raises RuntimeError when nothing came of it."""
    done = subprocess.run(
        ["/bin/sh", "-c", _command_line(procedure, site)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # Lists that could not be done end in exit status 1; the next procedure names them.
    if done.returncode > 1 or "Traceback" in done.stderr:
        raise RuntimeError(f"{procedure.title}: {done.stderr.strip()}")


def _command_line(procedure: Procedure[Installation, A], site: PracticeSite) -> str:
    practice = procedure.practised
    words = [sys.executable, "-m", "runbooks", *procedure.command(practice.arguments), "--yes"]
    line = shlex.join([*words, "--host", site.spec])
    if secret := practice.secret:
        line = f"{secret.variable}={shlex.quote(secret.value)} {line}"
    return line


def _answer_of(command: str) -> str:
    """What a shell command prints that asks what is true of the site."""
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=True
    ).stdout


def state(site: PracticeSite) -> State:
    """What Mailman keeps of each list, and the names in the lock folders."""
    found: State = {}
    for lists in sorted(site.folder.glob("srv/mailman/*/lists")):
        name = lists.parent.name
        for pickled in sorted(lists.glob("*/config.pck")):
            kept = pickle.loads(pickled.read_bytes(), encoding="latin1")
            # When a list was made is no difference between two ways to make it.
            kept.pop("created_at", None)
            found[name, pickled.parent.name] = kept
        found[name, "locks"] = {
            re.sub(r"\d+", "N", entry): None for entry in os.listdir(lists.parent / "locks")
        }
    return found


def changes(before: State, after: State) -> list[str]:
    """What differs, a line each; lists that changed alike share a line."""
    alike: dict[str, list[str]] = defaultdict(list)
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            alike["is new" if old is None else "is gone"].append(key[1])
            continue
        for attribute in sorted(old.keys() | new.keys()):
            was, now = old.get(attribute, _MISSING), new.get(attribute, _MISSING)
            if was != now:
                alike[_change(attribute, was, now)].append(key[1])
    return [f"{_lists(names)}: {change}" for change, names in alike.items()]


_MISSING = object()


def _change(attribute: str, was: Any, now: Any) -> str:
    if was is _MISSING or now is _MISSING:
        return f"{attribute} {'appeared' if was is _MISSING else 'is gone'}"
    if isinstance(was, list) and isinstance(now, list):
        parts = [f"+ {item}" for item in now if item not in was]
        parts += [f"- {item}" for item in was if item not in now]
        return f"{attribute} {', '.join(parts)}"
    return f"{attribute} {was!r} → {now!r}"


def _lists(names: list[str]) -> str:
    return names[0] if len(names) == 1 else many(len(names), "list")


def _show_changes(screen: Screen, before: State, after: State) -> None:
    found = changes(before, after)
    screen.say("  changed:" if found else "  nothing changed")
    for line in found:
        screen.say(f"    {line}")


def _put_back(start: Path, site: PracticeSite) -> None:
    shutil.rmtree(site.folder)
    _copy(start, site.folder)


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with its hard links, which are what a lock is made of, and its times."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
