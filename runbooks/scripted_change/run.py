"""A script of the administrator's on every list, and putting back what it changed."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runbooks.errors import BadInputError, short
from runbooks.mailman import events, journal
from runbooks.mailman.events import Event
from runbooks.mailman.installation import unknown_list
from runbooks.mailman.journal import ListRecord, Run
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Answer, Work, over_lists
from runbooks.onhost import source

#: Scripts that come along, by the name of their file. They are on the page.
OWN_SCRIPTS = ("closing.py", "owners.py", "whereis.py")

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
        hint = f" (those that come along: {', '.join(OWN_SCRIPTS)})" if not path.exists() else ""
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
                f"{short(str(path))} has more than {LARGEST:,} bytes: that is no script"
            )
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise BadInputError(f"{short(str(path))} does not end: that is no script")
    return text


@dataclass(frozen=True)
class Plan:
    """The lists that a script will meet."""

    #: Mailman's Python on the host, under which the script compiles
    python: str
    #: a list each, with outcome "looked", or what is wrong
    seen: Work
    names: dict[str, list[str]] | None = None

    @property
    def lists(self) -> list[Answer]:
        return [answer for answer in self.seen.answers if answer.outcome == "looked"]


def look(target: Target, script: Script) -> Plan:
    """Compile the script on the host, and see which lists there are. Changes nothing.

    Raises BadInputError for a script that does not compile or that has no such function, and
    for a list that none of the sites has.
    """
    python = ""

    def hear(event: Event) -> None:
        nonlocal python
        if isinstance(event, events.Refused):
            raise BadInputError(_refused(script, event))
        if isinstance(event, events.Compiled):
            python = event.python

    names = {site.name: list(target.names) for site in target.sites} if target.names else None
    parameters = _parameters(target, script, names) | {"action": "look"}
    seen = over_lists(target.installation, "scripting", parameters, on_event=hear)
    if target.names:
        known = [answer.list for answer in seen.answers if answer.outcome == "looked"]
        for name in target.names:
            if name not in known:
                raise unknown_list(name, _all_names(target, script))
        seen.answers = [answer for answer in seen.answers if answer.outcome != "gone"]
        names = {site.name: [a.list for a in seen.of(site.name)] for site in target.sites}
    return Plan(python, seen, names)


def _refused(script: Script, event: events.Refused) -> str:
    where = f"{script.filename}:{event.line}" if event.line else script.filename
    hint = " (name one with --function)" if event.functions else ""
    return f"{where}: {event.why}{hint} (under the host's Python {event.python})"


def _all_names(target: Target, script: Script) -> list[str]:
    everything = _parameters(replace(target, names=()), script, None) | {"action": "look"}
    return [a.list for a in over_lists(target.installation, "scripting", everything).answers]


def _parameters(
    target: Target, script: Script, names: dict[str, list[str]] | None
) -> dict[str, object]:
    return target.parameters(names) | {
        "script": base64.b64encode(script.text).decode("ascii"),
        "filename": script.filename,
        "module": script.module,
        "function": script.function,
        "arguments": list(script.arguments),
        "lock": script.lock,
    }


def run(
    target: Target,
    script: Script,
    plan: Plan,
    *,
    rehearse: bool = False,
    secret: bytes = b"",
    arguments: Sequence[str] = (),
    on_output: Callable[[str, str, str], None] = lambda site, name, text: None,
    on_answer: Callable[[Answer], None] = lambda answer: None,
    on_waiting: Callable[[int, float], None] = lambda lists, seconds: None,
    on_stopping: Callable[[float], None] = lambda seconds: None,
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

    def hear(event: Event) -> None:
        if isinstance(event, events.Output):
            on_output(event.site, event.list, event.text)
        elif isinstance(event, events.Stopping):
            on_stopping(event.seconds)

    parameters = _parameters(target, script, plan.names) | {"secret": len(secret)}
    if rehearse:
        parameters["action"] = "rehearse"
    else:
        parameters["action"] = "run"
        parameters["journal"] = journal.parameters(
            target.installation,
            "withlist",
            arguments or ("withlist", script.filename, *script.arguments),
            sites=target.sites,
            script=script.filename,
            function=script.function,
            sha256=script.sha256,
        )
    return over_lists(
        target.installation,
        "scripting",
        parameters,
        on_answer,
        on_waiting,
        hear,
        again=lambda options: script.command(*(["--dry-run"] if rehearse else []), *options),
        secret=secret,
    )


# -- putting back -------------------------------------------------------------------------


@dataclass
class Kept:
    """The lists of which a run kept the state, and how they stand to it."""

    #: where the host has them
    path: str = ""
    seen: Work = field(default_factory=Work)
    #: sites that the host does not have any more
    sites_gone: list[str] = field(default_factory=list)
    #: lists that the run changed, and of which it kept nothing
    not_kept: list[ListRecord] = field(default_factory=list)

    @property
    def to_do(self) -> list[Answer]:
        return [answer for answer in self.seen.answers if answer.outcome == "planned"]

    @property
    def left(self) -> list[Answer]:
        """Lists that are not put back, and why."""
        return [a for a in self.seen.answers if a.outcome not in ("planned", "already")]


def kept(target: Target, run: Run) -> Kept:
    """See what can be put back. One command; changes nothing on the host.

    Raises BadInputError for a run that kept nothing, or that still goes on.
    """
    if run.command != "withlist":
        raise BadInputError(
            f"run {run.id} is no run of withlist: 'runbook undo {run.id}' takes back"
            " what can be taken back"
        )
    if run.state == "running":
        raise BadInputError(f"run {run.id} is still at work: wait for it")
    found = Kept(
        not_kept=[one for one in run.lists if "files" in one.more and "state" not in one.more]
    )

    def hear(event: Event) -> None:
        if isinstance(event, events.Kept):
            found.path, found.sites_gone = event.path, [*event.sites_gone]

    parameters = _restore_parameters(target, run) | {"action": "look"}
    found.seen = over_lists(target.installation, "restoring", parameters, on_event=hear)
    there_is = found.seen.answers or found.sites_gone or found.seen.sites_failed or found.not_kept
    if not there_is:
        raise BadInputError(
            f"run {run.id} changed no list, or nothing is kept of it any more in {found.path}"
        )
    return found


def restore(
    target: Target,
    run: Run,
    plan: Kept,
    *,
    arguments: Sequence[str] = (),
    on_answer: Callable[[Answer], None] = lambda answer: None,
    on_waiting: Callable[[int, float], None] = lambda lists, seconds: None,
) -> Work:
    """Put back the lists that nobody changed since, byte for byte, and read them back.

    One command, which leaves a record of its own and keeps what it replaces. Raises
    JournalError when the record cannot be written; then nothing was changed.
    """
    to_do = _by_site(plan.to_do)
    names = {site.name: to_do.get(site.name, []) for site in target.sites}
    parameters = _restore_parameters(target, run, names) | {
        "action": "restore",
        "journal": journal.parameters(
            target.installation,
            "withlist",
            arguments or ("withlist", "--restore", run.id),
            sites=[site for site in target.sites if names[site.name]],
            undoes=run.id,
        ),
    }
    return over_lists(
        target.installation,
        "restoring",
        parameters,
        on_answer,
        on_waiting,
        again=lambda options: ("withlist", "--restore", run.id),
    )


def _restore_parameters(
    target: Target, run: Run, names: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    return target.parameters(names) | {"folder": os.path.dirname(run.path), "restores": run.id}


def _by_site(answers: Sequence[Answer]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for answer in answers:
        found.setdefault(answer.site, []).append(answer.list)
    return found
