"""Addresses for a command, typed and from a file: what is taken, and what is said of the rest."""

from __future__ import annotations

import io
import os

import pytest

from runbooks.ban import entries
from runbooks.errors import BadInputError
from runbooks.terminal import given


def texts(found: given.Chosen[entries.Entry]) -> list[str]:
    return [entry.text for entry in found.good]


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def chosen(data: bytes, *addresses: str, skip_bad: bool = False):
        (tmp_path / "victims.txt").write_bytes(data)
        return given.chosen(addresses, "victims.txt", skip_bad, entries.entry)

    return chosen


@pytest.mark.parametrize(
    "data",
    [
        b"a@x.org\nb@x.org\n",
        b"a@x.org\r\nb@x.org\r\n",
        b"a@x.org\rb@x.org\r",
        b"a@x.org\nb@x.org",
        b"\xef\xbb\xbfa@x.org\nb@x.org\n",
        "a@x.org\r\nb@x.org\r\n".encode("utf-16"),
        b"\xfe\xff" + "a@x.org\nb@x.org".encode("utf-16-be"),
        b"# who wrote to us\n\n  a@x.org  \n\t\nb@x.org # on the phone\n",
        b'Ann Other <a@x.org>\n"Doe, \xc3\xa9" <b@x.org>\n',
        b"<a@x.org>\n< b@x.org >\n",
    ],
)
def test_one_address_a_line_however_the_file_was_saved(read, data):
    assert texts(read(data)) == ["a@x.org", "b@x.org"]


def test_what_is_typed_comes_first_and_each_comes_once(read):
    found = read(b"A@x.org\nb@x.org\na@X.org\n", "c@x.org", "B@x.org")
    assert texts(found) == ["c@x.org", "B@x.org", "A@x.org"]
    assert found.repeated == 2


def test_a_pattern_among_them_is_compared_to_the_letter(read):
    found = read(b"^a(\\+.*)?@x\\.org$\n^A(\\+.*)?@x\\.org$\n^a(\\+.*)?@x\\.org$\n")
    assert texts(found) == [r"^a(\+.*)?@x\.org$", r"^A(\+.*)?@x\.org$"]
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a@x.org\nfoo\n", "victims.txt, line 2: 'foo' is not an address: try"),
        (b"a@x.org\r\n\r\nfoo\r\n", "victims.txt, line 3: 'foo' is not"),
        (b"foo\na@x.org\nbar\n.*@x.org\n", "; 2 more are bad (lines 3, 4), --skip-bad leaves"),
        (b"a@x.org\n" + b"foo\n" * 7, "; 6 more are bad (lines 3, 4, 5, 6, 7, …), --skip-bad"),
        (b"a@x.org, b@x.org\n", "line 1: 'a@x.org, b@x.org' is not an address"),
        (b"", "there is no address: victims.txt has none"),
        (b"# nobody\n\n", "there is no address: victims.txt has none"),
        (b"a@x.org\nb\xe9@x.org\n", "victims.txt, line 2: it is not UTF-8"),
        ("a@x.org\nb@x.org\n".encode("utf-16-le"), "victims.txt is not text: it has NUL"),
        (b"a" * (given.LARGEST + 1), "victims.txt is not a list of addresses: it has more than"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_number(read, data, said):
    with pytest.raises(BadInputError) as raised:
        read(data)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_bad_can_be_left_out_and_is_named(read):
    found = read(b"foo\na@x.org\n@x.org\n", skip_bad=True)
    assert texts(found) == ["a@x.org"]
    assert [line.split(": ")[0] for line in found.bad] == [
        "victims.txt, line 1",
        "victims.txt, line 3",
    ]


def test_where_nothing_is_left_nothing_is_done(read):
    with pytest.raises(BadInputError, match=r"none of them is an address: victims\.txt, line 1"):
        read(b"foo\nbar\n", skip_bad=True)


def test_what_is_bad_alone_is_told_as_it_is_without_a_file():
    with pytest.raises(BadInputError) as raised:
        given.chosen(["foo"], None, False, entries.entry)
    assert str(raised.value) == "'foo' is not an address: try target@example.com"


def test_without_any_address_there_is_nothing_to_do():
    with pytest.raises(BadInputError, match="name one, or a file with --from"):
        given.chosen([], None, False, entries.entry)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.txt", "nowhere.txt cannot be read: No such file"),
        (".", r"\. cannot be read: Is a directory"),
        ("a\0b", "cannot be the name of a file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=said):
        given.chosen([], name, False, entries.entry)


def test_standard_input_is_a_file_as_well(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a@x.org\nfoo\n")))
    with pytest.raises(BadInputError, match="standard input, line 2: 'foo'"):
        given.chosen([], "-", False, entries.entry)


def test_ten_thousand_are_read_in_a_moment(read):
    before = os.times().user
    assert len(read(b"".join(b"victim%d@example.com\n" % n for n in range(10_000))).good) == 10_000
    assert os.times().user - before < 5
