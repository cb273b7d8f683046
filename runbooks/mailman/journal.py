"""What was done, kept on the host it was done to: the record of each change, and reading it again.

The record is written on the host, by the program that makes the change (`onhost/journal.py`):
neither a lost connection nor a killed command leaves a change without one. A program over
lists gets it from `lists.run_each`; any other calls ``journal.begin`` itself.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbooks.errors import BadInputError, NotThereError, RunbookError, short
from runbooks.mailman import events
from runbooks.mailman.clock import Clock
from runbooks.mailman.events import Event, KeptOfList, Recorded, RunFound, StepOnRecord
from runbooks.mailman.installation import Installation, Site

#: Below the prefix of a site: Mailman's user owns it, and nobody else but root can read it.
FOLDER = "runbook"

#: How many runs `history` shows, unless told otherwise.
NEWEST = 20

_PASSWORD_OPTION = re.compile(r"--?[-a-z]*passw(?:or)?d\Z", re.IGNORECASE)
_PASSWORD_IN_OPTION = re.compile(r"(--?[-a-z]*passw(?:or)?d=).*", re.IGNORECASE | re.DOTALL)
_PASSWORD_IN_URL = re.compile(r"(\A[a-z0-9+]+://[^/@:]*:)[^/@]*@", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f]+(?:-[0-9a-f]+){0,2}\Z")


class JournalError(RunbookError):
    """The journal on the host cannot be written or read. Nothing was changed."""


@dataclass(frozen=True)
class ListRecord:
    """What a run did to one list."""

    site: str
    #: "*": all lists of the site, which could not be named
    list: str
    #: the value of an `Outcome`, or of what another version of the command calls so
    outcome: str
    detail: str = ""
    #: entries of the ban list that the run put there, and those that it took out, as spelled there
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    #: whatever else the command kept
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepTold:
    """A step that was taken once, and what came of it."""

    came: StepOnRecord
    #: what was not as the page shows it, or ""; None where nobody compared
    differs: str | None = None


@dataclass(frozen=True)
class Run:
    """One record."""

    id: str
    #: the journal that it is in
    path: str
    #: "done", "interrupted", "running", "killed", or what went wrong
    state: str
    #: UTC, like 2024-05-01T12:03:01Z; `ended` is "" for a run without an end
    began: str
    ended: str
    #: the subcommand, and the command line without passwords
    command: str
    arguments: tuple[str, ...]
    #: who typed it: the login, also behind sudo, and the user that it ran as
    login: str
    user: str
    #: where it was typed
    machine: str
    #: who was logged in, as the host saw it, and from which address (or "")
    host_login: str
    host_client: str
    sites: tuple[str, ...]
    #: outcome: number of lists
    counts: Mapping[str, int]
    #: the run that this one took back, or ""
    undoes: str = ""
    #: the runs that took this one back
    undone_by: tuple[str, ...] = ()
    #: what else the command recorded when it began
    more: Mapping[str, object] = field(default_factory=dict)
    #: of a single run alone
    lists: tuple[ListRecord, ...] = ()
    #: of a run through printed steps, what came of them, in the order of time
    steps: tuple[StepOnRecord, ...] = ()

    @property
    def steps_told(self) -> list[StepTold]:
        """What came of each step, as often as it was taken."""
        told: list[StepTold] = []
        for one in self.steps:
            last = told[-1] if told and told[-1].came.name == one.name else None
            if one.how == "judged" and last:
                told[-1] = StepTold(last.came, one.differs)
            elif last and last.came.how == "begun":
                told[-1] = StepTold(one)
            else:
                told.append(StepTold(one))
        return told

    @property
    def addresses(self) -> tuple[str, ...]:
        """What it banned, or lifted, wherever it could."""
        # Before there could be several, it was one.
        given = self.more.get("addresses", [self.more["address"]] if "address" in self.more else [])
        return tuple(map(str, given)) if isinstance(given, list) else ()

    @property
    def typed(self) -> str:
        """The command line, for a shell: ``ban target@example.com --yes``."""
        return shlex.join(self.arguments)

    def outline(self, clock: Clock) -> str:
        """When, by whom and what, in a line."""
        return (
            f"{self.id}, {clock.recorded(self.began)}, {self.login} on {self.machine}: {self.typed}"
        )


@dataclass
class History:
    """What the journals of an installation say."""

    #: newest first
    runs: list[Run] = field(default_factory=list)
    #: all there are
    number: int = 0
    #: what is wrong with a journal, a line each
    problems: list[str] = field(default_factory=list)


# -- writing ------------------------------------------------------------------------------


def folder(site: Site) -> str:
    """Where an installation's first site keeps the journal, and what runs replaced."""
    return f"{site.prefix.rstrip('/')}/{FOLDER}"


def parameters(
    installation: Installation,
    command: str,
    arguments: Sequence[str],
    *,
    sites: Iterable[Site] = (),
    undoes: str = "",
    **more: object,
) -> dict[str, object]:
    """The parameter ``journal`` of an on-host program that changes something.

    `arguments`: the command line as typed; passwords in it are left out. `undoes`: the run
    that is taken back. `more`: anything else to record, without passwords and members'
    addresses.
    """
    share = installation.share
    return {
        "folder": folder(installation.sites[0]),
        "run": share.run_id(command) if share else None,
        "arguments": without_passwords(arguments),
        "begin": {
            "command": command,
            "login": login(),
            "user": getpass.getuser() if _has_name() else str(os.geteuid()),
            "from": socket.gethostname(),
            "sites": [site.name for site in sites or installation.sites],
            **({"undoes": undoes} if undoes else {}),
            **more,
        },
    }


def without_passwords(arguments: Sequence[str]) -> list[str]:
    """A command line that may be kept: what an option for a password was given is left out."""
    kept: list[str] = []
    for argument in arguments:
        if kept and _PASSWORD_OPTION.match(kept[-1]):
            kept.append("…")
            continue
        argument = _PASSWORD_IN_OPTION.sub(r"\1…", argument)
        kept.append(_PASSWORD_IN_URL.sub(r"\1…@", argument))
    return kept


def login() -> str:
    """Who types, also behind sudo and su: the name that was logged in with."""
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        text = Path("/proc/self/loginuid").read_text().strip()
        if text.isdigit() and int(text) != 0xFFFFFFFF:
            import pwd

            return pwd.getpwuid(int(text)).pw_name
    except (OSError, KeyError):
        pass
    try:
        return os.getlogin()
    except OSError:
        return getpass.getuser() if _has_name() else f"user {os.geteuid()}"


def _has_name() -> bool:
    import pwd

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME"))
    return True


def heard(event: Event) -> Recorded | None:
    """Where the run is recorded, when `event` says so.

    Raises JournalError when it says that the run cannot be recorded, and that therefore
    nothing was changed.
    """
    if isinstance(event, events.Unrecorded) and not event.begun:
        raise JournalError(f"the journal cannot be written, so nothing was changed: {event.why}")
    return event if isinstance(event, Recorded) else None


def stopped_why(event: Event) -> str | None:
    """Why a run stopped that could not go on recording, when `event` says so."""
    if isinstance(event, events.Unrecorded) and event.begun:
        return f"the journal could no longer be written ({event.why})"
    return None


# -- reading ------------------------------------------------------------------------------


def history(installation: Installation, limit: int | None = NEWEST) -> History:
    """The newest runs. One command; changes nothing."""
    found, _ = _ask(installation, limit=limit)
    return found


def stopped(installation: Installation, lists: Iterable[tuple[str, str]]) -> list[Run]:
    """The runs about addresses that found some of these lists locked, each with those alone.

    `lists`: site and name. Newest first; what was repeated since is left out. One command;
    changes nothing.
    """
    found, _ = _ask(installation, stopped=[list(one) for one in lists])
    return found.runs


def find(installation: Installation, wanted: str) -> Run:
    """One run with its lists, by its id or the beginning or the last part of it.

    Raises BadInputError when there is none, or several.
    """
    if not _ID.match(wanted):
        raise BadInputError(
            f"{short(wanted)} is not the id of a run, like 20240501-120301-4f9a1c:"
            " 'runbook history' shows them"
        )
    found, several = _ask(installation, wanted=wanted)
    if several:
        raise BadInputError(f"{wanted} may mean several runs: {', '.join(several)}")
    if not found.runs:
        why = f" ({'; '.join(found.problems)})" if found.problems else ""
        # It may be what cannot be read.
        kind = BadInputError if found.problems else NotThereError
        raise kind(
            f"there is no run {wanted} on {installation.hostname}{why}:"
            f" 'runbook history{installation.host.option}' shows what there is"
        )
    return found.runs[0]


def _ask(
    installation: Installation,
    wanted: str | None = None,
    limit: int | None = None,
    stopped: list[list[str]] | None = None,
) -> tuple[History, list[str]]:
    found = History()
    several: list[str] = []

    def hear(event: Event) -> None:
        if problem := unreadable_why(event):
            found.problems.append(problem)
        match event:
            case events.Found():
                found.number = event.runs
            case events.Ambiguous():
                several.extend(event.runs)
            case RunFound():
                found.runs.append(_run(event))

    parameters: dict[str, object] = {
        "folders": folders(installation),
        "wanted": wanted,
        "limit": limit,
        "stopped": stopped,
    }
    installation.call("journal", parameters, hear)
    return found, several


def folders(installation: Installation) -> list[str]:
    """Where runs may be on record: an installation may have got another first site since."""
    return list(dict.fromkeys(folder(site) for site in installation.sites))


def unreadable_why(event: Event) -> str | None:
    """What is wrong with a journal, in a line, when `event` says so."""
    match event:
        case events.Unreadable():
            return f"{event.path} cannot be read: {event.why}"
        case events.Damaged(lines=number):
            lines = "1 line is not a record" if number == 1 else f"{number:,} lines are not records"
            return f"{event.path}: {lines} (torn when a run was killed) and ignored"
    return None


def _run(event: RunFound) -> Run:
    begin = event.begin
    return Run(
        id=event.run,
        path=event.path,
        state=event.state,
        began=begin.at,
        ended=event.ended,
        command=begin.command,
        arguments=begin.arguments,
        login=begin.login,
        user=begin.user,
        machine=begin.from_,
        host_login=begin.host.login,
        host_client=begin.host.client,
        sites=begin.sites,
        counts=event.counts,
        undoes=begin.undoes,
        undone_by=event.undone_by,
        more=begin.rest,
        lists=tuple(_list(*entry) for entry in event.lists),
        steps=event.steps,
    )


def _list(site: str, name: str, outcome: str, kept: KeptOfList) -> ListRecord:
    return ListRecord(site, name, outcome, kept.detail, kept.added, kept.removed, kept.rest)


def describe(recorded: Recorded, installation: Installation) -> str:
    """``recorded as 20240501-120301-4f9a1c in lists:/var/lib/mailman/runbook/journal.jsonl``"""
    return f"recorded as {recorded.run} in {installation.hostname}:{recorded.path}"
