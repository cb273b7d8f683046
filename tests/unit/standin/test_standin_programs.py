"""What no recording shows of the stand-in's programs."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time

import pytest

from runbooks.standin import install
from tests.support.waiting import wait_for


def test_version_says_what_it_is(site):
    first, second = site.run("version").splitlines()
    number = "2.1.39" if site.answers_as_2_1 else "2.2.0"
    assert first == f"Using Mailman version: {number}"
    assert "stand-in" in second
    assert "not GNU Mailman" in second


@pytest.mark.usefixtures("only_mailmanctl")
def test_installed_for_the_interpreter_that_was_asked_for(site):
    programs = site.installation / "bin"
    for name in install.PROGRAMS:
        assert (programs / name).read_text().startswith(f"#!{site.python}\n")
        assert (programs / name).stat().st_mode & stat.S_IXOTH
        assert "Usage: " in site.run(name, "--help") or name == "version"


def test_installed_over_an_older_one(tmp_path):
    for host in ("one.example.org", "two.example.org"):
        install.install(
            str(tmp_path / "mailman"),
            mm_cfg=install.settings(str(tmp_path / "var"), host=host),
            links=str(tmp_path),
        )
    install.make_site(str(tmp_path / "var"))
    subprocess.run([tmp_path / "newlist", "-q", "alpha", "a@example.com", "pw"], check=True)
    shown = subprocess.run(
        [tmp_path / "config_list", "-o", "-", "alpha"], check=True, capture_output=True, text=True
    ).stdout
    assert "\nhost_name = 'two.example.org'\n" in shown


def test_settings_or_a_link_to_them(tmp_path):
    with pytest.raises(ValueError, match="not both"):
        install.install(str(tmp_path), mm_cfg="", mm_cfg_link="/etc/mailman/mm_cfg.py")


def test_nothing_else_is_replaced(tmp_path):
    (tmp_path / "bin").mkdir()
    with pytest.raises(ValueError, match="has a bin that is not the stand-in's"):
        install.install(str(tmp_path))
    assert os.listdir(tmp_path / "bin") == []


def test_an_interpreter_that_no_first_line_can_name(tmp_path):
    with pytest.raises(ValueError, match="use a link to it"):
        install.install(str(tmp_path / "mailman"), python="/a path/python3")
    assert os.listdir(tmp_path) == []


def test_newlist_as_puppet_calls_it(site):
    printed = site.run(
        "newlist",
        "--emailhost",
        "mail.example.org",
        "--urlhost",
        "www.example.org",
        "foo",
        "admin@example.com",
        "pw",
        rc=0 if site.answers_as_2_1 else 1,
    )
    aliases = [line for line in printed.splitlines() if '"|' in line]
    assert len(aliases) == 10
    assert aliases[0].split() == [
        "foo:",
        f'"|{site.prefix}/mail/mailman',
        "post",
        'foo"',
    ]
    assert printed.splitlines()[-1] == "Hit enter to notify foo owner..."
    assert site.run("list_lists", "--bare") == "foo\n"
    said = site.code(
        "m = MailList.MailList('foo', lock=0); print(m.host_name, m.web_page_url, m.owner)"
    )
    assert said == "mail.example.org http://www.example.org/mailman/ ['admin@example.com']\n"


def test_names_that_newlist_asks_for(site):
    site.run("newlist", "-q", stdin="alpha\nadmin@example.com\npw\n")
    assert site.run("list_lists", "-b") == "alpha\n"


def test_a_refused_list_leaves_nothing(site):
    site.run("newlist", "-q", "alpha", "nobody", "pw", rc=1)
    site.run("newlist", "-q", "..", "admin@example.com", "pw", rc=1)
    assert [os.listdir(site.prefix / folder) for folder in ("lists", "locks")] == [[], []]


def test_rmlist_stays_below_its_folders(site):
    for name in ("..", "../locks", ""):
        site.run("rmlist", "-a", name, rc=1)
    assert (site.prefix / "lists").is_dir()


def test_rmlist_removes_the_locks_of_the_list_whoever_has_them(site):
    for name in ("alpha", "alpha.beta"):
        site.new_list(name)
    for name in ("alpha.lock", "alpha.lock.lists.1.0", "alpha.beta.lock", "alphabet.lock"):
        (site.prefix / "locks" / name).touch()
    site.run("rmlist", "-a", "alpha")
    assert site.locks == ["alphabet.lock"]  # also that of a list whose name begins so, with a dot
    (site.prefix / "locks" / "alpha.beta.lock").touch()
    site.run("rmlist", "-a", "alpha.beta")
    assert site.locks == ["alpha.beta.lock", "alphabet.lock"]


def test_rmlist_removes_the_held_messages_of_the_list(site):
    site.new_list("alpha")
    for name in ("heldmsg-alpha-1.pck", "heldmsg-alpha-b-1.pck", "heldmsg-alpha-2.txt"):
        (site.prefix / "data" / name).touch()
    site.run("rmlist", "-a", "alpha")
    assert [name for name in os.listdir(site.prefix / "data") if name.startswith("heldmsg")] == [
        "heldmsg-alpha-b-1.pck"
    ]


def test_config_list_sets_what_it_shows(site):
    site.new_list("alpha")
    text = site.run("config_list", "-o", "-", "alpha")
    changed = text.replace("\ndescription = ''\n", "\ndescription = 'caf\\xe9 %s'\n")
    assert changed != text
    site.run("config_list", "-c", "-i", "-", "alpha", stdin=changed)
    assert site.run("config_list", "-o", "-", "alpha") == text
    site.run("config_list", "-i", "-", "alpha", stdin=changed)
    said = site.code("print(MailList.MailList('alpha', lock=0).description == 'caf\\xe9 %s')")
    assert said == "True\n"


def test_config_list_takes_no_stray_bytes_on_python_2(site):
    site.new_list("alpha")
    rc = 1 if site.answers_as_2_1 else 0
    site.run("config_list", "-i", "-", "alpha", stdin="description = 'caf\u00e9'\n", rc=rc)
    assert site.locks == []


def test_members(site):
    site.new_list("alpha")
    site.run("add_members", "-r", "-", "alpha", stdin="A <a@example.com>\nb@example.com\n")
    site.run("add_members", "-d", "-", "alpha", stdin="C@example.com\n")
    assert site.run("list_members", "-f", "-r", "alpha") == "A <a@example.com>\nb@example.com\n"
    assert site.run("list_members", "-d", "-p", "alpha") == "C@example.com\n"
    site.run("remove_members", "--fromall", "a@example.com")
    assert site.run("list_members", "alpha") == "b@example.com\nc@example.com\n"
    site.run("remove_members", "-a", "alpha")
    assert site.run("list_members", "alpha") == ""


def test_an_option_that_switches_between_digests(site):
    """That is not a bit like the others, and nothing here may ask for it by mistake."""
    site.new_list("alpha")
    said = site.code("""
m = MailList.MailList("alpha")
m.addNewMember("a@example.com", digest=True)
print(m.getMemberOption("a@example.com", mm_cfg.Digests), m.getDigestMemberKeys())
m.Unlock()
""")
    assert said == "True ['a@example.com']\n"


def test_the_order_of_lists_is_that_of_the_directory(site):
    """Recorded, but not compared: it is another on every file system."""
    names = ["alpha", "beta", "gamma", "delta"]
    for name in names:
        site.new_list(name)
        site.run("add_members", "-r", "-", name, stdin="a@example.com\n")
    in_order = [name for name in os.listdir(site.prefix / "lists") if name in names]
    found = site.run("find_member", "a@").split()[3:]
    if site.answers_as_2_1:
        assert sorted(found) == sorted(names)
    else:
        assert found == in_order
    removed = site.run("remove_members", "--fromall", "a@example.com")
    assert [line.split()[-1].rstrip(".") for line in removed.splitlines()] == in_order


def test_find_member(site):
    for name in ("alpha", "beta"):
        site.new_list(name)
    site.run("add_members", "-r", "-", "alpha", stdin="Admin@example.com\n")
    shown = "admin@example.com found in:\n     beta (as owner)\n"
    assert site.run("find_member", "-w", "-x", "alpha", "^ADMIN@") == shown
    assert site.run("find_member", "-l", "alpha", "^x", "n@") == (
        "Admin@example.com found in:\n     alpha\n"
    )
    assert site.run("find_member", "-l", "nosuch", "n@") == "No such list: nosuch\n"
    site.run("find_member", rc=1)


def test_owners(site):
    for name in ("alpha", "beta"):
        site.new_list(name)
    site.code("""
m = MailList.MailList("beta")
m.owner.append("other@example.com")
m.moderator.append("moderator@example.com")
m.Save()
m.Unlock()
""")
    assert site.run("list_owners") == "admin@example.com\nother@example.com\n"
    assert site.run("list_owners", "-w", "-m", "beta").split() == [
        "beta",
        "admin@example.com",
        "moderator@example.com",
        "other@example.com",
    ]
    shown = "List: beta, \tOwners: admin@example.com, other@example.com\n"
    assert site.run("list_admins", "BETA") == shown
    assert sorted(site.run("list_admins", "-a").splitlines())[1] + "\n" == shown
    assert site.run("list_admins", "nosuch") == "No such list: nosuch\n"


def test_remove_members_takes_no_file_on_python_3(site):
    site.new_list("alpha")
    site.run("add_members", "-r", "-", "alpha", stdin="a@example.com\n")
    rc = 0 if site.answers_as_2_1 else 1
    site.run("remove_members", "--fromall", "-f", "-", stdin="a@example.com\n", rc=rc)
    left = "" if site.answers_as_2_1 else "a@example.com\n"
    assert site.run("list_members", "alpha") == left
    assert site.locks == []


def test_withlist_all_locked(site):
    """On 2.1 every list is unlocked at the end; on 2.2 none is."""
    for name in ("alpha", "beta"):
        site.new_list(name)
    script = site.prefix / "nothing.py"
    script.write_text("def nothing(m):\n    assert m.Locked()\n")
    process = site.start(
        "env",
        f"PYTHONPATH={site.prefix}",
        str(site.installation / "bin" / "withlist"),
        *("-q", "-a", "-l", "-r", "nothing"),
    )
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    left = [name for name in site.locks if name.endswith(".lock")]
    assert left == ([] if site.answers_as_2_1 else ["alpha.lock", "beta.lock"])


def runners(master: int) -> list[int]:
    """The two runners of a mailmanctl, which starts them after the command has ended."""

    def started() -> list[int]:
        shown = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(master)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        lines = [line for line in shown.splitlines() if "/bin/qrunner --runner=" in line]
        return [int(line.split()[0]) for line in lines]

    wait_for(lambda: len(started()) == 2)
    return started()


@pytest.mark.usefixtures("only_mailmanctl")
def test_mailmanctl_starts_and_stops(site):
    site.new_list("mailman")
    site.run("mailmanctl", "-u", "-q", "start")
    lock, claim = site.locks
    assert lock == "master-qrunner"
    runners(int(claim.rsplit(".", 1)[1]))
    site.run("mailmanctl", "-u", "-q", "restart")
    assert site.locks[1] != claim
    runners(int(site.locks[1].rsplit(".", 1)[1]))
    site.run("mailmanctl", "-u", "-q", "stop")
    wait_for(lambda: site.locks == [])
    site.run("mailmanctl", "-u", "-q", "stop", rc=1)


@pytest.mark.usefixtures("only_mailmanctl")
def test_runners_outlive_their_master(site):
    site.new_list("mailman")
    site.run("mailmanctl", "-u", "-q", "start")
    master = int(site.locks[1].rsplit(".", 1)[1])
    children = runners(master)
    try:
        os.kill(master, signal.SIGKILL)
        time.sleep(2)
        for child in children:
            os.kill(child, 0)  # raises an error when there is no such process
        assert site.locks[0] == "master-qrunner"
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
