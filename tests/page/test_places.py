"""Where arguments stand in commands and files: found by asking, never by looking."""

from __future__ import annotations

import dataclasses
import re
import shlex
from dataclasses import dataclass

import pytest

from runbooks.book.procedure import File, Step, paste
from runbooks.book.typed import ARGUMENTS, PROBES, filled, places_of_steps, with_values
from runbooks.mailman.printed import by_command, steps_of
from runbooks.procedures import all_procedures
from runbooks.sphinxext.typed import places_of

#: Arguments of procedures that a reader does not type at the top of the page.
NOT_TYPED = {
    "action": "ban or unban",
    "admin": "who runs a new list, and never the address that is banned",
    "description": "of a new list",
    "function": "of a script of ours",
    "manifest": "a path in the team's repository",
    "matched": "goes with the pattern",
    "pattern": "which the command alone can check",
    "site": "the name of a site of the documented host",
    "stranger": "goes with the pattern",
}


@dataclass(frozen=True)
class Told:
    address: str = "target@example.com"
    list: str = ""


@dataclass(frozen=True)
class ToldSeveral:
    addresses: tuple[str, ...] = ("target@example.com",)


def fill(make, example, **values):
    """What a page has for a step when that is typed; and whether it has any place for it."""
    (places,) = places_of_steps(lambda told: [make(told)], example).values()
    return filled(paste(make(example)), places, values), bool(places)


def step(command, content=None):
    creates = None if content is None else File("/f", content)
    return Step("s", "t", "w", command, creates=creates)


@pytest.mark.parametrize("address", ["a@b.org", "o'brien@x.org", "!#%&'*+/=?_{}~-@x.org"])
def test_a_word_of_a_command_is_quoted_as_a_whole(address):
    def make(told):
        return step(f"tee {shlex.quote(f'/tmp/{told.address}.txt')} > /dev/null; # it's")

    got, _ = fill(make, Told(), address=[address])
    assert got == make(Told(address)).command
    assert shlex.split(got, comments=True)[1] == f"/tmp/{address}.txt"


def test_what_stands_there_by_accident_is_not_touched():
    def make(told):
        return step(f"echo target@example.com {shlex.quote(told.address)}")

    got, _ = fill(make, Told(), address=["a@b.org"])
    assert got == "echo target@example.com a@b.org"


def test_a_file_has_it_too_and_a_file_that_would_have_it_quoted_is_left_alone():
    def plain(told):
        return step("cat > /f", f"# it's\n{told.address}\n")

    def literal(told):
        return step("cat > /f", f"address = {told.address!r}\n")

    got, _ = fill(plain, Told(), address=["o'brien@x.org"])
    assert got == "cat > /f <<'EOF'\n# it's\no'brien@x.org\nEOF"
    assert fill(literal, Told(), address=["a@b.org"]) == (paste(literal(Told())), False)


@pytest.mark.parametrize(
    "command",
    [
        lambda told: f'echo "{told.address}"',
        lambda told: f"echo {told.address}",
        lambda told: f"echo '{told.address}'",
        lambda told: f"echo {shlex.quote(told.address.replace('@', ' at '))}",
        lambda told: f"echo {shlex.quote(told.address.upper())}",
        lambda told: f"echo {shlex.quote(told.address)} {len(told.address)}",
    ],
)
def test_a_command_that_makes_something_else_of_it_is_left_alone(command):
    def make(told):
        return step(command(told))

    assert fill(make, Told(), address=["o'brien@x.org"]) == (command(Told()), False)


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("example", [1, 2, 3])
def test_several_go_where_the_procedure_takes_several(number, example):
    def make(told):
        every = " ".join(shlex.quote(f"to:{one}") for one in told.addresses)
        return step(f"tee {every} -- x", "".join(f"{one}\n" for one in told.addresses) + "end\n")

    shown = ToldSeveral(tuple(f"target+{n}@example.com" for n in range(example)))
    typed = [f"o'{n}@x.org" for n in range(number)]
    got, found = fill(make, shown, address=typed)
    assert found
    assert got == paste(make(ToldSeveral(tuple(typed))))


@pytest.mark.parametrize("address", ["a.b@x.org", "o'brien+1@x.org"])
def test_an_expression_that_matches_it_alone_is_made(address):
    def make(told):
        return step(shlex.join(["grep", *(f"^{re.escape(one)}$" for one in told.addresses)]))

    got, _ = fill(make, ToldSeveral(), address=[address, "c@d.org"])
    assert shlex.split(got) == ["grep", f"^{re.escape(address)}$", "^c@d\\.org$"]


def test_the_first_goes_where_the_procedure_takes_one():
    def make(told):
        return step(f"echo {shlex.quote(told.addresses[0])}")

    assert fill(make, ToldSeveral(), address=["a@b.org", "c@d.org"])[0] == "echo a@b.org"


def test_the_second_of_several_by_itself_is_left_alone():
    def make(told):
        first, *others = told.addresses
        return step(shlex.join(["echo", first, "and", *others[-1:]]))

    shown = ToldSeveral(("a@example.com", "b@example.com"))
    assert fill(make, shown, address=["c@d.org"]) == ("echo a@example.com and b@example.com", False)


def test_the_host_is_that_of_runbook_alone():
    def make(text):
        return lambda told: step(text)

    host = ["practice:/a b"]
    assert fill(make("runbook ban 'a b' --host ssh://c"), Told(), host=host)[0] == (
        "runbook ban 'a b' --host 'practice:/a b'"
    )
    assert fill(make("runbook withlist x.py --host 'c d' -- -a"), Told(), host=host)[0] == (
        "runbook withlist x.py --host 'practice:/a b' -- -a"
    )
    for text in ("echo --host c", "runbook ban a"):
        assert fill(make(text), Told(), host=host) == (text, False)


def test_each_argument_of_a_procedure_is_typed_or_known_not_to_be():
    unknown = [
        f"{procedure.name}: {field.name}"
        for procedure in all_procedures()
        for field in dataclasses.fields(procedure.example)
        if isinstance(getattr(procedure.example, field.name), str | tuple)
        and getattr(procedure.example, field.name)
        and field.name not in ARGUMENTS.keys() | NOT_TYPED.keys()
    ]
    assert not unknown


@pytest.mark.parametrize("procedure", all_procedures(), ids=lambda procedure: procedure.name)
def test_whatever_an_argument_changes_on_the_page_has_a_place(procedure):
    """A block that was left alone would have the example in it, whatever is typed."""
    places = places_of(procedure)
    for kind, probes in PROBES.items():
        for probe in probes:
            told = dataclasses.replace(
                procedure, example=with_values(procedure.example, {kind: probe})
            )
            for was, now in zip(
                (*by_command(procedure), *steps_of(procedure)),
                (*by_command(told), *steps_of(told)),
                strict=True,
            ):
                got = filled(paste(was), places[was.name], {kind: probe})
                assert got == paste(now), f"{procedure.name}/{was.name}"
