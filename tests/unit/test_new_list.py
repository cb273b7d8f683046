"""What a new list may be called, who may run it, how it may be described."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbooks.add_list import rules as new_list
from runbooks.errors import BadInputError

RECORDINGS = Path(__file__).parents[1] / "conformance" / "recordings"


def recorded() -> list[tuple[str, str, int]]:
    """Name, administrator, and the exit status of each newlist that a real Mailman was given."""
    found = []
    for path in sorted(RECORDINGS.glob("vectors-*.json")):
        for one in json.loads(path.read_text())["scenarios"]["newlist"]:
            if one["argv"][0] == "newlist" and len(one["argv"]) == 5:
                found.append((one["argv"][2], one["argv"][3], one["result"]["rc"]))
    # A name that is only refused the second time, since the list is there then.
    again = [(name, admin, 1) for name, admin, status in found if status == 0]
    return sorted(set(found) - set(again))


#: What Mailman takes and this refuses, and why.
STRICTER = {"openstack-foo-admin": "is taken", "name@lists.example.org": "an @"}


def test_there_are_recordings() -> None:
    assert len(recorded()) > 12


@pytest.mark.parametrize(("name", "admin", "status"), recorded())
def test_what_mailman_refuses_is_refused(name: str, admin: str, status: int) -> None:
    try:
        new_list.name(name)
        new_list.admin(admin)
        refused = ""
    except BadInputError as e:
        refused = str(e)
    if name in STRICTER:
        assert STRICTER[name] in refused
    else:
        assert bool(refused) == (status != 0), refused


@pytest.mark.parametrize("suffix", new_list.SUFFIXES)
def test_an_address_of_a_list_is_no_name(suffix: str) -> None:
    with pytest.raises(BadInputError, match=f"address of the list openstack-foo: -{suffix} "):
        new_list.name(f"Openstack-Foo-{suffix.upper()}")
    assert new_list.name(suffix) == suffix
    assert new_list.name(f"{suffix}-foo") == f"{suffix}-foo"
    with pytest.raises(BadInputError, match="is an address of a"):
        new_list.check_free("a", [f"a-{suffix}"], "x")


def test_a_name_is_spelled_as_mailman_spells_it() -> None:
    assert new_list.name(" OpenStack-Foo ") == "openstack-foo"


def test_the_longest_name_has_addresses_that_mail_takes() -> None:
    assert len(f"{new_list.name('a' * new_list.LONGEST_NAME)}-unsubscribe") == 64
    with pytest.raises(BadInputError, match="53 characters"):
        new_list.name("a" * 53)


def test_a_list_that_is_there() -> None:
    new_list.check_free("a", ["b", "a-b", "aa", "a-foo-admin"], "x")
    with pytest.raises(BadInputError, match=r"x has the list a already$"):
        new_list.check_free("a", ["a"], "x")
    with pytest.raises(BadInputError, match=r"already, spelled A$"):
        new_list.check_free("a", ["A"], "x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("a@x.org,b@x.org", "not one address"),
        ("a@x.org b@x.org", "not one address"),
        ("root", "not a full address"),
        ("Root <root@example.com>", "not a full address"),
        ("root@localhost", "not a full address"),
        ("a@example.com\n", "not a full address"),
        ("-a@example.com", "not a full address"),
        ("a'; $(id)@example.com", "not a full address"),
    ],
)
def test_no_administrator(text: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why) as caught:
        new_list.admin(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\nb", "line break"),
        ("a\rb", "line break"),
        ("a\x1b[31mb", "control character"),
        ("a\u202eb", "control character"),
        ("\udcff", "not UTF-8"),
        (" a", "blank"),
        ("a ", "blank"),
        ("é" * 351, "702 bytes"),
    ],
)
def test_no_description(text: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why) as caught:
        new_list.description(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ['It\'s "a" $x \\ #{y} %s', "日本語", "é" * 350])
def test_a_description(text: str) -> None:
    assert new_list.description(text) == text


@pytest.mark.parametrize(
    ("text", "why"), [("", "empty"), ("a\nb", "printable"), ("é", "printable"), ("\0", "printable")]
)
def test_no_password(text: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why) as caught:
        new_list.password(text, "there")
    assert "from there" in str(caught.value)


def test_a_password_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("a b'c$\r\n")
    path.chmod(0o600)
    assert new_list.password_from_file(str(path)) == (b"a b'c$", "")
    path.chmod(0o640)
    assert "other users of this machine" in new_list.password_from_file(str(path))[1]
    path.write_text("a\nb\n")
    with pytest.raises(BadInputError, match="line break"):
        new_list.password_from_file(str(path))
    with pytest.raises(BadInputError, match="No such file"):
        new_list.password_from_file(str(tmp_path / "none"))


@pytest.mark.parametrize("text", ["", "localhost", "a b.org", "-x.org", "x.org;id"])
def test_no_host(text: str) -> None:
    with pytest.raises(BadInputError, match="--mail-host"):
        new_list.host_name(text, "--mail-host")
