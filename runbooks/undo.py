"""Takes back what a run did to ban lists, on the lists that it changed and on no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runbooks import journal
from runbooks.errors import BadInputError
from runbooks.journal import ListRecord, Run
from runbooks.target import Target
from runbooks.work import Answer, Work, over_lists

#: Commands whose runs put entries into ban lists, or take them out.
COMMANDS = ("ban", "unban", "undo")

_MODULES = ("journal", "lists", "locks", "ban", "banning", "undoing")


@dataclass(frozen=True)
class Plan:
    """What there is left to take back."""

    #: by site and list: the entries that the run put into the ban list, and those it took out
    entries: dict[str, dict[str, tuple[list[str], list[str]]]]
    seen: Work
    #: lists that the run had in hand when it was killed: nobody knows whether it changed them
    unknown: frozenset[tuple[str, str]]
    #: sites that the run changed and that the host does not have any more
    sites_gone: tuple[str, ...]

    @property
    def to_do(self) -> list[Answer]:
        """The lists on which something is to be done, as they were seen."""
        return [
            answer
            for answer in self.seen.answers
            if _left(answer) and (answer.site, answer.list) not in self.unknown
        ]

    @property
    def doubtful(self) -> list[Answer]:
        """Lists that the run may have changed, and that show it."""
        return [
            answer
            for answer in self.seen.answers
            if _left(answer) and (answer.site, answer.list) in self.unknown
        ]

    @property
    def troubled(self) -> list[Answer]:
        return [a for a in self.seen.answers if a.outcome in ("corrupt", "locked", "error")]


def _left(answer: Answer) -> bool:
    return bool(answer.said.get("take_out") or answer.said.get("put_back"))


def check(run: Run) -> None:
    """Raise BadInputError for a run that cannot be taken back this way, with what helps instead."""
    if run.command not in COMMANDS:
        instead = {
            "add-list": "a list that was added is removed with rmlist, which this does not do",
            "clear-lock": "a lock whose process is gone has nobody to give it back to",
        }.get(run.command, f"{run.command!r} is none of: {', '.join(COMMANDS)}, withlist")
        raise BadInputError(f"run {run.id} cannot be taken back: {instead}")
    if run.state == "running":
        raise BadInputError(f"run {run.id} is still at work: wait for it")


def look(target: Target, run: Run) -> Plan:
    """See what there is to take back. One command; changes nothing on the host."""
    check(run)
    known = {site.name for site in target.installation.sites}
    changed = [one for one in run.lists if one.added or one.removed]
    begun = [_supposed(run, one) for one in run.lists if one.outcome == "begun"]
    entries: dict[str, dict[str, tuple[list[str], list[str]]]] = {}
    for one in [*changed, *begun]:
        if one.site in known:
            of_site = entries.setdefault(one.site, {})
            of_site[one.list] = ([*one.added], [*one.removed])
    seen = over_lists(
        target.installation, _MODULES, _parameters(target, entries) | {"action": "look"}
    )
    return Plan(
        entries=entries,
        seen=seen,
        unknown=frozenset((one.site, one.list) for one in begun),
        sites_gone=tuple(sorted({one.site for one in changed} - known)),
    )


def _supposed(run: Run, one: ListRecord) -> ListRecord:
    """What a run that was killed would have done to a list that it had in hand."""
    address = str(run.more.get("address", ""))
    entries = (address,) if address else ()
    if run.command == "ban":
        return ListRecord(one.site, one.list, one.outcome, added=entries)
    return ListRecord(one.site, one.list, one.outcome, removed=entries)


def _parameters(
    target: Target, entries: dict[str, dict[str, tuple[list[str], list[str]]]]
) -> dict[str, object]:
    target = Target(
        target.installation,
        tuple(site for site in target.installation.sites if site.name in entries),
        jobs=target.jobs,
        timeout=target.timeout,
    )
    return target.parameters({site: sorted(lists) for site, lists in entries.items()}) | {
        "entries": entries
    }


def undo(
    target: Target,
    run: Run,
    plan: Plan,
    arguments: Sequence[str] = (),
    on_answer: Callable[[Answer], None] = lambda answer: None,
    on_waiting: Callable[[int, float], None] = lambda lists, seconds: None,
) -> Work:
    """Take it back, and read it back. One command, which leaves a record of its own.

    Ctrl-C lets the lists in hand be finished. Raises JournalError when the record cannot be
    written; then nothing was changed.
    """
    entries: dict[str, dict[str, tuple[list[str], list[str]]]] = {}
    for answer in plan.to_do:
        of_site = entries.setdefault(answer.site, {})
        of_site[answer.list] = plan.entries[answer.site][answer.list]
    parameters = _parameters(target, entries) | {
        "action": "undo",
        "journal": journal.parameters(
            target.installation,
            "undo",
            arguments or ("undo", run.id),
            sites=[site for site in target.installation.sites if site.name in entries],
            undoes=run.id,
        ),
    }
    return over_lists(
        target.installation, _MODULES, parameters, on_answer, on_waiting, again=("undo", run.id)
    )
