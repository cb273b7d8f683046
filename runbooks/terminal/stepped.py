"""``--steps``: the printed steps on the host, one at a time, with the reader in charge."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import click

from runbooks.book import expected, steps
from runbooks.book.plain import plain
from runbooks.book.procedure import Step, anchor, paste
from runbooks.book.steps import Ran
from runbooks.errors import BadInputError, HostError, LostError, RunbookError, did_you_mean, short
from runbooks.mailman.installation import Installation
from runbooks.mailman.stepping import OnHost, Run, Secret
from runbooks.mailman.truth import Subject, Witness
from runbooks.terminal import completion
from runbooks.terminal.byhand import PrintedSteps
from runbooks.terminal.console import Screen, many
from runbooks.terminal.report import recorded

_KEYS = "[r]un, [e]dit, [d]one by hand, [s]kip, [b]ack, [q]uit, [?] "

_HELP = """\
  r  run it on the host; Ctrl-C then stops it alone
  e  change the command first, in your editor ($VISUAL or $EDITOR)
  d  go on: you have done it by hand
  s  go on without it
  b  back to the step before
  q  quit; a command is printed that goes on from here
"""

#: Lines of a file, and of a comparison, that are shown at most.
_LINES_OF_FILE, _LINES_COMPARED = 12, 40

#: What a printed line says of a list that was not done, and where the page has what helps.
_NOT_DONE = r": (?:locked|corrupt)\b|Please set MAILMAN_SITE_DIR"
NOT_DONE = "when-a-list-is-not-done"

#: Of a line that was printed, or had to be, what it is.
_SIGNS = {"+": "printed", "-": "missing", "!": "wrong  "}


class _Quit(Exception):
    """The reader goes no further."""


class Stepping:
    """One run through the steps of a procedure. `yes`: nobody is asked."""

    def __init__(
        self, screen: Screen, installation: Installation, printed: PrintedSteps, yes: bool
    ) -> None:
        self.screen, self.installation, self.printed, self.yes = screen, installation, printed, yes
        self.steps = [
            replace(step, name=anchor(printed.procedure, step.name)) for step in printed.steps
        ]
        self.run = Run(installation, printed.typed, printed.procedure)
        #: the steps that did not print what the page shows, the last time that they were run
        self.differing: dict[str, str] = {}
        #: as the reader has changed them
        self.edited: dict[str, str] = {}

    def go(self, start: str | None) -> int:
        """Go through the steps; the exit status."""
        number = self._number(start)
        if self.yes and self.printed.password and any(step.asks for step in self.steps[number:]):
            # What is missing is said before anything is run.
            password = self.printed.password()
            self.printed = replace(self.printed, password=lambda: password)
        self.screen.say(self.installation.title, style="bold")
        shows = [step.shows for step in self.steps]
        self.watching = Witness(self.installation, self._look, shows)
        try:
            while number < len(self.steps):
                number = self._one(number)
        except _Quit:
            return self._leave(number)
        except KeyboardInterrupt:
            self.screen.say()
            return self._leave(number)
        except (HostError, LostError) as e:
            raise LostError(f"{e}; to go on: {self._again(number)}") from None
        finally:
            completion.forget(self.installation.host)
        self.run.end("done")
        return self._report()

    def _number(self, start: str | None) -> int:
        if start is None:
            return 0
        names = [step.name for step in self.steps]
        wanted = start.removeprefix("#")
        if wanted not in names:
            wanted = anchor(self.printed.procedure, wanted)
        if wanted not in names:
            hint = did_you_mean(wanted, names) or f"; they are: {', '.join(names)}"
            raise BadInputError(f"there is no step {short(start)} here{hint}")
        return names.index(wanted)

    def _look(self, command: str) -> str:
        with self.screen.busy("looking at the lists"):
            return OnHost(self.installation).ask(command)

    # -- one step -----------------------------------------------------------------------

    def _one(self, number: int) -> int:
        """Have the reader decide on a step, until it is left; the number of the next one."""
        step = self.steps[number]
        self._show(number)
        while True:
            match "r" if self.yes else self._ask():
                case "r":
                    if self._carry_out(step):
                        return number + 1
                    if self.yes:
                        raise _Quit
                case "e":
                    self._edit(step)
                case "d":
                    self._pass_over(step, "by hand")
                    return number + 1
                case "s":
                    self._pass_over(step, "skipped")
                    return number + 1
                case "b" if number:
                    return number - 1
                case "b":
                    self.screen.say("this is the first step")
                case "q":
                    raise _Quit
                case "?":
                    self.screen.say(_HELP.rstrip(), always=True)
                    self._show(number, in_full=True)
                case _:
                    self.screen.say("type one of the letters, then Enter; ? explains them")

    def _ask(self) -> str:
        try:
            return self.screen.answer(_KEYS).strip().lower()[:1]
        except EOFError:
            self.screen.say()
            raise _Quit from None

    def _show(self, number: int, *, in_full: bool = False) -> None:
        step, say = self.steps[number], self.screen.say
        say()
        say(f"{number + 1} of {len(self.steps)}  {step.title}", style="bold")
        say(f"#{step.name}", style="dim")
        for text in filter(None, (step.why, step.where)):
            say(textwrap.fill(plain(text), 88, break_on_hyphens=False, break_long_words=False))
        if step.name in self.edited:
            self._show_command(self.edited[step.name])
            say("  (changed by you)")
            return
        self._show_command(step.command)
        if step.creates is None:
            return
        lines = step.creates.content.splitlines()
        shown = lines if in_full or len(lines) <= _LINES_OF_FILE else lines[: _LINES_OF_FILE - 2]
        say(f"  with this text, {many(len(lines), 'line')}:")
        for line in shown:
            say(f"    | {line}")
        if len(shown) < len(lines):
            hint = "" if self.yes else "; ? shows them all"
            say(f"    … {len(lines) - len(shown):,} more{hint}")

    def _show_command(self, command: str) -> None:
        self.screen.say("  $ " + command.rstrip("\n").replace("\n", "\n    "), style="cyan")

    def _edit(self, step: Step) -> None:
        before = self.edited.get(step.name, paste(step))
        try:
            after = click.edit(before, extension=".sh")
        except click.ClickException as e:
            self.screen.warn(e.format_message())
            return
        if after is None or after.strip() in ("", before.strip()):
            self.screen.say("not changed")
            return
        self.edited[step.name] = after
        self._show_command(after)

    def _pass_over(self, step: Step, how: str) -> None:
        self.differing.pop(step.name, None)
        self.run.pass_over(step, how)
        self.screen.object(step=step.name, how=how)

    # -- running it ---------------------------------------------------------------------

    def _carry_out(self, step: Step) -> bool:
        """Run a step, and say what came of it; whether it is as on the page."""
        secret = Secret(self.printed.secret, self.printed.variable)
        if step.asks and self.printed.password:
            secret = Secret(self.printed.password())
        command = self.edited.get(step.name, paste(step))

        def run(step: Step) -> steps.Printed:
            with self._running() as hear:
                return self.run.carry_out(step, command, hear, secret)

        ran = steps.carry_out(step, run, self.watching)
        printed = ran.printed
        differs = self._differs(ran)
        self.run.judge(step, differs)
        self.screen.object(
            step=step.name,
            how="interrupted" if printed.interrupted else "run",
            command=command,
            edited=step.name in self.edited,
            status=printed.status,
            printed=printed.text,
            differs=differs,
        )
        if not differs:
            self.differing.pop(step.name, None)
            self._say_well(step, printed)
            return True
        self.differing[step.name] = differs
        if printed.interrupted:
            self.screen.say(f"  {differs}", style="yellow", always=True)
        else:
            self._compare(ran)
            self._show_what_helps(printed.text)
        return False

    def _differs(self, ran: Ran[Subject | None]) -> str:
        if ran.printed.interrupted:
            return "interrupted: what it had begun may be half done"
        return ran.fault if ran.step.is_judged else ""

    def _say_well(self, step: Step, printed: steps.Printed) -> None:
        if not step.is_judged:
            status = f" (exit status {printed.status})" if printed.status else ""
            self.screen.say(f"  run{status}; the page does not say what your script prints")
        elif printed.text.strip():
            self.screen.say("  ✓ as on the page", style="green")
        else:
            self.screen.say("  ✓ nothing was printed, as on the page", style="green")

    def _compare(self, ran: Ran[Subject | None]) -> None:
        """What was printed beside what the page shows."""
        say = partial(self.screen.say, always=True)
        say("  not as on the page:", style="red")
        lines = expected.judged(ran.step.shows, ran.printed.text, ran.truth)
        off = [line for line in lines if line.sign != " "]
        for line in off[:_LINES_COMPARED]:
            say(f"    {_SIGNS[line.sign]}  {line.text}", style="red" if line.sign == "+" else "")
        if len(off) > _LINES_COMPARED:
            say(f"    and {len(off) - _LINES_COMPARED:,} more")
        if len(lines) > len(off):
            say(f"    {many(len(lines) - len(off), 'line')} as on the page")
        if ran.printed.status:
            say(f"    exit status {ran.printed.status}")

    def _show_what_helps(self, text: str) -> None:
        """The troubles of the procedure that fit what was printed."""
        for trouble in self.printed.troubles:
            if trouble.prints and re.search(trouble.prints, text, re.MULTILINE):
                help = f"{plain(trouble.symptom)}. {plain(trouble.remedy)}"
                for line in textwrap.wrap(help, 84, break_on_hyphens=False):
                    self.screen.say(f"  → {line}", style="cyan", always=True)
        if re.search(_NOT_DONE, text):
            self.screen.say(f"  → see #{NOT_DONE} on the page", style="cyan", always=True)
        if re.search(r": locked\b", text):
            locks = self.installation.host.command(("locks",))
            self.screen.say(f"  → who has the lock: {locks}", style="cyan", always=True)

    @contextmanager
    def _running(self) -> Iterator[steps.Hear]:
        with self.screen.running("running; Ctrl-C stops it"):
            yield lambda line: self.screen.say(f"    {line}")

    # -- at the end ---------------------------------------------------------------------

    def _leave(self, number: int) -> int:
        if not self.run.came:
            raise BadInputError("nothing was run")
        try:
            self.run.end(f"left at #{self.steps[number].name}")
        except RunbookError as e:
            self.screen.warn(str(e))
        self._report(left=True)
        self.screen.say(f"to go on: {self._again(number)}", style="cyan", always=True)
        return 1

    def _report(self, *, left: bool = False) -> int:
        """What came of the steps; the exit status."""
        came, say = self.run.came, self.screen.say
        well = [name for name, how in came.items() if how == "run" and name not in self.differing]
        parts = [f"{len(well):,} of {many(len(self.steps), 'step')} run, as on the page"]
        by_hand = [name for name, how in came.items() if how == "by hand"]
        off = {
            "done by hand": by_hand,
            "skipped": [name for name, how in came.items() if how == "skipped"],
            "not as on the page": list(self.differing),
        }
        parts += [
            f"{len(names):,} {what} ({', '.join(f'#{name}' for name in names)})"
            for what, names in off.items()
            if names
        ]
        done = not left and not off["skipped"] and not self.differing
        say()
        say("; ".join(parts), style="green" if done else "yellow", always=not done)
        recorded(self.screen, self.installation, self.run.recorded)
        self.screen.object(
            summary={what: len(names) for what, names in off.items()}
            | {"run": len(well), "steps": len(self.steps)}
        )
        return 0 if done else 1

    def _again(self, number: int) -> str:
        """The command that goes on with a step."""
        words = list(self.printed.typed)
        end = words.index("--") if "--" in words else len(words)
        kept: list[str] = []
        rest = iter(words[:end])
        for word in rest:
            if word == "--from-step":
                next(rest, None)
            elif not word.startswith("--from-step="):
                kept.append(word)
        if not any(word == "--host" or word.startswith("--host=") for word in kept):
            kept += shlex.split(self.installation.host.option)
        return shlex.join(["runbook", *kept, "--from-step", self.steps[number].name, *words[end:]])
