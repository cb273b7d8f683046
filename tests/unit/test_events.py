"""Events: every kind that an on-host program sends is known, and what does not fit is refused."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runbooks import onhost
from runbooks.errors import LostError
from runbooks.mailman import events
from runbooks.mailman.events import Event, ListEvent, Outcome, decode
from runbooks.mailman.fromjson import MisfitError, made

#: What the connection itself hears: see `runbooks.host.session.Heard`.
OF_THE_CONNECTION = {"end", "failed"}
#: Of what became of a list, what goes into the record alone.
FOR_THE_RECORD = {"kept", "noted"}
#: Of a removal, what it is called there: here it is known by its file.
UNHEARD = {"label"}
LIST = {"event": "list", "site": "openstack", "list": "openstack-foo", "outcome": "banned"}


# -- what on-host programs send -----------------------------------------------------------


def programs() -> list[Path]:
    return sorted(path for path in Path(onhost.__file__).parent.glob("*.py") if path.stem[0] != "_")


def literals(tree: ast.AST, member: str) -> Iterator[tuple[str, set[str]]]:
    """Each dictionary of the source that has `member`: its value there, and its other members.

    Displays, and keywords of a call. A value that is a parameter of a function is looked up where
    that is called; any other that is not spelled out fails the test.
    """
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        parameters = [argument.arg for argument in function.args.args]
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                pairs = {
                    key.value: value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
            elif isinstance(node, ast.Call):
                pairs = {one.arg: one.value for one in node.keywords if one.arg}
            else:
                continue
            value = pairs.pop(member, None)
            if isinstance(value, ast.Name) and value.id in parameters:
                for call in calls(tree, function.name):
                    given = call.args[parameters.index(value.id)]
                    assert isinstance(given, ast.Constant), ast.unparse(call)
                    yield given.value, {*pairs, *(one.arg for one in call.keywords if one.arg)}
            elif isinstance(value, ast.Constant):
                yield value.value, set(pairs)
            elif value is not None and member == "event":
                pytest.fail(f"not spelled out: {ast.unparse(node)}")


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name:
            yield node


def sent() -> list[tuple[str, str, set[str]]]:
    """(program, kind, members) of every event in the source."""
    return [
        (path.stem, kind, members)
        for path in programs()
        for kind, members in literals(ast.parse(path.read_text()), "event")
    ]


def test_every_kind_that_is_sent_is_known_and_every_known_one_is_sent() -> None:
    kinds = {kind for _, kind, _ in sent()} - OF_THE_CONNECTION
    # The script that looks for Mailman, before there is a Python to run a program.
    script = (Path(onhost.__file__).parents[1] / "mailman" / "installation.py").read_text()
    kinds |= set(re.findall(r'"event":"(\w+)"', script)) - OF_THE_CONNECTION
    assert kinds == set(Event.kinds)


def test_every_member_that_is_sent_is_heard() -> None:
    wrong = {
        (program, kind, member)
        for program, kind, members in sent()
        if kind not in OF_THE_CONNECTION
        for member in members - fields(Event.kinds[kind]) - UNHEARD
    }
    assert not wrong


def test_every_answer_about_a_list_is_heard() -> None:
    unheard, unknown = set(), set()
    for path in programs():
        for outcome, members in literals(ast.parse(path.read_text()), "outcome"):
            unheard |= {(path.stem, one) for one in members - fields(ListEvent) - FOR_THE_RECORD}
            unknown |= {(path.stem, outcome)} - {(path.stem, one.value) for one in Outcome}
    assert (unheard, unknown) == (set(), set())


def fields(kind: type[Event]) -> set[str]:
    kind.complete()
    return {field.name for field in dataclasses.fields(kind)} | {"event"}


# -- what is made of them -----------------------------------------------------------------


def test_an_event_has_its_types() -> None:
    changes = [{"name": "owner", "added": ["a"], "removed": [], "more": 0}]
    event = decode({**LIST, "take_out": ["x"], "changes": changes, "new": 1}, "lists")
    assert event == ListEvent(
        "openstack", "openstack-foo", Outcome.BANNED, take_out=("x",), changes=(changes[0],)
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.detail = ""  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("json", "what"),
    [
        ({"event": "surprise"}, "the event 'surprise' is of no known kind"),
        ({}, "the event 'None' is of no known kind"),
        ({"event": ["list"]}, "is of no known kind"),
        ({**LIST, "outcome": "sold"}, "has 'outcome' that is 'sold' and none of those"),
        ({**LIST, "outcome": ["banned"]}, "has 'outcome' that is .* and none of those"),
        ({**LIST, "site": None}, "has 'site' that is None and no text"),
        ({**LIST, "of_members": True}, "has 'of_members' that is True and no whole number"),
        ({**LIST, "unseen": 1}, "has 'unseen' that is 1 and no yes or no"),
        ({**LIST, "take_out": "x"}, "has 'take_out' that is .* and no list"),
        ({**LIST, "take_out": [1]}, "has 'take_out' that is 1 and no text"),
        ({**LIST, "changes": [{"name": 1}]}, "has 'changes' that has 'name' that is 1 and no"),
        ({**LIST, "others": {"a": {}}}, "has 'others' that has 'a' that is {} and no list"),
        ({"event": "list", "site": "a", "list": "b"}, "the event 'list' has no 'outcome'"),
        ({"event": "waiting", "lists": 1, "seconds": "2"}, "has 'seconds' that is .* no number"),
        (
            {"event": "removal", "site": "a", "files": [], "result": "sold", "reason": None},
            "has 'result' that is 'sold' and none of those",
        ),
        ({"event": "locks", "site": "a", "observation": {}}, "that is None and no object"),
        (
            {"event": "locks", "site": "a", "observation": {"processes": {"1": {}}}},
            "has 'observation' that has .*processes.* '1' that has no 'exists'",
        ),
        ({"event": "locks", "site": "a", "observation": 5}, "has 'observation' that is 5 and no"),
        ({**LIST, "detail": "no\ntext", "site": "a\nb" * 99, "list": 0}, "'list' that is 0 and"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(json: dict[str, object], what: str) -> None:
    with pytest.raises(LostError, match=what) as e:
        decode(json, "ssh://lists")
    assert str(e.value).startswith("ssh://lists: the program on the host sent what")
    assert "\n" not in str(e.value)


def test_a_run_on_record_may_be_of_another_version() -> None:
    event = decode(
        {
            "event": "run",
            "run": "20240501-120301-4f9a1c",
            "path": "/x",
            "state": "done",
            "counts": {"taught": 1},
            "begin": {"from": "laptop", "host": {"login": "me", "boot": "x"}, "address": "a@b"},
            "ended": "",
            "undone_by": [],
            "lists": [["openstack", "foo", "taught", {"added": ["x"], "how": "well"}]],
        },
        "lists",
    )
    assert isinstance(event, events.RunFound)
    assert event.begin == events.Beginning(
        from_="laptop", host=events.Login("me"), rest={"address": "a@b"}
    )
    kept = events.KeptOfList(added=("x",), rest={"how": "well"})
    assert event.lists == (("openstack", "foo", "taught", kept),)


def test_numbers_are_keys_in_json() -> None:
    assert made(dict[int, str], {"5": "x"}) == {5: "x"}
    with pytest.raises(MisfitError, match="has 'five', which is no whole number"):
        made(dict[int, str], {"five": "x"})


def test_a_list_of_what_is_not_alike_has_its_length() -> None:
    assert made(tuple[str, int], ["a", 1]) == ("a", 1)
    with pytest.raises(MisfitError, match="no list of 2"):
        made(tuple[str, int], ["a", 1, 2])


# -- several hosts -------------------------------------------------------------------------


def test_threads_may_need_a_kind_for_the_first_time_together() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):

            class Heard(events.Part):
                name: str
                number: int = 0

            together = threading.Barrier(4)

            def hear() -> events.Part:
                together.wait()  # noqa: B023
                return Heard("x", number=1)

            with ThreadPoolExecutor(4) as threads:
                heard = [thread.result() for thread in [threads.submit(hear) for _ in range(4)]]
            assert [(one.name, one.number) for one in heard] == [("x", 1)] * 4
    finally:
        sys.setswitchinterval(interval)


# -- outcomes -----------------------------------------------------------------------------


def test_an_outcome_is_its_text() -> None:
    assert f"{Outcome.CHANGED_SINCE}" == str(Outcome.CHANGED_SINCE) == "changed since"


def test_what_is_not_as_was_asked() -> None:
    assert {one.value for one in Outcome if not one.is_done} == {
        "locked",
        "corrupt",
        "error",
        "failed",
        "refused",
        "changed since",
        "begun",
        "unknown",
    }
