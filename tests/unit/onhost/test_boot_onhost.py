"""How what is found on a host becomes JSON, on every Python that Mailman's programs run on."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from runbooks.onhost import source

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
