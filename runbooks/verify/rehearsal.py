"""The steps that call a function of a pasted script, gone through on copies of the lists.

It is what ``runbook withlist --dry-run`` does, with one script that goes through all steps of a
procedure, in their order, on the same copy: a later step sees what an earlier one did. What each
list has is kept before and after each step, so that what was printed can be judged as anywhere.
"""

from __future__ import annotations

import base64
import json
import secrets
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from runbooks.book import expected
from runbooks.book.procedure import Step
from runbooks.book.shell import Simple
from runbooks.mailman import events
from runbooks.mailman.events import Event, Outcome
from runbooks.mailman.target import Target
from runbooks.mailman.truth import ATTRIBUTES, Listing, Look, Shell, Truth
from runbooks.mailman.work import over_lists
from runbooks.onhost import source
from runbooks.verify.here import Here, check

#: A list, by its site and name.
Key = tuple[str, str]


@dataclass(frozen=True)
class Call:
    """A function of a script, as a step has ``withlist`` call it."""

    site_dir: str
    #: None: every list of the site
    list: str | None
    module: str
    function: str
    arguments: tuple[str, ...]


def call_of(simple: Simple, scripts: Collection[str]) -> Call | None:
    """What a simple command has ``withlist`` call, when it is of one of `scripts`."""
    words = list(simple.texts)
    if not any(PurePosixPath(word).name == "withlist" for word in words) or "-r" not in words:
        return None
    at = words.index("-r") + 1
    module, _, function = words[at].partition(".")
    if module not in scripts:
        return None
    rest = [word for word in words[at + 1 :] if word != "--"]
    name = None if "-a" in words else rest.pop(0)
    folder = next(word.partition("=")[2] for word in words if word.startswith("MAILMAN_SITE_DIR="))
    return Call(folder, name, module, function or module, tuple(rest))


def scripts_of(steps: Iterable[Step]) -> dict[str, str]:
    """The scripts that steps have a reader paste, by their names as modules."""
    made = [step.creates for step in steps if step.creates]
    paths = [(PurePosixPath(file.path), file.content) for file in made]
    return {path.stem: content for path, content in paths if path.suffix == ".py"}


@dataclass
class _OfList:
    """What became of a list: by the number of a step, what was printed, and what it had then."""

    first: Mapping[str, Any] | None = None
    states: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    printed: dict[int, str] = field(default_factory=dict)
    #: the last step that was begun
    begun: int = -1
    error: str = ""

    def had(self, before: int) -> Mapping[str, Any] | None:
        """What it had before the step of that number."""
        earlier = [number for number in self.states if number < before]
        return self.states[max(earlier)] if earlier else self.first


@dataclass(frozen=True)
class Rehearsal:
    """What came of it."""

    here: Here
    shell: Shell
    calls: Sequence[Call]
    #: where the procedure itself begins; before that is the one that leaves what it begins with
    start: int
    lists: Mapping[Key, _OfList]

    def fault(self, number: int, shows: str) -> str:
        """What is wrong with what the call of that number printed; "" when nothing is."""
        call = self.calls[number]
        site = self.here.site(call.site_dir)
        assert site
        printed = ""
        # A function that looks at other lists as well finds those as they are on the server.
        copies = {
            key: one
            for key, one in self.lists.items()
            if key[0] == site.name and call.list in (None, key[1])
        }
        for (_, name), one in copies.items():
            if one.error and one.begun <= number:
                return f"on a copy of the list {name}: {one.error}"
            printed += one.printed.get(number, "")

        def look(before: int) -> Look:
            """What was true before the call of that number."""
            had = {key: one.had(before) for key, one in copies.items()}
            changed = {key: Listing(*key, has) for key, has in had.items() if has is not None}
            lists = {**self.here.lists, **changed}
            return Look(self.here.found, self.shell).know(lists.values())

        truth = Truth(self.here.found, look(self.start), look(number), look(number + 1))
        return expected.fault(shows, printed, truth)


def rehearse(
    target: Target,
    here: Here,
    shell: Shell,
    calls: Sequence[Call],
    scripts: Mapping[str, str],
    addresses: Collection[str],
    start: int = 0,
) -> Rehearsal:
    """Go through `calls` on copies of the lists of `target`, which stay as they are.

    The first `start` of them are those of another procedure.
    """
    mark = f"@@{secrets.token_hex(8)}"
    order = {
        "mark": mark,
        "steps": [asdict(call) for call in calls],
        "modules": dict(scripts),
        "attributes": ATTRIBUTES,
        "addresses": sorted(addresses),
    }
    heard: dict[Key, list[str]] = defaultdict(list)

    def hear(event: Event) -> None:
        if isinstance(event, events.Output):
            heard[event.site, event.list].append(event.text)

    text = f"{source('seen')}\n{source('rehearsed')}".encode()
    parameters = {
        "script": base64.b64encode(text).decode("ascii"),
        "filename": "rehearsed.py",
        "module": "rehearsed",
        "function": "rehearse",
        "arguments": [json.dumps(order)],
        "lock": False,
        "secret": 0,
        "action": "rehearse",
    }
    done = (Outcome.UNCHANGED, Outcome.PLANNED)
    work = over_lists(target, "scripting", parameters, done, on_event=hear)
    check(work)
    lists = {}
    for answer in work.answers:
        key = answer.site, str(answer.list)
        lists[key] = _read("\n".join(heard[key]), mark)
        if answer.outcome not in done:
            lists[key].error = answer.detail
    return Rehearsal(here, shell, calls, start, lists)


def _read(text: str, mark: str) -> _OfList:
    """What a list had and printed, from what its rehearsal printed."""
    found = _OfList()
    kind, packed, printed = "", "", ""
    for line in [*text.split("\n"), f"{mark} end "]:
        if not line.startswith(mark):
            printed += f"{line}\n"
            continue
        _, new, piece = line.split(" ", 2)
        if new == "more":
            packed += piece
            continue
        if kind:
            value = json.loads(zlib.decompress(base64.b64decode(packed)))
            if kind == "begin":
                found.begun = value
                # A line feed of ours stands before the mark.
                found.printed[value] = printed[:-1]
            elif found.begun < 0:
                found.first = value
            else:
                found.states[found.begun] = value
        kind, packed, printed = new, piece, ""
    return found
