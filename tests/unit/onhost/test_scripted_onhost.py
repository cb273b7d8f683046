"""What is said of a script before it is run, and of what differs between two states."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from runbooks.onhost import Program, source

LOAD = """\
import json, os, sys, types
sources, values = json.load(sys.stdin)
for name, text in sources:
    name = str(name)
    sys.modules[name] = module = types.ModuleType(name)
    exec(compile(text, name, "exec", 0, True), module.__dict__)
import differing, scripting
"""
MODULES = ("boot", *Program("scripting", {}).modules)


def run(python: str, code: str, values: Any) -> Any:
    given = json.dumps([[[name, source(name)] for name in MODULES], values])
    done = subprocess.run(
        [python, "-c", LOAD + code],
        input=given.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


REFUSALS = [
    ("def f(m): pass", [], None),
    ("def f(m, a, b=1): pass", ["x"], None),
    ("def f(m, *a): pass", ["x", "y"], None),
    ("f = print_it = lambda m: None", [], None),
    ("from somewhere import f", [], None),
    ("from somewhere import *", [], None),
    ("if 1:\n    def f(m): pass", [], None),
    ("def g(m):\n    def f(m): pass", [], "it defines no function f; it has g"),
    ("x = f", [], "it defines no function f"),
    ("def f(m, a): pass", [], "f takes the list and 1 argument, and was given 0"),
    ("def f(m, a, b): pass", ["x"], "f takes the list and 2 arguments, and was given 1"),
    ("def f(m, a=1): pass", ["x", "y"], "f takes the list and 0 to 1 arguments, and was given 2"),
    ("def f(m, a, *b): pass", [], "f takes the list and at least 1 argument, and was given 0"),
    ("def f(): pass", [], "f takes no argument, and withlist gives it the list"),
]


def test_what_is_refused(python: str) -> None:
    code = """
found = []
for text, arguments, _ in values:
    refused = scripting.refusal({"filename": "f.py", "text": text.encode("ascii"),
                                 "function": "f", "arguments": arguments})
    found.append(refused and refused["why"])
print(json.dumps(found))
"""
    assert run(python, code, REFUSALS) == [why for _, _, why in REFUSALS]


def test_what_differs_is_shown_without_passwords(python: str) -> None:
    code = """
class Info(object):
    def __init__(self, score): self.score = score
old = {"a": 1, "gone": 2, "l": ["x", "y"], "passwords": {"b": "SECRET"}, "same": Info(1),
       "info": {"b": Info(1)}, "long": "z" * 1000, "password": "SECRET", "n": {1: 2, "t": 3}}
new = {"a": 2, "new": 3, "l": ["y", "w"], "passwords": {"b": "SECRET2", "c": "SECRET"},
       "same": Info(1), "info": {"b": Info(2)}, "long": "q" * 1000, "password": "SECRET2",
       "n": {1: 2, "t": 3}}
found = differing.changes(old, new)
text = json.dumps(found)
assert "SECRET" not in text
print(json.dumps([dict((c["name"], c) for c in found), len(text)]))
"""
    found, length = run(python, code, [])
    assert sorted(found) == ["a", "gone", "info", "l", "long", "new", "password", "passwords"]
    assert (found["a"]["from"], found["a"]["to"]) == ("1", "2")
    assert "to" not in found["gone"]
    assert "from" not in found["new"]
    assert (found["l"]["added"], found["l"]["removed"]) == (["'w'"], ["'x'"])
    assert found["passwords"]["altered"] == [["'b'", "***", "***"]]
    assert found["passwords"]["added"] == ["'c': ***"]
    assert length < 3000
