"""`runbook add-list` on a manifest here, and what the check makes of what it sees."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runbooks import cli
from runbooks.add_list import check as add_list_check
from runbooks.add_list import edit as add_list_edit
from runbooks.add_list.check import GOOD, MISSING, UNKNOWN, Seen, Wanted
from runbooks.add_list.manifest import file as manifest_file
from runbooks.add_list.manifest import insertion as puppet
from runbooks.add_list.manifest.insertion import Value
from runbooks.book.whose import whose
from runbooks.errors import BadInputError
from runbooks.mailman.events import Aliases, Looked
from runbooks.mailman.fromjson import made
from runbooks.practice.site import PracticeSite
from tests.support.practice import create
from tests.support.written import as_it_is

TEXT = """\
class lists($listpassword) {
  $listdomain = 'lists.example.org'

  maillist { 'openstack-es':
    ensure      => present,
    admin       => 'es@example.com',
    password    => $listpassword,
    description => 'Lista',
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }

  maillist { 'openstack-zh-admin':
    ensure      => absent,
    admin       => 'es@example.com',
    password    => $listpassword,
    description => 'Lista',
  }
}
"""
NEW = """
  maillist { 'openstack-foo':
    ensure      => present,
    admin       => 'admin@example.com',
    password    => $listpassword,
    description => 'It\\'s "$foo"',
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }
"""
SITES = """\
mailman::site { 'openstack': }
mailman::site { 'zuul': }
mailman_list { 'a@openstack':
  require     => Mailman::Site['openstack'],
  ensure      => present,
  admin       => 'a@example.com',
  password    => $listpassword,
  description => 'A',
}
mailman_list { 'a@zuul':
  require     => Mailman::Site['zuul'],
  ensure      => present,
  admin       => 'a@example.com',
  password    => $listpassword,
  description => 'A',
}
"""
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNBOOK_HOST", raising=False)
    monkeypatch.delenv("RUNBOOK_LIST_PASSWORD", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "lists.pp"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> PracticeSite:
    return create(tmp_path_factory.mktemp("practice") / "site")


def arguments(manifest: Path, **other: str) -> list[str]:
    given = {
        "name": "openstack-foo",
        "--admin": "admin@example.com",
        "--description": 'It\'s "$foo"',
        "--manifest": str(manifest),
        **other,
    }
    return ["add-list", given.pop("name"), *(w for pair in given.items() for w in pair)]


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """A program of that name, the only one on the PATH but for those of its kind."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))


def test_it_writes_the_list_and_nothing_else(manifest: Path, capsys: Captured) -> None:
    assert cli.run([*arguments(manifest), "--yes"]) == 0
    # Behind the last one: two lists are in no order.
    assert manifest.read_text() == TEXT.removesuffix("}\n") + NEW + "}\n"
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "the list server was not asked" in shown.out
    assert "+    description => 'It\\'s \"$foo\"'," in shown.out
    assert "puppet is not installed here" in shown.out
    assert "--fix" in shown.out
    assert os.listdir(manifest.parent) == ["lists.pp"]


def test_a_dry_run_writes_nothing(manifest: Path, capsys: Captured) -> None:
    assert cli.run([*arguments(manifest), "--dry-run", "--json"]) == 0
    assert manifest.read_text() == TEXT
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (event["outcome"], event["lines"]) == ("planned", [20, 27])


def bad(**other: str) -> dict[str, str]:
    return other


@pytest.mark.parametrize(
    ("other", "more", "why"),
    [
        (bad(name="bad name"), [], "cannot be the name of a list"),
        (bad(name="bad/name"), [], "cannot be the name of a list"),
        (bad(name="../escape"), [], "cannot be the name of a list"),
        (bad(name="bad;name"), [], "cannot be the name of a list"),
        (bad(name="lïst"), [], "cannot be the name of a list"),
        (bad(name=""), [], "cannot be the name of a list"),
        (bad(name="a\nb"), [], "cannot be the name of a list"),
        (bad(name="foo@lists.example.org"), [], "has an @"),
        (bad(name="x" * 60), [], "60 characters"),
        (bad(name="openstack-foo-request"), [], "-request is taken"),
        (bad(name="OpenStack-ES"), [], "has the list openstack-es already"),
        (bad(name="openstack-zh"), [], "openstack-zh-admin, which is an address of openstack-zh"),
        ({"--admin": "admin"}, [], "not a full address"),
        ({"--admin": "a@example.com,b@example.com"}, [], "not one address"),
        ({"--admin": ""}, [], "address is empty"),
        ({"--description": "two\nlines"}, [], "line break"),
        ({"--description": ""}, [], "description is empty"),
        ({"--manifest": "/nonexistent/lists.pp"}, [], "cannot be read: No such file"),
        ({"--manifest": "/"}, [], "is not a file"),
        ({"--site": "openstack"}, [], "name none"),
        ({"--class": "other"}, [], "no class other"),
        ({}, ["--password", "secret"], "not taken from the command line"),
        ({}, ["--password=secret"], "not taken from the command line"),
        ({}, ["--password-file", "/dev/null"], "is for --direct"),
        ({}, ["--direct"], "without Puppet"),
        ({}, ["--check"], "leave out --admin"),
        ({}, ["--direct", "--check"], "leave out --check"),
        ({}, ["--web-host", "x.example.org"], "are for --direct"),
        ({}, ["--check", "--class", "x"], "--class is for writing"),
        ({}, ["--host", "nonsense"], "does not say how to reach it"),
    ],
)
def test_bad_input(
    manifest: Path, capsys: Captured, other: dict[str, str], more: list[str], why: str
) -> None:
    before = as_it_is(manifest)
    assert cli.run([*arguments(manifest, **other), *more, "--yes"]) == 2
    shown = capsys.readouterr()
    assert why in shown.err
    assert len(shown.err.splitlines()) == 1
    assert "secret" not in shown.err
    assert as_it_is(manifest) == before
    assert os.listdir(manifest.parent) == ["lists.pp"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["add-list", "a"], "--manifest"),
        (["add-list", "a", "--manifest", "x"], "--admin"),
        (["add-list", "a", "--manifest", "x", "--admin", "a@example.com"], "--description"),
        (["add-list"], "Missing argument"),
        (["add-list", "--password", "secret"], "not taken from the command line"),
    ],
)
def test_what_is_left_out(capsys: Captured, words: list[str], why: str) -> None:
    assert cli.run(words) == 2
    shown = capsys.readouterr().err
    assert why in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"class a { maillist { 'x': ensure => present }\n", "line 1: a { that is never closed"),
        (b"class a { # \xff\n}\n", "not UTF-8"),
        (b"\xef\xbb\xbfclass a { }\n", "byte order mark"),
        (b"", "no list, and no class"),
        (SITES.encode(), "name the site: --site SITE"),
    ],
)
def test_a_manifest_that_will_not_do(
    tmp_path: Path, capsys: Captured, content: bytes, why: str
) -> None:
    path = tmp_path / "lists.pp"
    path.write_bytes(content)
    assert cli.run([*arguments(path), "--yes"]) == 2
    shown = capsys.readouterr().err
    assert why in shown
    assert str(path) in shown
    assert len(shown.splitlines()) == 1
    assert path.read_bytes() == content


def test_a_site(tmp_path: Path) -> None:
    path = tmp_path / "lists.pp"
    path.write_text(SITES)
    assert cli.run([*arguments(path), "--site", "zuul", "--yes"]) == 0
    found = puppet.read(path.read_bytes()).find("openstack-foo", "zuul")
    assert found is not None
    assert cli.run([*arguments(path), "--site", "zuul", "--yes"]) == 2
    assert cli.run([*arguments(path), "--site", "openstack", "--yes"]) == 0


def test_nobody_to_ask(manifest: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert cli.run(arguments(manifest)) == 2
    assert "add --yes" in capsys.readouterr().err
    assert manifest.read_text() == TEXT


@pytest.mark.parametrize(
    ("text", "site"), [(TEXT, None), (SITES, "openstack"), (SITES, "zuul"), (SITES[:-1], "zuul")]
)
def test_the_step_by_hand_does_the_same(
    tmp_path: Path,
    practice: PracticeSite,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    site: str | None,
) -> None:
    path = tmp_path / "it's lists.pp"
    path.write_text(text)
    words = [*arguments(path), *(["--site", site] if site else [])]
    assert cli.run([*words, "--explain", "--host", practice.spec]) == 0
    assert path.read_text() == text
    explained = capsys.readouterr().out
    pasted = explained.split("# 1. ")[1].split("\n", 1)[1].split("\n\n# 2. ")[0]
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    subprocess.run(["sh", "-c", pasted], check=True)
    by_hand = path.read_text()
    path.write_text(text)
    assert cli.run([*words, "--yes"]) == 0
    assert by_hand.rstrip("\n") == path.read_text().rstrip("\n")
    assert by_hand != text


# -- the file -----------------------------------------------------------------------------


def test_mode_and_link_stay(manifest: Path) -> None:
    manifest.chmod(0o640)
    link = manifest.parent / "link.pp"
    link.symlink_to("lists.pp")
    assert cli.run([*arguments(link), "--yes"]) == 0
    assert link.is_symlink()
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o640
    assert "openstack-foo" in manifest.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
def test_the_owner_stays(manifest: Path) -> None:
    os.chown(manifest, 1234, 2345)
    assert cli.run([*arguments(manifest), "--yes"]) == 0
    assert (manifest.stat().st_uid, manifest.stat().st_gid) == (1234, 2345)


@pytest.mark.parametrize("call", ["fsync", "fchmod", "mkstemp"])
def test_a_full_disk(
    manifest: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    module = manifest_file.tempfile if call == "mkstemp" else manifest_file.os
    monkeypatch.setattr(module, call, full)
    assert cli.run([*arguments(manifest), "--yes"]) == 2
    assert "No space left on device; nothing was changed" in capsys.readouterr().err
    assert manifest.read_text() == TEXT
    assert os.listdir(manifest.parent) == ["lists.pp"]


def test_a_file_that_somebody_else_changes(manifest: Path) -> None:
    file = manifest_file.load(str(manifest))
    manifest.write_text(TEXT + "# more\n")
    with pytest.raises(manifest_file.BadInputError, match="somebody has changed"):
        file.write("")
    assert manifest.read_text() == TEXT + "# more\n"


def test_the_new_file_is_complete_before_it_has_the_name(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    fsync = os.fsync

    def look(fd: int) -> None:
        seen.append(manifest.read_text())
        fsync(fd)

    monkeypatch.setattr(manifest_file.os, "fsync", look)
    assert cli.run([*arguments(manifest), "--yes"]) == 0
    # The file, with the old one still there; then the folder, with the new one.
    assert seen == [TEXT, manifest.read_text()]


def test_a_diff_of_odd_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.pp"
    path.write_bytes("# a\u2028b\r\n$x = 1".encode())
    diff = manifest_file.load(str(path)).diff("# a\u2028b\r\n$x = 1\n")
    assert diff.split("\n")[3:] == [
        " # a\u2028b\r",
        "-$x = 1",
        "\\ No newline at end of file",
        "+$x = 1",
    ]


# -- Puppet's tools -----------------------------------------------------------------------


def test_what_puppet_refuses_is_put_back(
    manifest: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.chmod(0o600)
    script = (
        '[ "$1 $2" = "parser validate" ] || exit 9\n'
        "while read -r line; do case $line in *openstack-foo*)"
        " printf '\\033[1;31mError: not\\033[0m like this\\n' >&2; exit 1;; esac; done < \"$4\""
    )
    tool(manifest.parent, monkeypatch, "puppet", script)
    assert cli.run([*arguments(manifest), "--yes"]) == 2
    shown = capsys.readouterr().err
    assert "puppet parser validate says: not like this; the file was put back" in shown
    assert len(shown.splitlines()) == 1
    assert manifest.read_text() == TEXT
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o600


def test_puppet_lint_is_heard_about_the_new_lines(
    manifest: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(manifest.parent, monkeypatch, "puppet", "exit 0")
    script = "echo '3:warning: old'; echo '20:warning: first'; echo '27:error: last'; exit 1"
    tool(manifest.parent, monkeypatch, "puppet-lint", script)
    assert cli.run([*arguments(manifest), "--yes"]) == 0
    shown = capsys.readouterr()
    assert "puppet parser validate accepts it" in shown.out
    assert "puppet-lint: line 20: warning: first" in shown.err
    assert "puppet-lint: line 27: error: last" in shown.err
    assert "old" not in shown.err


@pytest.mark.parametrize("judge", ["validate", "lint"])
def test_an_interrupt_tells_the_truth(
    manifest: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, judge: str
) -> None:
    """Ctrl-C while Puppet reads the file: 'nothing was changed' is so; later on it is not said."""

    def interrupt(*_: object) -> None:
        assert "openstack-foo" in manifest.read_text()
        raise KeyboardInterrupt

    monkeypatch.setattr(manifest_file, judge, interrupt)
    status = cli.run([*arguments(manifest), "--yes"])
    said = capsys.readouterr().err
    assert (status, "nothing was changed" in said) == (
        (2, True) if judge == "validate" else (0, False)
    )
    assert (manifest.read_text() == TEXT) == (judge == "validate")


# -- the host -----------------------------------------------------------------------------


def test_the_host_is_asked_when_it_is_named(
    manifest: Path, practice: PracticeSite, capsys: Captured
) -> None:
    words = [*arguments(manifest, name="zuul-jobs"), "--yes", "--host", practice.spec]
    assert cli.run(words) == 2
    assert "(site zuul) has the list zuul-jobs already" in capsys.readouterr().err
    assert manifest.read_text() == TEXT
    words = [*arguments(manifest, name="zuul-new"), "--yes", "--host", practice.spec]
    assert cli.run(words) == 0
    shown = capsys.readouterr().out
    assert "does not have the list yet" in shown
    assert f"--fix --host {practice.spec}" in shown


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--direct"], "name the list's with --site"),
        (["--direct", "--site", "nosuch"], "no site 'nosuch'"),
        (["--direct", "--site", "zuul"], "nobody can be asked for the list's password"),
        (["--direct", "--site", "zuul", "--password-file", "/nonexistent"], "cannot be read"),
        (["--direct", "--site", "zuul", "--password-file", "-"], "is empty"),
    ],
)
def test_direct_is_refused(
    practice: PracticeSite,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    why: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    given = ["add-list", "new", "--admin", "a@example.com", "--description", "D"]
    assert cli.run([*given, *words, "--yes", "--host", practice.spec]) == 2
    shown = capsys.readouterr().err
    assert why in shown
    assert len(shown.splitlines()) == 1
    assert not (practice.site_dir("zuul") / "lists" / "new").exists()


def test_a_list_that_was_created_and_lacks_something(
    practice: PracticeSite, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_LIST_PASSWORD", "secret")
    aliases = practice.folder / "etc/aliases"
    aliases.parent.mkdir(exist_ok=True)
    aliases.write_text('zuul-jobs: "|/usr/lib/mailman/mail/mailman post zuul-jobs"\n')
    given = ["add-list", "lacking", "--admin", "a@example.com", "--description", "D", "--direct"]
    assert cli.run([*given, "--site", "zuul", "--yes", "--host", practice.spec]) == 1
    aliases.unlink()
    shown = capsys.readouterr().out
    assert "lacking was created, but not all is as it should be:\n" in shown
    assert "none of this one: add them as they are there for another list, and run" in shown


def test_a_file_of_aliases_that_is_none_is_not_waited_for(
    practice: PracticeSite, capsys: Captured
) -> None:
    """Where Mailman itself writes aliases, its user may have put anything."""
    settings = practice.folder / "Mailman/mm_cfg.py"
    text = settings.read_text()
    settings.write_text(text + "MTA = 'Manual'\n")
    aliases = practice.site_dir("zuul") / "data/aliases"
    os.mkfifo(aliases)
    try:
        cli.run(["add-list", "zuul-jobs", "--check", "--host", practice.spec])
    finally:
        settings.write_text(text)
        aliases.unlink()
    assert f"{aliases} cannot be read (it is no plain file)\n" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["--check", "--fix"])
def test_a_list_that_the_manifest_does_not_have(
    manifest: Path, capsys: Captured, mode: str
) -> None:
    assert cli.run(["add-list", "openstack-foo", "--manifest", str(manifest), mode]) == 2
    assert "has no list openstack-foo" in capsys.readouterr().err
    zh = TEXT.replace("openstack-zh-admin", "openstack-zh")
    manifest.write_text(zh)
    assert cli.run(["add-list", "openstack-zh", "--manifest", str(manifest), mode]) == 2
    assert "line 13: openstack-zh is not to be present" in capsys.readouterr().err


def test_declared(tmp_path: Path) -> None:
    path = tmp_path / "lists.pp"
    path.write_text(TEXT)
    wanted, site = add_list_edit.declared(manifest_file.load(str(path)), "openstack-es", "any")
    assert site is None
    assert (wanted.admin, wanted.description) == ("es@example.com", "Lista")
    assert wanted.mail_host == Value("$listdomain", None)
    assert wanted.by_maillist
    path.write_text(SITES)
    file = manifest_file.load(str(path))
    with pytest.raises(BadInputError, match=r"several lists a \(openstack, zuul\)"):
        add_list_edit.declared(file, "a", None)
    with pytest.raises(BadInputError, match="for another site"):
        add_list_edit.declared(file, "a", "airship")
    wanted, site = add_list_edit.declared(file, "a", "zuul")
    assert (site, wanted.mail_host, wanted.by_maillist) == ("zuul", None, False)


#: Of the first practice site.
DOMAIN = whose().first.domain


def seen(
    practice: PracticeSite, wanted: Wanted, version: str = "", **said: Any
) -> dict[str, tuple[str, str]]:
    """The check of a list that is as `said`: point: (state, detail)."""
    from runbooks.host.host import Host
    from runbooks.mailman.installation import discover

    site = discover(Host(practice.spec)).sites[0]
    aliases = said.pop("aliases", ())
    list_ = {
        "exists": True,
        "alias_files": [],
        "owner": ["a@example.com"],
        "description": "D",
        "mail_host": DOMAIN,
        "web_page_url": f"http://{DOMAIN}/mailman/",
        "others": 3,
        **said,
    }
    found = Seen(site, wanted, made(Looked, list_), aliases, version).findings
    return {one.what: (one.state, one.detail) for one in found}


def test_the_points_of_the_check(practice: PracticeSite) -> None:
    good = Wanted("x", "A@Example.com", "D", DOMAIN, DOMAIN.capitalize())
    states = {what: state for what, (state, _) in seen(practice, good).items()}
    assert states.pop("aliases") == UNKNOWN
    assert set(states.values()) == {GOOD}
    variable = Value("$x", None)
    unknown = seen(practice, Wanted("x", variable, variable, variable, variable))
    assert unknown["owner"] == (UNKNOWN, "a@example.com; the manifest says $x")
    assert unknown["description"][0] == UNKNOWN
    assert unknown["mail host"] == (
        GOOD,
        f"{DOMAIN}, the installation's own; the manifest says $x",
    )
    other = seen(
        practice,
        Wanted("x", "b@example.com", "E", "m.example.org", variable),
        web_page_url="http://w.example.org/mailman/",
        lacking=["t@example.com"],
        left_out=["corrupt"],
        as_new=["new"],
    )
    assert other["owner"][0] == other["mail host"][0] == other["description"][0] == MISSING
    assert other["web host"] == (
        UNKNOWN,
        f"w.example.org; the manifest says $x, the installation {DOMAIN}",
    )
    assert other["bans"] == (
        MISSING,
        "all 3 other lists refuse t@example.com, and this one does not (corrupt could not be read)"
        " (new: as new as this one, and not asked)",
    )
    nothing = seen(practice, Wanted("x"), mail_host="m.example.org", others=0)
    assert {nothing[w][0] for w in ("owner", "description", "mail host")} == {UNKNOWN}
    assert nothing["web host"][0] == nothing["bans"][0] == GOOD
    gone = seen(practice, Wanted("x"), exists=False)
    assert gone == {"list": (MISSING, "x is not on openstack")}
    damaged = seen(practice, Wanted("x"), unreadable="corrupt")
    assert damaged == {"list": (MISSING, "it cannot be read: corrupt")}


def test_the_aliases(practice: PracticeSite) -> None:
    def alias(by_maillist: bool = False, version: str = "", **said: Any) -> tuple[str, str]:
        file = made(Aliases, {"path": "/etc/aliases", **said})
        wanted = Wanted("x", by_maillist=by_maillist)
        return seen(practice, wanted, version, aliases=(file,))["aliases"]

    every = list(add_list_check.aliases_of("x"))
    assert len(every) == 10
    assert alias() == (GOOD, "all 10 are in /etc/aliases")
    assert alias(missing=["x-join"])[0] == MISSING
    assert alias(elsewhere={"x-join": "root"})[0] == MISSING
    assert alias(stale="/etc/aliases.db")[0] == MISSING
    assert alias(missing=every, others=3)[0] == MISSING
    by_puppet = {"missing": every, "by_maillist": True}
    assert alias(**by_puppet, version="2.1.39")[1].endswith("there is none: run Puppet here")
    assert alias(**by_puppet, others=3, version="2.1.39")[1].endswith("run Puppet here")
    # Its first run makes the list and fails (recording `puppet_maillist`).
    assert "run Puppet again" in alias(**by_puppet, version="2.2.0")[1]
    assert alias(missing=every)[0] == UNKNOWN
    closed = alias(why="Permission denied", absent=False)
    assert closed == (UNKNOWN, "/etc/aliases cannot be read (Permission denied): look as root")
    assert alias(why="No such file", absent=True)[0] == UNKNOWN
