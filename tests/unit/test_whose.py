"""Whose page it is: one file, and one line about what will not do in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runbooks.book.tables import line_of
from runbooks.book.whose import VARIABLE, path, whose
from runbooks.errors import BadInputError

ROOT = Path(__file__).resolve().parents[2]
GOOD = (ROOT / "doc" / "site.toml").read_text(encoding="utf-8")


def the_line(text: str, beginning: str) -> int:
    """The one line of `text` that begins so."""
    (found,) = (n for n, line in enumerate(text.split("\n"), 1) if line.startswith(beginning))
    return found


@pytest.fixture
def complaint(tmp_path, monkeypatch) -> Callable[[str], str]:
    """What is said of a file with this text; without the file's name in front."""
    file = tmp_path / "another.toml"
    monkeypatch.setenv(VARIABLE, str(file))

    def read(text: str) -> str:
        file.write_text(text, encoding="utf-8")
        with pytest.raises(BadInputError) as caught:
            whose.__wrapped__()
        return str(caught.value).removeprefix(f"{file}, ")

    return read


@pytest.mark.parametrize("words", [["--help"], ["ban", "--help"], ["ban", "a@b.org"]])
def test_a_command_says_it_in_one_line(tmp_path, words):
    file = tmp_path / "another.toml"
    file.write_text(GOOD.replace('hostname = "lists"', "hostname = 7"))
    done = subprocess.run(
        [sys.executable, "-m", "runbooks", *words],
        env={**os.environ, VARIABLE: str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    line = the_line(GOOD, "hostname =")
    assert done.stderr == (
        f"runbook: {file}, line {line}: server.hostname is 7, and should be text\n"
    )


def test_the_package_has_the_file_that_people_edit():
    assert path().samefile(ROOT / "doc" / "site.toml")


@pytest.mark.parametrize(
    ("old", "new", "where", "why"),
    [
        ('hostname = "lists"', 'host = "lists"', "host =", "the key server.host is unknown"),
        ("[links.bugs]", "[links.bug]", "[links.bug]", "the key links.bug is unknown"),
        ("[project]", "[projekt]", "[projekt]", "the key projekt is unknown"),
        ('hostname = "lists"', "", "[server]", "the key server.hostname is missing"),
        ('hostname = "lists"', "hostname = 7", "hostname", "server.hostname is 7, and should be"),
        ('hostname = "lists"', 'hostname = "a b"', "hostname", "server.hostname: 'a b' cannot be"),
        ('"UTC"', '"Atlantis"', "time_zone", "there is no time zone 'Atlantis'"),
        ('"UTC"', '"../etc/passwd"', "time_zone", "there is no time zone '../etc/passwd'"),
        ('"OpenStack and', '" OpenStack and', "serves", "server.serves: ' OpenStack and its"),
        ('"/srv/mailman"', '"/srv/mail man"', "sites =", "mailman.sites: '/srv/mail man' is not"),
        ('"/srv/mailman"', '"srv"', "sites =", "mailman.sites: 'srv' is not the full path"),
        ('"lists.zuul-ci.org"', '"zuul"', 'domain = "zuul"', "'zuul' is not a full domain name"),
        ('name = "zuul"', 'name = "Zuul!"', 'name = "Zuul!"', "'Zuul!' cannot be a site"),
        ('["zuul-announce", ', "[9, ", "lists = [9", "sites.lists is 9, and should be text"),
        ('"zuul-announce"', '"zuul announce"', 'lists = ["zuul ', "cannot be the name of a list"),
        (
            '"zuul-announce"',
            '"zuul-discuss"',
            'lists = ["zuul',
            "is there twice",
        ),
        (
            '"zuul-announce"',
            '"mailman"',
            'lists = ["mailman',
            "every site has",
        ),
        ('["zuul-announce", "zuul-discuss"]', "[]", "lists = []", "sites.lists is empty"),
        ('list = "openstack-foo"', 'list = "zuul-discuss"', "list =", "the site zuul has 'zuul-"),
        ('"admin@example.com"', '"admin"', "administrator", "'admin' is not a full address"),
        ('"modules/openstack_project/', '"manifests/', "file =", "is no class of a module"),
        ('"https://www.list.org/"', '"list.org"', '"GNU', "links.projects.GNU Mailman: 'list.org'"),
    ],
)
def test_what_will_not_do_is_named_with_its_line(complaint, old, new, where, why):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    said = complaint(text)
    assert said.startswith(f"line {the_line(text, where)}: "), said
    assert why in said


def test_two_sites_are_told_apart(complaint):
    text = GOOD.replace('name = "zuul"', 'name = "openstack"')
    second = [n for n, line in enumerate(text.split("\n"), 1) if line == 'name = "openstack"'][1]
    assert complaint(text) == (f"line {second}: sites.name: another site has 'openstack' as well")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[server]\nname = 'a.b'\nname = 'c.d'\n",
            "line 3: Cannot overwrite a value: name = 'c.d'",
        ),
        ("[server]\n[mailman]\n[server]\n", "line 3: Cannot declare ('server',) twice: [server]"),
        ("[server]\nname = a.b\n", "line 2: Invalid value: name = a.b"),
        ("[server]\nname = 'a.b", "line 2: Expected \"'\": name = 'a.b"),
        ("", "line 1: the key server is missing"),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(complaint, text, said):
    assert complaint(text) == said


def test_a_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere.toml"))
    with pytest.raises(BadInputError, match=r"/nowhere.toml cannot be read: No such file or"):
        whose.__wrapped__()


def test_a_file_in_another_encoding_is_named(tmp_path, monkeypatch):
    file = tmp_path / "latin.toml"
    file.write_bytes("[server]\nserves = 'Überall'\n".encode("latin-1"))
    monkeypatch.setenv(VARIABLE, str(file))
    with pytest.raises(BadInputError, match=r"/latin.toml cannot be read: it is not UTF-8"):
        whose.__wrapped__()


LINES = """\
# a comment
first = 1

[table]
text = '''
first = 2
'''
many = [
    "a",  # another
    "b",
]
"quoted.key" = 1
inline = { a = 1, b = 2 }

[[sites]]
name = "x"

[[sites]]
# the second
name = "y"

[table.inner]
x = 1
"""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("first",), 2),
        (("table",), 4),
        (("table", "text"), 5),
        (("table", "many"), 8),
        (("table", "many", 1), 8),
        (("table", "quoted.key"), 12),
        (("table", "inline", "b"), 13),
        (("table", "missing"), 4),
        (("sites", 0, "name"), 16),
        (("sites", 1), 18),
        (("sites", 1, "name"), 20),
        (("sites", 1, "missing"), 18),
        (("table", "inner", "x"), 23),
        (("nothing",), 1),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\n\n# end"])
def test_the_line_of_a_key(key, line, ending):
    assert line_of(LINES + ending, key) == line
