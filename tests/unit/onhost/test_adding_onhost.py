"""What add-list runs on the host, on every Python on the PATH: aliases, descriptions, names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runbooks.add_list.check import aliases_of
from runbooks.onhost import Program, source

#: catch_up wants a Mailman, and is imported only where there is one.
MODULES = (
    *("boot", *Program("aliases", {}).modules),
    *(name for name in Program("adding", {}).modules if name != "catch_up"),
)
#: Loads the programs from memory, as on a host, and runs what follows.
LOAD = """\
import json, os, sys, types
texts, parameters = json.load(sys.stdin)
for name, text in texts:
    name = str(name)
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(text, name, "exec", 0, True), module.__dict__)
import adding, aliases, describing
from boot import as_json, native
parameters = native(parameters)
events = []
"""


def run(python: str, code: str, **parameters: Any) -> Any:
    texts = [[name, source(name)] for name in MODULES]
    done = subprocess.run(
        [python, "-c", f"{LOAD}{code}\nprint(as_json(events).decode('ascii'))\n"],
        input=json.dumps([texts, parameters]).encode(),
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""
    return json.loads(done.stdout)


PUPPET = "".join(
    f'{alias}: "| /var/lib/mailman/mail/mailman {action} a-b"\n'
    for alias, action in aliases_of("a-b").items()
)
MAILMAN = "".join(
    f'{alias + ":":<20} "|/usr/lib/mailman/mail/mailman {action} a-b"\n'
    for alias, action in aliases_of("a-b").items()
)


@pytest.mark.parametrize(
    ("text", "missing", "elsewhere", "others"),
    [
        (PUPPET, 0, [], 0),
        (MAILMAN, 0, [], 0),
        (PUPPET.upper().replace("MAILMAN", "mailman"), 0, sorted(aliases_of("a-b")), 0),
        ("# comment\n\nroot: a, b,\n  c\n" + PUPPET, 0, [], 0),
        ("x: y\n\n" + PUPPET.replace(': "', ':\n\t"'), 0, [], 0),
        (PUPPET.replace("a-b-join:", "#a-b-join:"), 1, [], 0),
        (PUPPET.replace("join a-b", "join a-c"), 0, ["a-b-join"], 0),
        (PUPPET.replace("mailman join", "mailman leave"), 0, ["a-b-join"], 0),
        (PUPPET.replace("a-b-join:", '"a-b-join" :'), 0, [], 0),
        (PUPPET.replace("a-b", "c"), 10, [], 1),
        ("c: root\nd: \xff\n", 10, [], 0),
        ("", 10, [], 0),
    ],
)
def test_a_file_of_aliases(
    python: str, tmp_path: Path, text: str, missing: int, elsewhere: list[str], others: int
) -> None:
    path = tmp_path / "aliases"
    path.write_bytes(text.encode("latin-1"))
    (event,) = run(
        python,
        "aliases.run(parameters, events.append)",
        files=[str(path)],
        aliases=aliases_of("a-b"),
        others=["c", "d"],
    )
    assert len(event["missing"]) == missing
    assert sorted(event["elsewhere"]) == elsewhere
    assert event["others"] == others
    assert event["stale"] is None


def test_a_database_that_is_older(python: str, tmp_path: Path) -> None:
    path, database = tmp_path / "aliases", tmp_path / "aliases.db"
    path.write_text(PUPPET)
    database.write_text("")
    ask = "aliases.run(parameters, events.append)"
    asked = {"files": [str(path), "/nonexistent"], "aliases": aliases_of("a-b"), "others": []}
    assert run(python, ask, **asked)[0]["stale"] is None
    os.utime(database, (1, 1))
    found, absent = run(python, ask, **asked)
    assert found["stale"] == str(database)
    assert (absent["why"], absent["absent"]) == ("No such file or directory", True)


TEXTS = ["Discussion of OpenStack Foo", "", "é", "日本 \\ ' \" %s", "Ÿ"]


@pytest.mark.parametrize("charset", ["us-ascii", "iso-8859-1", "utf-8", "euc-jp", "nonsense"])
def test_a_description_survives(python: str, charset: str) -> None:
    code = """
for text in parameters["texts"]:
    stored, shown = describing.as_stored(text, parameters["charset"])
    assert isinstance(stored, str)
    events.append([describing.as_text(stored, parameters["charset"]), shown])
"""
    found = run(python, code, texts=TEXTS, charset=charset)
    assert [text for text, _ in found] == TEXTS
    if "2.7" in python and charset == "us-ascii":
        assert [shown for _, shown in found] == [True, True, False, False, False]
    if charset == "utf-8" or "2.7" not in python:
        assert all(shown for _, shown in found)


def test_a_description_of_another_time(python: str) -> None:
    """What somebody's config_list file or Python 2 left, in whatever character set."""
    code = """
for value in (b"\\xe9", b"\\xc3\\xa9", u"\\xe9", u"\\xc3\\xa9", u"\\u65e5"):
    events.append(describing.as_text(value, "iso-8859-1"))
"""
    assert run(python, code) == ["é", "é", "é", "é", "日"]


def test_names(python: str, tmp_path: Path) -> None:
    """A folder is a list to Mailman by its name (recording `capitals`) and by what is in it."""
    folders = {"b": "pck", "a": "pck.last", "old": "db", "c": "tmp", "UPPER": "pck", "d e": "pck"}
    for name, kind in folders.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / f"config.{kind}").touch()
    characters = ("[-+_.=a-z0-9]", ".")  # Mailman's own setting, and that of an old Mailman
    sites = [
        *({"name": c, "list_dir": str(tmp_path), "name_characters": c} for c in characters),
        {"name": "y", "list_dir": "/nonexistent", "name_characters": "."},
    ]
    found = run(python, "adding.run(parameters, events.append)", action="names", sites=sites)
    assert found == [
        {"event": "names", "site": characters[0], "names": ["a", "b", "old"]},
        {"event": "names", "site": ".", "names": ["UPPER", "a", "b", "d e", "old"]},
        {"event": "names", "site": "y", "why": "No such file or directory"},
    ]


#: Ends a newlist that takes no notice of SIGTERM, as ours does not.
END = """
import creating, signal, subprocess
class Lists: site = {"lock_dir": parameters["folder"]}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", parameters["seconds"]])
claim = os.path.join(parameters["folder"], "creator.%s.%d.0" % (os.uname()[1], child.pid))
open(claim, "w").close()
"""
ENDED = """
creating.Newlist(Lists, None, "new").end(child)
events += [child.returncode, os.listdir(parameters["folder"])]
"""


def test_a_newlist_that_comes_to_its_end_before_it_is_killed(python: str, folder: Path) -> None:
    """On Python 2, it was: No such process, and its claim was left."""
    found = run(python, END + ENDED, folder=str(folder), seconds="0.3")
    assert found == [0, []]


def test_a_claim_that_somebody_else_removes_meanwhile(python: str, folder: Path) -> None:
    """It was: No such file or directory, in place of why newlist had been ended."""
    gone = """
real = os.listdir
def listdir(path):
    names = real(path)
    if os.path.exists(claim):
        os.unlink(claim)
    return names
os.listdir = listdir
creating.ENDING = 0.1
"""
    found = run(python, END + gone + ENDED, folder=str(folder), seconds="60")
    assert found == [-signal.SIGKILL, []]
