"""A script of the administrator's on every list, and putting back what it changed."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbooks.errors import BadInputError, short
from runbooks.mailman import events
from runbooks.mailman.events import Event, Outcome
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Answer, Hints, Watch, Work, over_lists, recorded
from runbooks.onhost import source

#: Scripts that come along, by the name of their file. They are on the page.
OWN_SCRIPTS = ("closing.py", "owners.py", "waiting.py", "whereis.py")

#: Bytes. Nothing that anybody wrote as a script is longer.
LARGEST = 1_000_000


@dataclass(frozen=True)
class Script:
    """A script, the function of it that is called, and with which arguments."""

    #: as it was named
    filename: str
    text: bytes
    function: str
    arguments: tuple[str, ...] = ()
    #: it comes along with the command
    is_own: bool = False
    #: each list is locked before the function is called, as by ``withlist -l``
    lock: bool = False
    #: where a secret for it was read; "-" for standard input, None for elsewhere or nowhere
    secret_file: str | None = None

    @property
    def module(self) -> str:
        """What ``withlist -r`` would call it."""
        return Path(self.filename).stem

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    def command(self, *options: str) -> tuple[str, ...]:
        """What to write after ``runbook`` to have it run."""
        function = () if self.function == self.module else ("--function", self.function)
        lock = ("--lock",) if self.lock else ()
        secret = () if self.secret_file is None else ("--secret-file", self.secret_file)
        words = (self.filename, *self.arguments)
        return invocation("withlist", *words, options=(*function, *lock, *secret, *options))

    def __str__(self) -> str:
        """``closing.close(m)``"""
        return f"{self.module}.{self.function}({', '.join(['m', *map(repr, self.arguments)])})"


def read(
    filename: str,
    function: str | None = None,
    arguments: Sequence[str] = (),
    *,
    lock: bool = False,
    secret_file: str | None = None,
) -> Script:
    """Read a script: a file, or one of `OWN_SCRIPTS` where no file of that name is there.

    `function`: the one to call, called like the script when not given, as for ``withlist -r``.
    Raises BadInputError.
    """
    path = Path(filename)
    own = filename in OWN_SCRIPTS and not path.exists()
    try:
        text = source(path.stem).encode() if own else _content(path)
    except OSError as e:
        hint = (
            f" (those that come with runbook: {', '.join(OWN_SCRIPTS)})"
            if not path.exists()
            else ""
        )
        raise BadInputError(f"{short(filename)} cannot be read: {e.strerror}{hint}") from None
    if not text.strip():
        raise BadInputError(f"{short(filename)} is empty")
    function = function or path.stem
    if not function.isidentifier() or not function.isascii():
        hint = "; name it with --function" if function == path.stem else ""
        raise BadInputError(f"{short(function)} cannot be the name of a function{hint}")
    return Script(filename, text, function, tuple(arguments), own, lock, secret_file)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise BadInputError(
                f"{short(str(path))} has more than {LARGEST:,} bytes: it is not a script"
            )
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise BadInputError(f"{short(str(path))} does not end: it is not a script")
    return text


@dataclass(frozen=True)
class Plan:
    """A script, and the lists that it will meet."""

    target: Target
    script: Script
    #: Mailman's Python on the host, under which the script compiles
    python: str
    #: a list each, with outcome "looked", or what is wrong
    seen: Work

    @property
    def lists(self) -> list[Answer]:
        return [answer for answer in self.seen.answers if answer.outcome is Outcome.LOOKED]


def look(target: Target, script: Script) -> Plan:
    """Compile the script on the host, and see which lists there are. Changes nothing.

    Raises BadInputError for a script that does not compile or that has no such function.
    """
    python = ""

    def hear(event: Event) -> None:
        nonlocal python
        if isinstance(event, events.Refused):
            raise BadInputError(_refused(script, event))
        if isinstance(event, events.Compiled):
            python = event.python

    parameters = _parameters(script) | {"action": "look"}
    seen = over_lists(target, "scripting", parameters, (Outcome.LOOKED,), on_event=hear)
    return Plan(target, script, python, seen)


def _refused(script: Script, event: events.Refused) -> str:
    where = f"{script.filename}:{event.line}" if event.line else script.filename
    hint = " (name one with --function)" if event.functions else ""
    return f"{where}: {event.why}{hint} (under the host's Python {event.python})"


def _parameters(script: Script) -> dict[str, object]:
    return {
        "script": base64.b64encode(script.text).decode("ascii"),
        "filename": script.filename,
        "module": script.module,
        "function": script.function,
        "arguments": list(script.arguments),
        "lock": script.lock,
    }


def run(
    plan: Plan,
    *,
    rehearse: bool = False,
    secret: bytes = b"",
    arguments: Sequence[str] = (),
    on_output: Callable[[str, str, str], None] = lambda site, name, text: None,
    on_stopping: Callable[[float], None] = lambda seconds: None,
    watch: Watch | None = None,
) -> Work:
    """Run the script on each list. One command.

    The function is called as under ``withlist -r``, once for each list, one after the other
    with ``target.jobs`` of 1 (Mailman's own order of lists is that of the folder; here it is
    the alphabet). Unlike there, ``m.Lock()`` without a timeout waits for ``target.timeout``
    seconds and no longer, an exception does not end the run, and a list that the function
    left locked is unlocked. The state of each list that it changed is kept on the host.

    `secret`: the script gets it as `secret.VARIABLE`; it is in no argument, no record, and
    hidden in what the script prints. `rehearse`: on copies of the lists; the lists stay as they
    are. `on_output` hears what the script prints: site, list, lines; `on_stopping`, after Ctrl-C,
    for how many seconds the list in hand is waited for before its script is ended. `arguments`:
    the command line, for the journal. Raises JournalError when that cannot be written; then
    nothing was run.
    """
    target, script = plan.target, plan.script

    def hear(event: Event) -> None:
        if isinstance(event, events.Output):
            on_output(event.site, event.list, event.text)
        elif isinstance(event, events.Stopping):
            on_stopping(event.seconds)

    parameters = _parameters(script) | {"secret": len(secret), "action": "rehearse"}
    if not rehearse:
        parameters["action"] = "run"
        parameters["journal"] = recorded(
            target,
            "withlist",
            arguments or ("withlist", script.filename, *script.arguments),
            script=script.filename,
            function=script.function,
            sha256=script.sha256,
        )
    again = ("--dry-run",) if rehearse else ()
    return over_lists(
        target,
        "scripting",
        parameters,
        (Outcome.CHANGED, Outcome.UNCHANGED, Outcome.PLANNED),
        watch=watch,
        on_event=hear,
        hints=Hints(target, lambda options: script.command(*again, *options)),
        secret=secret,
    )
