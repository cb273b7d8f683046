"""Adding a list, by command: make it where Puppet does not, and finish it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.add_list.check import Seen, Wanted, with_aliases
from runbooks.errors import LostError
from runbooks.mailman import events, journal
from runbooks.mailman.events import Event, Looked, Outcome, Recorded
from runbooks.mailman.installation import Installation, Site
from runbooks.mailman.target import LockEvidence


@dataclass
class Report:
    """What became of a list that was created or corrected."""

    outcome: Outcome = Outcome.ERROR
    detail: str = ""
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()
    #: the description that was replaced, where it was
    description_was: str | None = None
    #: entries that the ban list got
    added: tuple[str, ...] = ()
    #: the list, read again
    seen: Seen | None = None
    recorded: Recorded | None = None
    #: the record could not be finished, and why
    unrecorded: str = ""

    @property
    def is_done(self) -> bool:
        as_asked = (Outcome.CREATED, Outcome.CHANGED, Outcome.ALREADY)
        done = self.outcome in as_asked and not self.unrecorded
        return done and self.seen is not None and self.seen.is_good


def carry_out(
    installation: Installation,
    site: Site,
    wanted: Wanted,
    *,
    password: bytes = b"",
    timeout: float,
    arguments: Sequence[str] = (),
) -> Report:
    """Create the list, when there is a password; set description and bans; read them back.

    `timeout`: seconds for the list's lock. `arguments`: the command line, for the journal.
    The host ends what it has begun, also after Ctrl-C: the report tells what became of it, and
    LostError is raised when that was not heard. Raises JournalError when the run cannot be
    recorded; then nothing was changed.
    """
    report = Report()
    evidence = LockEvidence()
    found: Looked | None = None
    options: list[str] = []
    if isinstance(wanted.web_host, str):
        options += ["-u", wanted.web_host]
    if isinstance(wanted.mail_host, str):
        options += ["-e", wanted.mail_host]
    parameters: dict[str, object] = {
        "action": "carry out",
        "site": site.on_host(installation, None),
        "list": wanted.name,
        "create": bool(password),
        "admin": wanted.admin if isinstance(wanted.admin, str) else "",
        "options": options,
        "description": wanted.description if isinstance(wanted.description, str) else None,
        "bans": True,
        # For Mailman, 0 is no limit.
        "timeout": max(timeout, 0.5),
        "secret": len(password),
        "journal": journal.parameters(
            installation,
            "add-list",
            arguments or ("add-list", wanted.name),
            sites=[site],
            list=wanted.name,
        ),
    }

    def hear(event: Event) -> None:
        nonlocal found
        match event:
            case events.Recorded() | events.Unrecorded():
                report.recorded = journal.heard(event) or report.recorded
                report.unrecorded = journal.stopped_why(event) or report.unrecorded
            case events.Locks():
                evidence.hear(event)
            case events.ListEvent():
                report.outcome, report.detail = event.outcome, event.detail
                report.description_was, report.added = event.description_was, event.added
            case Looked():
                found = event

    try:
        installation.call("adding", parameters, hear, password)
    except (KeyboardInterrupt, LostError) as e:
        if not found:
            raise _unheard(e, installation, site, wanted.name) from None
    if report.outcome == "locked":
        report.detail = evidence.describe(site.name, wanted.name)
        again = ("add-list", wanted.name, "--fix")
        report.help = evidence.help(site.name, wanted.name, again=again)
    if found:
        seen = Seen(site, wanted, found, version=installation.version)
        report.seen = with_aliases(installation, seen)
    return report


def _unheard(why: BaseException, installation: Installation, site: Site, name: str) -> LostError:
    """What to say when it is not known what became of a list.

    Not to repeat the command: where the list was created, that is refused.
    """
    only = ("--site", site.name) if len(installation.sites) > 1 else ()
    check = installation.host.command(("add-list", name, "--check", *only))
    said = str(why) or "interrupted"
    return LostError(
        f"{said}; what the host has begun it ends: '{check}' shows how the list stands"
    )
