"""The state of a container: kept, put back, and compared."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from typing import Any

from runbooks.book.whose import whose
from runbooks.testing.containers.box import Box

State = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """All that differed from a clean container, to be put back."""

    archive: bytes
    removed: tuple[str, ...]
    changes: dict[str, str]


def keep(box: Box) -> Kept:
    """Hard links and times are kept as well: they are what a lock is made of."""
    changes = box.changes()
    there = [path for path, what in changes.items() if what != "removed"]
    done = box.run(
        ["tar", "--create", "--no-recursion", "--numeric-owner", "--null", "-P", "-T", "-"],
        stdin="".join(f"{path}\0" for path in sorted(there)),
    )
    assert done.rc == 0, done.stderr
    return Kept(
        archive=done.stdout.encode("utf-8", "surrogateescape"),
        removed=tuple(path for path, what in changes.items() if what == "removed"),
        changes=changes,
    )


def put_back(box: Box, kept: Kept) -> None:
    """Make the container what it was. Read back."""
    box.reset()
    for path in sorted(kept.removed, reverse=True):
        done = box.run(["rm", "-rf", "--", path])
        assert done.rc == 0, done.stderr
    done = box.run(["tar", "--extract", "--numeric-owner", "-p", "-P"], stdin=kept.archive)
    assert done.rc == 0, done.stderr
    assert box.changes() == kept.changes


def state(box: Box) -> State:
    """What a procedure may have changed, with the process ids taken out of the names of locks."""
    found: State = {}
    for path, what in box.changes().items():
        if re.fullmatch("|".join(IGNORED), path):
            continue
        name = re.sub(r"(/locks/.*)\.\d+\.\d+$", r"\1.PID.SEQ", path)
        found[name] = what if what == "removed" else _content(box, path)
    return found


#: Attributes of a list that are times.
TIMES = ("created_at",)

#: Times, what is kept from before a change, the record that the way by command leaves, and mail on
#: its way, as that to the owner of a list that Puppet has made: its name is a time and a hash.
IGNORED = (
    rf"{re.escape(whose().mailman.sites)}/[^/]+/runbook(/.*)?",
    r"/var/lib/mailman/runbook(/.*)?",
    r"/var/log/mailman(/.*)?",
    r".*/logs(/.*)?",
    r".*/qfiles(/.*)?",
    r"/var/(cache|lib|log)/puppet(/.*)?",
    r".*/config\.pck\.last",
    r".*\.pyc",
    r".*/__pycache__",
)


def _content(box: Box, path: str) -> Any:
    if box.run(["test", "-d", path]).rc == 0:
        return "a folder"
    if "/locks/" in path:
        return re.sub(r"\.\d+\.\d+$", ".PID.SEQ", box.read(path).strip())
    content = box.read_bytes(path)
    if path.endswith("config.pck"):
        attributes = pickle.loads(content, encoding="latin1")
        return {k: "a time" if k in TIMES else v for k, v in attributes.items()}
    # What Puppet writes into a file of its own accord.
    return re.sub(rb"(?m)^(# HEADER: .* at ).*", rb"\1TIME", content)


def lists(found: State) -> State:
    """What lists hold."""
    return {path: content for path, content in found.items() if path.endswith("/config.pck")}


def differences(
    one: State, other: State, first: str = "by hand", second: str = "by command"
) -> list[str]:
    """What differs, a line each: the path, and what there is in `one` and in the other."""
    found = []
    for path in sorted(one.keys() | other.keys()):
        a, b = one.get(path, "nothing"), other.get(path, "nothing")
        if isinstance(a, dict) and isinstance(b, dict):
            found += [
                f"{path}: {key} is {_short(a.get(key))} {first} and {_short(b.get(key))} {second}"
                for key in sorted(a.keys() | b.keys())
                if a.get(key) != b.get(key)
            ]
        elif a != b:
            found.append(f"{path}: {_short(a)} {first} and {_short(b)} {second}")
    return found


def _short(value: Any) -> str:
    text = (
        "a list" if isinstance(value, dict) else str(value) if value == "nothing" else repr(value)
    )
    return text if len(text) < 200 else text[:199] + "…"
