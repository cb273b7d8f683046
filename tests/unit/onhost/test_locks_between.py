"""Whatever happens between two system calls of the on-host program for locks.

A process of Mailman may take, push, break or release a lock at any of these moments. Here
something happens before each of them that a schedule names.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.mailman.locks import Observation, examine, removable
from runbooks.onhost import locks as onhost

HOST = socket.gethostname()
LOCKS = ("alpha.lock", "beta.lock")
#: These look at a file or a process, or change a file.
CALLS = ("close", "fstat", "kill", "link", "listdir", "lstat", "open", "read", "rename", "unlink",
         "utime")  # fmt: skip


@pytest.fixture(scope="module")
def pids() -> list[int]:
    """Two processes that have ended, and one that lives and is not this one."""
    ended = [subprocess.Popen(["true"]) for _ in range(2)]
    for process in ended:
        process.wait()
    return [*(process.pid for process in ended), os.getppid()]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """What is the same in all looks is found out once, and other containers are not searched."""
    clock, zero = onhost.clock(), onhost.boot_time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onhost, "clock", lambda: clock)
        patch.setattr(onhost, "boot_time", lambda: zero)
        patch.setattr(onhost, "pause", lambda seconds: None)
        patch.setattr(onhost, "all_pids", list)
        patch.setattr(onhost, "GUARD", 0.1)
        yield


#: Deed, lock, process, number.
Event = tuple[str, str, int, int]


class World:
    """`os`, with a lock folder in which something happens before some of the calls."""

    def __init__(self, folder: Path, pids: list[int], events: dict[int, list[Event]]):
        self.folder = folder
        self.pids = pids
        self.events = events
        self.calls = 0
        self.put_back: set[int] = set()
        self.taken_from_the_living: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self.between(name, real) if name in CALLS else real

    def between(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if name == "unlink":
                self.judge(Path(os.fsdecode(args[0])))
            for event in self.events.get(self.calls, ()):
                self.do(*event)
            self.calls += 1
            answer = real(*args, **options)
            if name == "link":
                self.put_back.add(os.lstat(args[0]).st_ino)
            return answer

        return call

    def judge(self, path: Path) -> None:
        """The program may only unlink what belongs to the dead, or what it has put back."""
        with contextlib.suppress(OSError):
            whose = path.read_text()
            if f".{self.pids[2]}." in whose and path.lstat().st_ino not in self.put_back:
                self.taken_from_the_living.append(whose)

    def do(self, deed: str, lock: str, who: int, seq: int) -> None:
        path = self.folder / lock
        claim = self.folder / f"{lock}.{HOST}.{self.pids[who]}.{seq}"
        later = (time.time() + 3600,) * 2
        for part in DEEDS[deed]:
            with contextlib.suppress(OSError):
                if part == "claim":
                    claim.write_text(str(claim))
                    os.utime(claim, later)
                elif part == "link":
                    os.link(claim, path)
                elif part == "push":
                    os.utime(path, later)
                elif part == "unlink":
                    path.unlink()
                elif part == "forget":
                    claim.unlink()
                else:
                    path.write_text("")


#: What a process does to its lock, at once or in part.
DEEDS = {
    "take": ("claim", "link"),
    "wait": ("claim",),
    "link": ("link",),
    "release": ("unlink", "forget"),
    "release the lock": ("unlink",),
    "forget its claim": ("forget",),
    "break": ("push", "unlink", "forget"),
    "take over": ("push", "unlink", "claim", "link"),
    "push": ("push",),
    "empty": ("empty",),
}
HELD = [("take", "alpha.lock", 0, 0), ("wait", "alpha.lock", 1, 0)]
#: A deed, the lock, the process (the third is alive), and the number in the claim's name.
EVENTS = st.tuples(
    st.sampled_from(sorted(DEEDS)),
    st.sampled_from(LOCKS),
    st.integers(0, 2),
    st.sampled_from([0, 2]),
)


@pytest.mark.parametrize("who", range(3), ids=["its process", "another", "a living one"])
@pytest.mark.parametrize("deed", sorted(DEEDS))
def test_one_event_at_any_moment(deed: str, who: int, pids: list[int]) -> None:
    moment, calls = 0, 1
    while moment < calls:
        calls = look_and_remove(pids, HELD, {moment: [(deed, "alpha.lock", who, 0)]})
        moment += 1
    assert moment > 30


@given(
    before=st.lists(EVENTS, max_size=4),
    events=st.dictionaries(st.integers(0, 80), st.lists(EVENTS, max_size=2), max_size=6),
)
def test_several_events(
    before: list[Event], events: dict[int, list[Event]], pids: list[int]
) -> None:
    look_and_remove(pids, HELD + before, events)


def look_and_remove(pids: list[int], before: list[Event], events: dict[int, list[Event]]) -> int:
    """Look, remove what may be removed, and check both. Returns the number of calls."""
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        world = World(Path(made), pids, events)
        for event in before:
            world.do(*event)
        patch.setattr(onhost, "os", world)
        seen = Observation.from_json(json.loads(json.dumps(onhost.observe(made, 18000))))
        told = [lock.order() for lock in examine(seen) if removable(lock)]
        answers = list(onhost.remove(made, json.loads(json.dumps(told))))
        calls = world.calls
        assert len(answers) == len(told)
        for answer in answers:
            assert answer["result"] in ("removed", "gone", "changed", "refused", "failed")
            assert "another clear-lock" not in (answer["reason"] or "")  # there is none
        assert world.taken_from_the_living == []
        # Nothing happens any more: what is shown is what is there.
        world.events = {}
        seen = onhost.observe(made, 18000)
        assert [entry["name"] for entry in seen["entries"]] == sorted(os.listdir(made))
    return calls
