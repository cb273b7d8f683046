"""Takes back what a run did to ban lists, descriptions and members, on those lists alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from runbooks.errors import BadInputError
from runbooks.mailman import stepping
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import Installation, as_mailman
from runbooks.mailman.journal import ListRecord, Run
from runbooks.mailman.target import Target, invocation
from runbooks.mailman.work import Answer, Hints, Watch, Work, over_lists, recorded

#: Commands whose runs change ban lists, descriptions or members.
COMMANDS = ("ban", "unban", "unsubscribe", "undo", "add-list")

#: Those of them whose record does not say what they would have done to a list that they had in
#: hand when they were killed.
_SAY_NOT_ENOUGH = ("add-list", "undo")

#: So many members of a list are named.
_NAMED = 5

#: By site and list: what the run did there, as the on-host program wants it.
Entries = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Plan:
    """What there is left to take back."""

    target: Target
    entries: Entries
    seen: Work
    #: lists that were begun, and no more is on record: nobody knows whether the run changed them
    unknown: frozenset[tuple[str, str]]
    #: sites that the run changed and that the host does not have any more
    sites_gone: tuple[str, ...]

    @cached_property
    def to_do(self) -> list[Answer]:
        """The lists on which something is to be done, as they were seen."""
        return [answer for answer in self._remaining if not self._is_unknown(answer)]

    @cached_property
    def left(self) -> list[Answer]:
        """What is not taken back: what cannot be read, what somebody changed since, what the run
        may not have changed."""
        gone = [
            Answer(site, None, Outcome.GONE, "the host no longer has this site")
            for site in self.sites_gone
        ]
        since = [
            self._since(one)
            for one in self.seen.answers
            if is_changed_since(one) or one.said.subscribed_since
        ]
        doubtful = [self._doubt(one) for one in self._remaining if self._is_unknown(one)]
        return [*gone, *self.seen.left, *since, *doubtful]

    @property
    def _remaining(self) -> list[Answer]:
        return [
            answer
            for answer in self.seen.answers
            if answer.said.take_out
            or answer.said.put_back
            or answer.said.describe is not None
            or answer.said.set
            or answer.said.returning
            or answer.said.leaving
        ]

    def _is_unknown(self, answer: Answer) -> bool:
        return (answer.site, answer.list) in self.unknown

    def _since(self, answer: Answer) -> Answer:
        if members := answer.said.subscribed_since:
            some = ", ".join(members[:_NAMED]) + (", …" if len(members) > _NAMED else "")
            why = f"somebody subscribed or changed since, and left so: {some}"
        elif answer.said.set_since:
            why = f"somebody changed {', '.join(answer.said.set_since)} since"
        else:
            was = self.entries[answer.site][str(answer.list)]["description_was"]
            why = f"somebody changed its description since: it was {was!r} before the run"
        return replace(answer, outcome=Outcome.CHANGED_SINCE, detail=why)

    def _doubt(self, answer: Answer) -> Answer:
        said, only = answer.said, Hints(self.target).only(answer)
        verb, has = ("unban", "has") if said.take_out else ("ban", "does not have")
        entries = said.take_out or said.put_back
        more = f" and {len(entries) - 1:,} more" if len(entries) > 1 else ""
        why = (
            f"the run did not record what became of this list; it {has} {entries[0]}{more},"
            " perhaps since before"
        )
        help = invocation(verb, *entries, options=("--list", str(answer.list), *only))
        return replace(answer, outcome=Outcome.UNKNOWN, detail=why, help=help)


def is_changed_since(answer: Answer) -> bool:
    """Whether the run set the description, or an attribute, of a list, and somebody else since."""
    return answer.said.described_since is not None or bool(answer.said.set_since)


def check(run: Run, installation: Installation) -> None:
    """Raise BadInputError for a run that cannot be taken back this way, with what helps instead."""
    if run.command == "clear-lock":
        why = "a lock whose process is gone has nobody to give it back to"
    elif run.command == stepping.COMMAND:
        why = "what printed steps change is not on record"
    elif run.command not in COMMANDS and not changed(run):
        why = f"{run.command!r} is none of: {', '.join(COMMANDS)}, withlist"
    elif run.state == "running":
        raise BadInputError(f"run {run.id} is still at work: wait for it")
    else:
        why = _of_no_use(run, installation)
    if why:
        raise BadInputError(f"run {run.id} cannot be taken back: {why}")


def _of_no_use(run: Run, installation: Installation) -> str:
    """Why the record of a run of one of `COMMANDS` does not say how to take it back, or ""."""
    host = installation.host.option
    for one in run.lists:
        if "take_back" in one.more:
            remove = ["rmlist", "-a", one.list]
            site = next((site for site in installation.sites if site.name == one.site), None)
            line = as_mailman(installation, site, *remove) if site else shlex.join(remove)
            return (
                f"it created the list {one.list}, which may have members and archives by now;"
                f" to remove it with all of them: {line}"
            )
        if one.outcome == "begun" and run.command in _SAY_NOT_ENOUGH:
            helps = f"complete it first: runbook {run.typed}"
            if run.command == "add-list":
                helps = f"see how it stands with: runbook add-list {one.list} --check{host}"
            elif run.command == "undo":
                helps = f"complete it first: runbook undo {run.undoes}{host}"
            return (
                f"it was killed while it worked on {one.list}, and what it did there is not on"
                f" record; {helps}"
            )
    return ""


def changed(run: Run) -> list[ListRecord]:
    """The lists that the run changed, or may have changed, in a way that can be taken back."""
    return [
        one
        for one in run.lists
        if one.added
        or one.removed
        or one.more.keys() & {"description_set", "set", "subscribers"}
        or one.outcome == "begun"
        or _may_unsubscribe(run, one)
    ]


def _may_unsubscribe(run: Run, one: ListRecord) -> bool:
    """Whether it may have removed members, or put some back, on a list in trouble.

    Unless it had not come so far, it kept what it was about to take out, or to put back: whatever
    of that is not as it was before was changed by it.
    """
    in_trouble = one.outcome in ("begun", "error") and "subscribers" not in one.more
    return in_trouble and run.command in ("unsubscribe", "undo")


def look(target: Target, run: Run) -> Plan:
    """See what there is to take back. One command; changes nothing on the host.

    Raises BadInputError for a run that cannot be taken back.
    """
    check(run, target.installation)
    known = {site.name for site in target.installation.sites} | set(target.installation.silent)
    entries: Entries = {}
    for one in changed(run):
        if one.site in known:
            if _may_unsubscribe(run, one):
                one = replace(one, more={**one.more, "subscribers": None})
            supposed = _supposed(run, one) if one.outcome == "begun" else one
            entries.setdefault(one.site, {})[one.list] = _entry(supposed)
    parameters = {"action": "look", "entries": entries} | _kept_by(run)
    seen = over_lists(
        _holding(target, entries), "undoing", parameters, (Outcome.LOOKED, Outcome.GONE)
    )
    return Plan(
        target=target,
        entries=entries,
        seen=seen,
        unknown=frozenset(
            (one.site, one.list)
            for one in run.lists
            if one.outcome == "begun" and not _may_unsubscribe(run, one)
        ),
        sites_gone=tuple(sorted({one.site for one in changed(run)} - known)),
    )


def _supposed(run: Run, one: ListRecord) -> ListRecord:
    """What a run that was killed would have done to a list that it had in hand."""
    if "subscribers" in one.more:
        return one
    entries = run.addresses
    if run.command == "ban":
        return ListRecord(one.site, one.list, one.outcome, added=entries)
    return ListRecord(one.site, one.list, one.outcome, removed=entries)


def _entry(one: ListRecord) -> dict[str, Any]:
    return {
        "added": list(one.added),
        "removed": list(one.removed),
        "description_was": one.more.get("description_was"),
        "description_set": one.more.get("description_set"),
        "set": one.more.get("set", {}),
        # how many of each kind; None where nobody knows whether there are any
        "subscribers": one.more.get("subscribers", {}),
    }


def _kept_by(run: Run) -> dict[str, object]:
    """Where the on-host program finds the members that the run removed."""
    return {"folder": os.path.dirname(run.path), "undoes": run.id}


def _holding(target: Target, entries: Entries) -> Target:
    return target.on({site: sorted(lists) for site, lists in entries.items()})


def undo(
    target: Target,
    run: Run,
    plan: Plan,
    arguments: Sequence[str] = (),
    watch: Watch | None = None,
) -> Work:
    """Take it back, and read it back. One command, which leaves a record of its own.

    Ctrl-C lets the lists in hand be finished. Raises JournalError when the record cannot be
    written; then nothing was changed.
    """
    entries: Entries = {}
    for answer in plan.to_do:
        entry = plan.entries[answer.site][str(answer.list)]
        if is_changed_since(answer):  # it stays, and the plan names it
            stays = answer.said.set_since
            set_now = {name: of for name, of in entry["set"].items() if name not in stays}
            entry = {**entry, "set": set_now}
            if answer.said.described_since is not None:
                entry["description_set"] = None
        entries.setdefault(answer.site, {})[str(answer.list)] = entry
    target = _holding(target, entries)
    parameters = {
        "action": "undo",
        "entries": entries,
        "journal": recorded(target, "undo", arguments or ("undo", run.id), undoes=run.id),
    } | _kept_by(run)
    done = (Outcome.UNDONE, Outcome.ALREADY, Outcome.GONE)
    hints = Hints(target, lambda options: ("undo", run.id))
    return over_lists(target, "undoing", parameters, done, watch=watch, hints=hints)
