"""What an installation says of itself, and what it is when something is wrong with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks import onhost
from runbooks.errors import BadInputError, HostError
from runbooks.host.host import Host
from runbooks.mailman.installation import (
    as_mailman,
    discover,
    is_list_name,
    list_name,
    unknown_list,
)

#: One that any user can run.
SYSTEM_PYTHON = "/usr/bin/python3"


def test_an_installation_describes_itself(every_sites):
    found = every_sites.installation()
    assert found.version == ("2.1.39" if every_sites.is_python_2 else "2.2.0")
    assert found.note == "stand-in"
    assert Path(found.interpreter).name.startswith("python")
    assert found.bin == str(every_sites.folder / "bin")
    assert [site.name for site in found.sites] == ["openstack", "zuul"]
    openstack = found.sites[0]
    assert openstack.site_dir == openstack.prefix == str(every_sites.prefix("openstack"))
    assert openstack.lock_dir == f"{openstack.prefix}/locks"
    assert openstack.lock_lifetime == 5 * 3600
    assert (openstack.lists, openstack.first_list) == (7, "openstack-announce")
    assert openstack.problems == ()
    assert found.problems == ()
    assert found.host.traffic.commands == 1


def test_discovering_changes_nothing(every_sites):
    before = every_sites.files()
    every_sites.installation()
    assert every_sites.files() == before


def test_sites_of_the_same_name_are_told_apart(any_sites):
    """They would be taken for one another in every result, and one of them be left out."""
    other = any_sites.folder / "srv" / "other" / "zuul"
    shutil.copytree(any_sites.prefix("zuul"), other, symlinks=True)
    with (any_sites.folder / "etc/mailman/sites").open("a") as file:
        file.write(f"lists.other.example: {other}\n")
    found = any_sites.installation()
    assert [site.name for site in found.sites] == [
        "openstack",
        str(any_sites.prefix("zuul")),
        str(other),
    ]


def test_a_site_that_is_listed_twice_or_linked_is_one_site(any_sites):
    link = any_sites.folder / "link"
    link.symlink_to(any_sites.prefix("zuul"))
    with (any_sites.folder / "etc/mailman/sites").open("a") as file:
        file.write(
            f"\n# comment\nnonsense\na.example: {link}\nb.example: {any_sites.prefix('zuul')}\n"
        )
    assert [site.name for site in any_sites.installation().sites] == ["openstack", "zuul"]


def test_a_file_of_sites_that_is_not_utf_8_is_read_all_the_same(sites):
    with (sites.folder / "etc/mailman/sites").open("ab") as file:
        file.write(b"caf\xe9.example: /srv/mailman/caf\xe9\n")
    assert [site.name for site in sites.installation().sites][:2] == ["openstack", "zuul"]


def test_a_site_whose_folder_is_missing_is_a_problem_and_not_a_failure(any_sites):
    with (any_sites.folder / "etc/mailman/sites").open("a") as file:
        file.write("gone.example: /srv/mailman/gone\n")
    found = any_sites.installation()
    gone = next(site for site in found.sites if site.name == "gone")
    assert any("is not a folder" in problem for problem in gone.problems)


@pytest.mark.parametrize(
    ("mm_cfg", "why"),
    [
        ("print('Please set the other variable')\nimport sys\nsys.exit(0)\n", "other variable"),
        ("raise ValueError('broken settings')\n", "broken settings"),
        ("this is no Python\n", "SyntaxError"),
        ("import os\nos.kill(os.getpid(), 9)\n", "says nothing"),
        ("print('x' * 1000000 + '\\nthe end')\nraise SystemExit(1)\n", "the end"),
    ],
)
def test_settings_that_do_not_load_are_one_line(any_sites, mm_cfg, why):
    (any_sites.folder / "Mailman/mm_cfg.py").write_text(mm_cfg)
    with pytest.raises(HostError, match=why) as caught:
        any_sites.installation()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("#!/nonexistent/python", "interpreter that is not there: /nonexistent/python"),
        ('#!/no"such\\python', "interpreter that is not there: /nosuchpython"),
        ("#!/usr/bin/env nosuchpython", "interpreter that is not there: nosuchpython"),
        ("no interpreter", "interpreter that is not there"),
        ("", "interpreter that is not there"),
    ],
)
def test_programs_without_an_interpreter_are_one_line(any_sites, line, why):
    (any_sites.folder / "bin/withlist").write_text(f"{line}\n")
    with pytest.raises(HostError) as caught:
        any_sites.installation()
    assert why in str(caught.value)


def test_an_interpreter_found_by_env_is_asked(any_sites, monkeypatch):
    program = any_sites.folder / "bin/withlist"
    text = program.read_text()
    python = text.splitlines()[0].removeprefix("#!")
    monkeypatch.setenv("PATH", f"{Path(python).parent}:{os.environ['PATH']}")
    program.write_text(text.replace(python, f"/usr/bin/env {Path(python).name}", 1))
    assert len(any_sites.installation().sites) == 2


@pytest.fixture
def named(any_sites, tmp_path):
    """Has the programs name an interpreter below a folder that the test may spoil."""
    program = any_sites.folder / "bin/withlist"
    _, _, rest = program.read_text().partition("\n")
    real = any_sites.site.run("zuul", "withlist", "--help") and os.path.realpath(any_sites.python)
    folder = tmp_path / "way"
    folder.mkdir()
    (folder / "python").symlink_to(real)
    program.write_text(f"#!{folder}/python\n{rest}")
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize("spoil", ["owner", "group", "anybody", "the link's folder"])
def test_root_runs_no_interpreter_that_others_can_change(any_sites, named, spoil):
    """Where Mailman's group may write its programs, their first line is its user's own."""
    assert len(any_sites.installation().sites) == 2
    match spoil:
        case "owner":
            os.chown(named, 1, 0)
        case "group":
            os.chown(named, 0, 1)
            named.chmod(0o775)
        case "anybody":
            named.chmod(0o757)
        case _:
            real = (named / "python").readlink()
            (named / "theirs").mkdir()
            (named / "theirs/python").symlink_to(real)
            os.chown(named / "theirs", 1, 0)
            (named / "python").unlink()
            (named / "python").symlink_to("theirs/python")
    with pytest.raises(HostError, match="an interpreter that users other than root can change"):
        any_sites.installation()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become whom sudo names")
def test_who_became_root_with_sudo_may_own_the_interpreter(any_sites, named, monkeypatch):
    os.chown(named, 1, 1)
    named.chmod(0o775)
    monkeypatch.setenv("SUDO_UID", "1")
    monkeypatch.setenv("SUDO_GID", "1")
    assert len(any_sites.installation().sites) == 2


def test_an_interpreter_without_its_whole_path_is_none(any_sites, monkeypatch):
    """It would be that of the current folder."""
    (any_sites.folder / "bin/withlist").write_text("#!bin/python\n")
    (any_sites.folder / "bin/python").symlink_to(any_sites.python)
    monkeypatch.chdir(any_sites.folder)
    with pytest.raises(HostError, match="interpreter that is not there: bin/python"):
        any_sites.installation()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason="others cannot run root's own Python")
def test_a_practice_site_is_run_as_whoever_made_it(make_sites):
    """Root may look at one: its programs are then another's."""
    any_sites = make_sites(SYSTEM_PYTHON)
    whoami = any_sites.folder / "whoami"
    settings = any_sites.folder / "Mailman/mm_cfg.py"
    with settings.open("a") as file:
        file.write(f"open({str(whoami)!r}, 'a').write('%d ' % os.geteuid())\n")
        file.write("MAILMAN_USER = MAILMAN_GROUP = 'daemon'\n")
    for folder in any_sites.folder.parents:
        if "pytest" in str(folder):  # how deep it is depends on how many workers there are
            folder.chmod(0o755)
    subprocess.run(["chown", "-R", "1:1", any_sites.folder], check=True)
    assert {site.user for site in any_sites.installation().sites} == {"daemon"}
    assert set(whoami.read_text().split()) == {"1"}
    with settings.open("a") as file:
        file.write("MAILMAN_USER = 'root'\n")
    with pytest.raises(HostError, match="it says that Mailman's user is root"):
        any_sites.installation()


def test_settings_that_never_load_are_waited_for_no_longer_than_that(any_sites, monkeypatch):
    real = onhost.source
    monkeypatch.setattr(
        onhost, "source", lambda name: real(name).replace("PATIENCE = 30", "PATIENCE = 1")
    )
    (any_sites.folder / "Mailman/mm_cfg.py").write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(HostError, match="it does not answer within 1 seconds"):
        any_sites.installation()


def test_what_settings_print_where_events_go_is_no_event(any_sites):
    """Whoever wrote them could have us become another user."""
    forged = json.dumps({"event": "installation", "sites": [], "refusals": [{"said": "forged"}]})
    with (any_sites.folder / "Mailman/mm_cfg.py").open("a") as file:
        file.write(
            "for fd in range(3, 50):\n"
            f"    try:\n        os.write(fd, b'@@runbook ' + {forged.encode()!r} + b'\\n')\n"
            "    except OSError:\n        pass\n"
        )
    with pytest.raises(HostError, match="no description of a Mailman"):
        any_sites.installation()


def test_a_host_without_mailman_is_one_line(tmp_path):
    with pytest.raises(HostError, match="has no Mailman 2") as caught:
        discover(Host(f"local://?mailman={tmp_path}"))
    assert str(tmp_path) in str(caught.value)


def test_a_host_with_mailman_3_is_told_so(tmp_path, monkeypatch):
    mailman = tmp_path / "mailman"
    mailman.write_text("#!/bin/sh\necho 'GNU Mailman 3.3.3 (Tom Sawyer)'\n")
    mailman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostError, match="Mailman 3"):
        discover(Host(f"local://?mailman={tmp_path}"))


def test_a_folder_of_programs_may_have_any_name(any_sites, tmp_path, monkeypatch):
    """The folder is a word of a shell script on the way to the host."""
    odd = tmp_path / "it's $(here);\"&"
    odd.symlink_to(any_sites.folder / "bin")
    # No /etc/mailman/sites of this machine has these sites; the variable is asked as well.
    monkeypatch.setenv("MAILMAN_SITE_DIR", str(any_sites.prefix("zuul")))
    host = Host(f"local://?mailman={str(odd).replace('&', '%26').replace(';', '%3b')}")
    # Made by root it is root's, as no Mailman is.
    host.practice_dir = str(tmp_path)
    try:
        found = discover(host)
    finally:
        host.close()
    assert found.bin == str(any_sites.folder / "bin")
    assert [site.name for site in found.sites] == ["zuul"]


# -- names of lists -------------------------------------------------------------------------


@given(st.text(max_size=250))
def test_a_name_is_that_of_a_list_or_refused_with_one_line(text):
    try:
        name = list_name(text)
    except BadInputError as e:
        message = str(e)
    else:
        assert is_list_name(name)
        assert name == text.strip(" ").lower()
        return
    assert message.isprintable()


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../etc", "a/b", "a b", "a\n", "a\0", "a;b", "$(a)", "é", "%s", "-" * 300],
)
def test_what_names_no_list_is_refused(text):
    with pytest.raises(BadInputError):
        list_name(text)


def test_a_name_near_to_an_unknown_one_is_offered():
    assert "did you mean zuul-jobs" in str(unknown_list("zuul-job", ["zuul-jobs", "x"]))
    assert str(unknown_list("y", ["zuul-jobs"])) == "there is no list 'y'; there are: zuul-jobs"
    many = [f"zuul-{number}" for number in range(9)]
    some = "zuul-0, zuul-1, zuul-2, zuul-3, zuul-4"
    assert f"there are 9, among them {some}" in str(unknown_list("y", many + many))
    assert str(unknown_list("y", [])) == "there is no list 'y'; there is none at all"


# -- by hand --------------------------------------------------------------------------------


def test_a_program_runs_as_mailmans_user_with_the_site_on_sudos_own_command_line(any_sites):
    found = any_sites.installation()
    site = found.sites[0]
    words = as_mailman(found, site, "withlist", "-r", "f", "it's")
    assert words == (f"env MAILMAN_SITE_DIR={site.site_dir} {found.bin}/withlist -r f 'it'\"'\"'s'")
    other = type(found)(**{**vars(found), "uid": 12345})
    assert as_mailman(other, site, "withlist").startswith(
        f"sudo -u {site.user} MAILMAN_SITE_DIR={site.site_dir} "
    )


def test_what_is_printed_for_a_hand_runs_as_printed(any_sites):
    found = any_sites.installation()
    line = as_mailman(found, found.sites[1], "list_lists", "-b")
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["zuul-announce", "zuul-discuss", "zuul-jobs", "zuul-security"]
