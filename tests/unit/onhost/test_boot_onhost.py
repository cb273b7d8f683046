"""How what is found on a host becomes JSON, on every Python that Mailman's programs run on."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.onhost import Program, source
from tests.support.connection import Host
from tests.support.processes import is_running

SHOW = """
values = [
    b"caf\\xc3\\xa9", b"caf\\xe9", u"caf\\u00e9", b"", b"\\"\\n\\0", [b"\\xff", (1, None)],
    {b"caf\\xe9": b"caf\\xe9"}, {u"a": [{"b": (b"\\xc3",)}]}, 2.5, True,
]
sys.stdout.write("\\n".join(as_json(value).decode("ascii") for value in values))
"""


def test_bytes_that_are_no_text_come_through(python: str) -> None:
    done = subprocess.run(
        [python, "-c", source("boot") + SHOW], capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in done.stdout.split("\n")] == [
        "café",
        "caf\udce9",
        "café",
        "",
        '"\n\0',
        ["\udcff", [1, None]],
        {"caf\udce9": "caf\udce9"},
        {"a": [{"b": ["\udcc3"]}]},
        2.5,
        True,
    ]


def run(python: str, code: str, bin_dir: Path) -> str:
    """What code prints that runs after the text of the program."""
    return subprocess.run(
        [python, "-c", source("boot") + code],
        env={**os.environ, "RUNBOOK_BIN": str(bin_dir)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_what_mailman_imports_is_imported_once_for_all(python: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    code = """
get_ready()
if fork() == 0:
    print(sorted(set(["email.generator", "mailbox", "random"]) & set(sys.modules)))
else:
    os.wait()
"""
    assert run(python, code, tmp_path / "bin") == "['email.generator', 'mailbox', 'random']\n"


def test_what_mailman_has_of_its_own_is_left_to_it(python: str, tmp_path: Path) -> None:
    for folder in ("bin", "pythonlib/email"):
        (tmp_path / folder).mkdir(parents=True)
    code = """
get_ready()
print([name for name in sys.modules if name.startswith("email.") or name == "mailbox"])
"""
    assert run(python, code, tmp_path / "bin") == "[]\n"


def test_no_two_processes_draw_the_same_random_numbers(python: str, tmp_path: Path) -> None:
    code = """
import random
for _ in range(4):
    if fork() == 0:
        print(random.random())
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""
    assert len(set(run(python, code, tmp_path).split())) == 4


@pytest.fixture
def host(python: str) -> Iterator[Host]:
    made = Host(python)
    yield made
    made.close()


def program(*, lasts: bool = True, **parameters: Any) -> Program:
    return Program("tests.support.telling", parameters, lasts=lasts)


def process(host: Host, **parameters: Any) -> int:
    """Which process runs a program there."""
    (event,) = host.run(program(**parameters))
    return int(event["pid"])


def ends(pid: int) -> bool:
    """Whether a process has ended, or does so soon."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_a_process_that_lasts_runs_the_next_program_of_its_kind(host: Host) -> None:
    first = process(host)
    assert process(host) == first
    # The last one that it runs; it has ended before that is told.
    assert process(host, lasts=False) == first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert process(host, lasts=False) != first


def test_another_kind_of_program_has_a_process_of_its_own(host: Host) -> None:
    first = process(host)
    other = Program("tests.support.telling", {}, environment={"SOME": "thing"}, lasts=True)
    (event,) = host.run(other)
    assert event["pid"] != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_process_that_lasts_and_dies_is_told_and_replaced(host: Host) -> None:
    first = process(host)
    events = host.run(program(die=True))
    assert events == [
        {"event": "process", "pid": first},
        {"event": "failed", "error": "it was killed by signal 9"},
    ]
    # One that dies between two programs has nothing in hand.
    second = process(host)
    assert second != first
    os.kill(second, 9)
    while is_running(second):
        time.sleep(0.01)
    assert process(host) != second


def test_a_process_that_lasts_ends_with_the_connection(host: Host) -> None:
    first = process(host)
    host.process.stdin.close()
    assert ends(first)
