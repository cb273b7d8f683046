"""The program that runs a printed step, on every Python: what it prints, asks and leaves."""

from __future__ import annotations

import grp
import json
import os
import pwd
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks import onhost
from tests.support.connection import Host

ME = pwd.getpwuid(os.getuid())


@pytest.fixture
def host(python: str):
    made = Host(python)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runbook"


def to_run(folder: Path, command: str, **more: Any) -> dict[str, Any]:
    return {
        "action": "run",
        "command": command,
        "asks": "",
        "variable": "",
        "step": {"name": "a-step", "command": command},
        "journal": {
            "folder": str(folder),
            "arguments": ["ban", "target@example.com"],
            "begin": {"command": "steps"},
            "user": ME.pw_name,
            "group": grp.getgrgid(ME.pw_gid).gr_name,
            "run": None,
            "room": 0,
        },
        **more,
    }


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def alter(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Have the program sent with `new` in place of `old`."""
    whole = onhost.source
    altered = whole("stepping").replace(old, new)
    assert altered != whole("stepping")
    monkeypatch.setattr(
        onhost, "source", lambda name: altered if name == "stepping" else whole(name)
    )


def let_go(host: Host) -> list[dict[str, Any]]:
    """End the connection, which is Ctrl-C; what is said until its end."""
    host.process.stdin.close()
    events = host.events()
    host.process.wait()
    host.process.stdout.close()
    return events


def printed(events: list[dict[str, Any]]) -> list[str]:
    return [event["text"] for event in events if event["event"] == "printed"]


def test_what_is_printed_comes_line_by_line_and_is_on_record(host: Host, folder: Path) -> None:
    host.send(to_run(folder, "echo one; echo two@example.com >&2; cat; printf three; exit 3"))
    events = host.events()
    assert printed(events) == ["one\n", "two@example.com\n", "three\n"]
    assert events[-1] == {"event": "stepped", "status": 3, "interrupted": False}
    begin, _, begun, run = journal(folder)
    assert begin["begin"]["command"] == "steps"
    assert begun["step"]["how"] == "begun"
    assert run["step"]["how"] == "run"
    assert run["step"]["status"] == 3
    assert run["step"]["printed"] == "one\n(an address)\nthree\n"


def test_a_run_goes_on_and_ends(host: Host, folder: Path) -> None:
    first = to_run(folder, "true")
    host.send(first)
    recorded = next(event for event in host.events() if event["event"] == "recorded")
    kept = {**first["journal"], "run": recorded["run"], "room": recorded["room"]}
    host.send(to_run(folder, "true", journal=kept))
    host.events()
    end = {"state": "done", "counts": {"run": 2}}
    host.send({"action": "note", "step": None, "end": end, "journal": kept})
    assert host.events() == []
    lines = journal(folder)
    assert {line["run"] for line in lines} == {recorded["run"]}
    assert [next(key for key in line if key != "run") for line in lines] == [
        *("begin", "end", "step", "step", "step", "step")
    ]
    # It has its end, and there is no room for another.
    host.send({"action": "note", "step": None, "end": end, "journal": kept})
    (refused,) = host.events()
    assert refused["event"] == "unrecorded"
    assert "has its end" in refused["why"]


def test_what_cannot_be_recorded_is_not_run(host: Host, folder: Path, tmp_path: Path) -> None:
    folder.write_text("in the way")
    host.send(to_run(folder, f"touch {tmp_path}/done"))
    (refused,) = host.events()
    assert (refused["event"], refused["begun"]) == ("unrecorded", False)
    assert not (tmp_path / "done").exists()


def test_a_secret_is_typed_where_it_is_asked_for_and_hidden(host: Host, folder: Path) -> None:
    ask = "stty -echo < /dev/tty; printf 'Initial password: ' > /dev/tty; read it < /dev/tty;"
    host.send(to_run(folder, f'{ask} echo "it is $it"', asks="password"), b"hunter2 hunter3")
    assert printed(host.events()) == ["it is ***\n", "Initial password: \n"]
    assert "hunter2" not in (folder / "journal.jsonl").read_text()


def test_a_question_that_nobody_expects_gets_the_end_of_input(host: Host, folder: Path) -> None:
    began = time.monotonic()
    ask = "printf 'Password: ' > /dev/tty; if read it < /dev/tty; then echo got; else echo none; fi"
    host.send(to_run(folder, ask))
    assert printed(host.events()) == ["Password: \n", "none\n"]
    assert time.monotonic() - began < 20


def test_a_secret_is_in_the_environment_and_hidden(host: Host, folder: Path) -> None:
    host.send(to_run(folder, 'echo "$S and hunter2"', variable="S"), b"hunter2")
    assert printed(host.events()) == ["*** and ***\n"]


@pytest.mark.parametrize(
    ("command", "said", "status"),
    [
        (
            "trap 'echo trapped; exit 4' INT; echo ready; while :; do sleep 0.1; done",
            ["trapped\n"],
            4,
        ),
        # What a shell runs gets it as well. It says itself that it is ready: dash loses the Ctrl-C
        # that comes just before it starts a program.
        (
            "{python} -c 'import os, signal, time;"
            " signal.signal(signal.SIGINT, signal.SIG_DFL);"
            ' os.write(1, b"ready\\n"); time.sleep(600)\'; true',
            [],
            130,
        ),
    ],
)
def test_the_end_of_the_connection_is_ctrl_c(
    python: str, folder: Path, command: str, said: list[str], status: int
) -> None:
    host = Host(python)
    host.send(to_run(folder, command.replace("{python}", python)))
    while host.hear() != {"event": "printed", "text": "ready\n"}:
        pass
    began = time.monotonic()
    events = let_go(host)
    assert time.monotonic() - began < 8
    assert printed(events) == said
    assert events[-1] == {"event": "stepped", "status": status, "interrupted": True}
    assert journal(folder)[-1]["step"]["how"] == "interrupted"


def test_a_ctrl_c_that_comes_before_the_command_has_its_terminal_is_not_lost(
    python: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter(monkeypatch, "    os.setsid()", "    time.sleep(1); os.setsid()")
    host = Host(python)
    host.send(to_run(folder, "sleep 600"))
    while host.hear() != {"event": "begun"}:
        pass
    began = time.monotonic()
    events = let_go(host)
    assert time.monotonic() - began < 8
    assert events[-1] == {"event": "stepped", "status": 130, "interrupted": True}


def test_what_ignores_ctrl_c_is_ended_all_the_same(
    python: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while: here of no length."""
    alter(monkeypatch, "ENDING = 10", "ENDING = 0.3")
    host = Host(python)
    host.send(to_run(folder, "trap '' INT TERM; echo ready; while :; do sleep 0.1; done"))
    while host.hear() != {"event": "printed", "text": "ready\n"}:
        pass
    events = let_go(host)
    assert events[-1] == {"event": "stepped", "status": 137, "interrupted": True}


def test_nobody_is_waited_for_in_the_background(host: Host, folder: Path) -> None:
    began = time.monotonic()
    host.send(to_run(folder, "sleep 30 & echo done"))
    assert printed(host.events()) == ["done\n"]
    assert time.monotonic() - began < 15


def test_a_long_output_is_kept_in_part(host: Host, folder: Path) -> None:
    host.send(to_run(folder, "seq 20000"))
    events = host.events()
    assert len(printed(events)) == 20000
    kept = journal(folder)[-1]["step"]["printed"]
    assert kept.startswith("1\n2\n")
    assert kept.endswith("20000\n")
    assert "characters left out" in kept
    assert len(kept) < 21_000


def test_asking_prints_what_a_command_says(host: Host) -> None:
    host.send({"action": "ask", "command": "echo it; echo why >&2; exit 2"})
    (answer,) = host.events()
    assert answer == {"event": "answer", "text": "it\n", "complaint": "why\n", "status": 2}
