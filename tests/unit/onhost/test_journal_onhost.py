"""The journal on the host: real files, real writers, and kills, on every Python on the PATH."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.onhost import source
from tests.support.pythons import PYTHONS

#: Loads the modules from memory, as on a host, and runs what follows.
LOAD = """\
import json, os, signal, sys, types
modules, parameters = json.loads(os.environ.pop("TEST_INPUT"))
for name, text in modules:
    sys.modules[name] = module = types.ModuleType(str(name))
    exec(compile(text, name, "exec", 0, True), module.__dict__)
import journal
from boot import native
parameters = native(parameters)
events = []
"""

BEGIN = """
record = journal.begin(parameters, events.append)
"""

REFUSED = """
try:
    journal.begin(parameters, events.append)
except journal.JournalError as e:
    print(e)
"""

READ = """
journal.run(parameters, events.append)
print(json.dumps(events))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runbook"


def start(python: str, code: str, parameters: dict[str, Any], **environment: str) -> Any:
    modules = [(name, source(name)) for name in ("boot", "locks", "journal")]
    given = json.dumps([modules, parameters])
    return subprocess.Popen(
        [python, "-c", LOAD + code],
        env={**os.environ, **environment, "TEST_INPUT": given},
        stdin=subprocess.PIPE,
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(python: str, code: str, parameters: dict[str, Any], **environment: str) -> bytes:
    process = start(python, code, parameters, **environment)
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return bytes(out)


def to_write(folder: Path, *arguments: str, **begin: Any) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "arguments": list(arguments or ("ban", "target@example.com")),
        "begin": {"command": "ban", "login": "alice", **begin},
    }


def read(python: str, folder: Path, **parameters: Any) -> list[dict[str, Any]]:
    out = run(python, READ, {"folders": [str(folder)], **parameters})
    events = json.loads(out)
    assert isinstance(events, list)
    return events


def runs(python: str, folder: Path, **parameters: Any) -> list[dict[str, Any]]:
    return [event for event in read(python, folder, **parameters) if event["event"] == "run"]


def lists_of(python: str, folder: Path, run: str) -> dict[str, str]:
    (found,) = runs(python, folder, wanted=run)
    return {f"{site}/{name}": outcome for site, name, outcome, _ in found["lists"]}


def test_a_run_is_put_together_from_its_lines(python: str, folder: Path) -> None:
    run(
        python,
        BEGIN
        + """
record.begin_list("openstack", "foo")
record.begin_list("zuul", "foo")
record.flush()
record.done("openstack", "foo", "banned", added=["target@example.com"])
record.flush()
record.done("zuul", "foo", "locked")
record.done("zuul", "foo", "error", "disk full")
record.end("interrupted")
""",
        to_write(folder, sites=["openstack", "zuul"]),
    )
    (found,) = runs(python, folder)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", found["run"])
    assert found["state"] == "interrupted"
    assert found["counts"] == {"banned": 1, "error": 1}
    assert found["begin"]["arguments"] == ["ban", "target@example.com"]
    assert found["begin"]["sites"] == ["openstack", "zuul"]
    assert found["ended"] >= found["begin"]["at"]
    (found,) = runs(python, folder, wanted=found["run"])
    assert found["lists"] == [
        ["openstack", "foo", "banned", {"added": ["target@example.com"]}],
        ["zuul", "foo", "error", {"detail": "disk full"}],
    ]


def test_only_its_owner_can_read_it(python: str, folder: Path) -> None:
    run(python, "os.umask(0)" + BEGIN + "record.end()", to_write(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "journal.jsonl").stat().st_mode) == 0o600
    assert sorted(os.listdir(folder)) == ["journal.jsonl"]


def test_what_others_could_read_is_made_private_again(python: str, folder: Path) -> None:
    run(python, BEGIN + "record.end()", to_write(folder))
    folder.chmod(0o2775)
    (folder / "journal.jsonl").chmod(0o664)
    run(python, BEGIN + "record.end()", to_write(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "journal.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("odd", ["folder is a link", "file is a link", "file is a pipe", "no room"])
def test_a_strange_place_is_refused_in_one_line(
    python: str, folder: Path, tmp_path: Path, odd: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if odd == "folder is a link":
        elsewhere.mkdir()
        folder.symlink_to(elsewhere)
    elif odd == "no room":
        folder = tmp_path / "missing" / "runbook"
    else:
        folder.mkdir()
        if odd == "file is a link":
            elsewhere.write_text("kept")
            (folder / "journal.jsonl").symlink_to(elsewhere)
        else:
            os.mkfifo(folder / "journal.jsonl")
    said = run(python, REFUSED, to_write(folder)).decode()
    assert str(folder) in said
    assert said.count("\n") == 1
    assert not elsewhere.is_file() or elsewhere.read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_folder_of_somebody_else_is_refused(python: str, folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, 12345, 12345)
    said = run(python, REFUSED, to_write(folder)).decode()
    assert f"{folder} belongs to user 12345 and not to root" in said


#: A limit on the size of files stands for the disk: it is full `size` bytes from here.
FULL = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def full(after=0):
    size = os.stat(record.path).st_size + after
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
"""


def test_a_full_disk_leaves_no_torn_line(python: str, folder: Path) -> None:
    # The write ends in the middle.
    said = run(
        python,
        BEGIN
        + FULL
        + """
size = os.stat(record.path).st_size
full(50)
record.done("openstack", "foo" * 100, "banned")
try:
    record.flush()
except journal.JournalError as e:
    print("refused: %s" % e)
print(os.stat(record.path).st_size == size)
""",
        to_write(folder),
    ).decode()
    assert "refused: " in said
    assert said.endswith("True\n")
    assert (folder / "journal.jsonl").read_bytes().endswith(b"\n")


def test_the_end_of_a_run_needs_no_room_on_the_disk(python: str, folder: Path) -> None:
    ran = BEGIN + FULL + "record.done('openstack', 'foo', 'banned')\nrecord.flush()\n"
    run(python, ran + "full()\nrecord.end()", to_write(folder))
    run(python, ran + "full()\nrecord.end('interrupted')", to_write(folder))
    found = read(python, folder)
    assert [event["event"] for event in found] == ["found", "run", "run"]
    assert [event["state"] for event in found[1:]] == ["interrupted", "done"]
    assert [event["counts"] for event in found[1:]] == [{"banned": 1}] * 2
    assert all(event["ended"] for event in found[1:])


def test_a_run_that_cannot_begin_leaves_no_record(python: str, folder: Path) -> None:
    code = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
try:
    journal.begin(parameters, events.append)
except journal.JournalError as e:
    print("refused: %s" % e)
"""
    assert run(python, code, to_write(folder)).startswith(b"refused: ")
    assert read(python, folder) == [{"event": "found", "runs": 0}]


def test_a_run_whose_lists_cannot_be_written_any_more_says_so(python: str, folder: Path) -> None:
    run(
        python,
        BEGIN
        + FULL
        + """
record.begin_list("openstack", "foo")
record.begin_list("openstack", "bar")
record.flush()
record.done("openstack", "foo", "banned")
full()
try:
    record.flush()
except journal.JournalError:
    pass
""",
        to_write(folder),
    )
    (found,) = runs(python, folder)
    assert found["state"] == "the journal could not be written"
    assert found["counts"] == {"banned": 1}
    # What became of them is not on record: that is what is said of them.
    assert lists_of(python, folder, found["run"]) == {
        "openstack/bar": "begun",
        "openstack/foo": "begun",
    }


def test_addresses_that_were_no_arguments_are_left_out(python: str, folder: Path) -> None:
    run(
        python,
        BEGIN
        + """
record.done("s", "l", "error", "Target@Example.com, rget@example.com and <bob@example.org> differ")
record.end()
""",
        to_write(folder),
    )
    text = (folder / "journal.jsonl").read_text()
    assert "bob" not in text
    assert "Target@Example.com, (an address) and <(an address)> differ" in text


def test_names_that_are_not_utf8_survive(python: str, folder: Path) -> None:
    run(
        python,
        BEGIN
        + """
name = b"caf\\xe9" if sys.version_info[0] == 2 else b"caf\\xe9".decode("utf-8", "surrogateescape")
record.done("s", name, "banned")
record.end()
""",
        to_write(folder),
    )
    (found,) = runs(python, folder)
    (found,) = runs(python, folder, wanted=found["run"])
    assert found["lists"] == [["s", "caf\udce9", "banned", {}]]


def test_who_is_seen_behind_sudo(python: str, folder: Path) -> None:
    run(
        python,
        BEGIN + "record.end()",
        to_write(folder),
        SUDO_USER="mallory",
        SSH_CONNECTION="192.0.2.7 5 192.0.2.1 22",
    )
    (found,) = runs(python, folder)
    assert found["begin"]["host"]["login"] == "mallory"
    assert found["begin"]["host"]["client"] == "192.0.2.7"


# -- torn lines, kills, many at once ----------------------------------------------------------


def test_a_line_torn_anywhere_is_ignored_and_costs_no_other(folder: Path) -> None:
    python = next(iter(PYTHONS.values()))
    run(python, BEGIN + 'record.done("s", "one", "banned"); record.end()', to_write(folder))
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    check = """
results = []
for cut in range(parameters["from"], parameters["size"]):
    with open(parameters["path"], "wb") as f:
        f.write(WHOLE[:cut])
    found, damaged = journal.read(parameters["write"]["folder"])
    assert not damaged, cut
    before = len(found)
    record = journal.begin(parameters["write"], events.append)
    record.done("s", "two", "banned")
    record.end()
    found, damaged = journal.read(parameters["write"]["folder"])
    results.append([cut, before, len(found), damaged, found[-1].state(), found[-1].lists()])
print(json.dumps(results))
"""
    code = f"WHOLE = {whole!r}\n"
    results = json.loads(
        run(
            python,
            "os.fsync = lambda fd: None\n" + code + check,
            {"from": 1, "size": len(whole), "path": str(path), "write": to_write(folder)},
        )
    )
    assert len(results) == len(whole) - 1
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    for cut, before, after, damaged, state, lists in results:
        complete = sum(end <= cut for end in ends)
        assert before == (complete > 0), cut
        assert (state, lists) == ("done", [["s", "two", "banned", {}]]), cut
        # A line that was complete but for its line feed is whole again with it.
        finished = cut in ends or cut + 1 in ends
        assert damaged == (not finished), cut
        assert after == 1 + (complete > 0 or cut + 1 == ends[0]), cut


#: Begins record after record, and says on standard output what is on record by now.
WRITER = """
n = 0
while True:
    record = journal.begin(parameters, events.append)
    os.write(1, ("begun %s\\n" % record.run).encode())
    for i in range(30):
        name = "list-%d-%d" % (n, i)
        record.begin_list("s", name)
        record.flush()
        record.done("s", name, "banned", added=["target@example.com"] * (i % 7))
        record.flush()
        os.write(1, ("%s %s\\n" % (record.run, name)).encode())
    record.end()
    os.write(1, ("ended %s\\n" % record.run).encode())
    n += 1
"""


def acknowledged(out: bytes) -> Iterator[tuple[str, str]]:
    for line in out.decode().split("\n")[:-1]:
        word, what = line.split()
        yield word, what


def unfinished(out: bytes) -> int:
    """How many lists a writer has said of its last run, if that run cannot have ended."""
    last = out.decode().rpartition("begun ")[2].count("\n") - 1
    return last if 0 < last < 30 else 0


def test_what_is_on_record_survives_a_kill_at_any_moment(python: str, folder: Path) -> None:
    chance = random.Random(6)
    said: list[bytes] = []
    # Until enough was said in runs that were killed: a slow machine says little in a round,
    # and on one processor the kill mostly comes while a run waits for the disk at its end.
    while len(said) < 30 or sum(map(unfinished, said)) <= 20:
        assert len(said) < 600
        writers = [start(python, WRITER, to_write(folder)) for _ in range(2)]
        # The end of a round is counted in what the first has written, not in seconds.
        heard = [writers[0].stdout.readline() for _ in range(chance.randint(1, 31))]
        time.sleep(chance.uniform(0, 0.01))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        rest = [writer.communicate()[0] for writer in writers]
        said += [b"".join(heard) + rest[0], rest[1]]
    events = read(python, folder)
    found = {event["run"]: event for event in events if event["event"] == "run"}
    states = {event["state"] for event in found.values()}
    assert states <= {"done", "killed"}
    assert "killed" in states
    lists: dict[str, dict[str, str]] = {}
    checked = 0
    for out in said:
        for word, what in acknowledged(out):
            if word == "begun":
                assert what in found
            elif word == "ended":
                assert found[what]["state"] == "done"
                assert found[what]["counts"] == {"banned": 30}
            elif found[word]["state"] == "killed":
                if word not in lists:
                    lists[word] = lists_of(python, folder, word)
                assert lists[word][f"s/{what}"] == "banned"
                checked += 1
    assert checked > 20
    # At most the list in hand of each killed run has no outcome.
    for outcomes in lists.values():
        assert sum(outcome == "begun" for outcome in outcomes.values()) <= 1


def test_twenty_at_once(python: str, folder: Path) -> None:
    code = (
        BEGIN
        + """
for i in range(50):
    record.begin_list("s", "list-%d" % i)
    record.flush()
    record.done("s", "list-%d" % i, "banned", added=["x" * 4000])
    record.flush()
record.end()
print(record.run)
"""
    )
    writers = [start(python, code, to_write(folder)) for _ in range(20)]
    ids = []
    for writer in writers:
        out, err = writer.communicate()
        assert writer.returncode == 0, err.decode()
        ids.append(out.decode().strip())
    events = read(python, folder)
    assert [event for event in events if event["event"] == "damaged"] == []
    found = {event["run"]: event for event in events if event["event"] == "run"}
    assert sorted(found) == sorted(set(ids))
    assert len(found) == 20
    for one in found.values():
        assert one["state"] == "done"
        assert one["counts"] == {"banned": 50}
    assert len(lists_of(python, folder, ids[0])) == 50


def test_a_run_that_goes_on_is_told_from_one_that_was_killed(python: str, folder: Path) -> None:
    writer = start(
        python, BEGIN + 'print("ready"); sys.stdout.flush(); sys.stdin.read()', to_write(folder)
    )
    assert writer.stdout.readline() == b"ready\n"
    try:
        assert [one["state"] for one in runs(python, folder)] == ["running"]
    finally:
        writer.kill()
        writer.communicate()
    assert [one["state"] for one in runs(python, folder)] == ["killed"]


#: Somebody empties the journal while a run goes on, and another run begins.
CUT = """
import fcntl
def one():
    record = journal.Record(parameters)
    record.done("s", "one", "banned")
    record.flush()
    return record
def other():
    # Its lines are where the room of the one was.
    record = journal.Record(dict(parameters, begin={"note": "x" * 200}))
    for name in ("two", "three"):
        record.done("s", name * 200, "banned")
        record.flush()
    return record
def cut():
    open(os.path.join(parameters["folder"], journal.NAME), "w").close()
def shown(*records):
    found, damaged = journal.read(parameters["folder"])
    shown = dict((r.run, [bool(r.begin), r.state(), len(r.lists())]) for r in found)
    return [shown.get(record.run, [False, "lost", 0]) for record in records] + [damaged]
class Between(object):
    # os, for the journal: before the call of that number, something happens.
    def __init__(self, number, happens):
        self.left, self.happens = number, happens
    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in ("close", "fstat", "fsync", "ftruncate", "lseek", "read", "write"):
            return real
        def call(*arguments):
            self.left -= 1
            if self.left == 0:
                journal.os = os
                self.happens(name)
            return real(*arguments)
        return call
"""

#: The run began, its state, how many lists it has.
WHOLE_OTHER = [True, "done", 2]


def test_the_end_of_a_run_overwrites_no_other_run_if_the_journal_was_cut(
    python: str, folder: Path
) -> None:
    code = """
first = one()
cut()
second = other()
first.end()
second.end()
print(json.dumps(shown(first, second)))
"""
    found = json.loads(run(python, CUT + code, to_write(folder)))
    assert found == [[False, "done", 0], WHOLE_OTHER, 0]


def test_the_end_of_a_run_is_there_whenever_the_journal_is_cut(python: str, folder: Path) -> None:
    code = """
def strike(name):
    calls.append(name)
    cut()
    with open(first.path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except EnvironmentError:
            return  # another run has to wait
    others.append(other())

results, calls = [], [None]
while calls:
    calls, others = [], []
    first = one()
    journal.os = Between(len(results) + 1, strike)
    first.end()
    journal.os = os
    if not others:
        others.append(other())
    others[0].end()
    results.append(calls + shown(first, others[0]))
    os.unlink(first.path)
print(json.dumps(results[:-1]))
"""
    results = json.loads(run(python, CUT + code, to_write(folder)))
    for call, first, other, _ in results:
        assert other == WHOLE_OTHER, call
        # What was written before the journal is emptied goes with the rest.
        if call not in ("fsync", "close"):
            assert first[1] == "done", call
    calls = [call for call, *_ in results]
    assert {"write", "fsync", "close"} <= set(calls)


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])
def test_a_kill_while_the_end_is_written_costs_no_other_run(
    python: str, folder: Path, is_cut: bool
) -> None:
    code = f"""
results, status = [], None
while status != 0:
    first = one()
    if {is_cut}:
        cut()
    second = other()
    pid = os.fork()
    if pid == 0:
        kill = lambda name: os.kill(os.getpid(), signal.SIGKILL)
        journal.os = Between(len(results) + 1, kill)
        first.end()
        os._exit(0)
    os.close(first.fd)
    status = os.waitpid(pid, 0)[1]
    second.end()
    results.append(shown(first, second))
    os.unlink(second.path)
print(json.dumps(results))
"""
    results = json.loads(run(python, CUT + code, to_write(folder)))
    assert len(results) > 4
    for _, other, damaged in results:
        assert other == WHOLE_OTHER
        assert damaged == 0
    ends = [first for first, *_ in results if first[1] == "done"]
    assert ends[-1] == ([False, "done", 0] if is_cut else [True, "done", 1])
    # From the moment when it is written, nothing takes it away.
    assert [first for first, *_ in results[-len(ends) :]] == ends
    assert len(ends) < len(results)


# -- reading ------------------------------------------------------------------------------------


def test_newest_first_and_no_more_than_asked_for(python: str, folder: Path) -> None:
    run(
        python,
        """
for n in range(7):
    parameters["begin"]["number"] = n
    journal.begin(parameters, events.append).end()
""",
        to_write(folder),
    )
    found = runs(python, folder, limit=3)
    assert [one["begin"]["number"] for one in found] == [6, 5, 4]
    assert read(python, folder, limit=3)[0] == {"event": "found", "runs": 7}


def test_a_run_is_found_by_a_part_of_its_id(python: str, folder: Path) -> None:
    for _ in range(2):
        run(python, BEGIN + "record.end()", to_write(folder))
    one, other = [one["run"] for one in runs(python, folder)]
    assert [r["run"] for r in runs(python, folder, wanted=one)] == [one]
    assert [r["run"] for r in runs(python, folder, wanted=other.split("-")[2])] == [other]
    assert runs(python, folder, wanted="20000101") == []
    both = read(python, folder, wanted=one[:4])
    assert both[-1] == {"event": "ambiguous", "runs": [other, one]}


def test_who_took_a_run_back(python: str, folder: Path) -> None:
    run(python, BEGIN + "record.end()", to_write(folder))
    (first,) = runs(python, folder)
    run(python, BEGIN + "record.end()", to_write(folder, undoes=first["run"]))
    second, first = runs(python, folder)
    assert first["undone_by"] == [second["run"]]
    assert second["undone_by"] == []


def test_a_run_whose_beginning_was_cut_off_is_shown_without_its_addresses(
    python: str, folder: Path
) -> None:
    run(
        python,
        BEGIN
        + """
record.done("s", "all", "banned", added="all")
record.done("s", "one", "banned", added=["target@example.com"])
record.end()
""",
        to_write(folder, addresses=["target@example.com", "other@example.com"]),
    )
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert b'"begin"' in lines[0]
    path.write_bytes(b"".join(lines[1:]))
    (found,) = runs(python, folder)
    assert (found["state"], found["begin"]) == ("done", {})
    (found,) = runs(python, folder, wanted=found["run"])
    assert found["lists"] == [
        ["s", "all", "banned", {"added": []}],
        ["s", "one", "banned", {"added": ["target@example.com"]}],
    ]


def test_no_journal_is_no_trouble(python: str, folder: Path) -> None:
    assert read(python, folder) == [{"event": "found", "runs": 0}]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"{}\n",
        b"\0\xff\xfe\n",
        b'{"run": "20240101-000000-abcdef", "begin": {"at": \n',
        b'{"run": "20240101-000000-abcdef", "lists": {}}\n',
        b'{"run": "20240101-000000-abcdef", "later": {}}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_lines_of_something_else_are_passed_over(python: str, folder: Path, garbage: bytes) -> None:
    run(python, BEGIN + "record.end()", to_write(folder))
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(garbage)
    run(python, BEGIN + "record.end()", to_write(folder))
    assert [one["state"] for one in runs(python, folder) if one["begin"]] == ["done", "done"]
