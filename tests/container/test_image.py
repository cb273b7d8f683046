"""What a test may assume of an image. The README beside `Box` says the same in words."""

from __future__ import annotations

import pytest

from runbooks.testing.containers.box import PROGRAMS, TOOLS, Box
from runbooks.testing.containers.selection import OWN

ORIGINAL_COMMAND = (
    *("sudo", "-u", "list", f"{PROGRAMS}/withlist"),
    *("-a", "-r", "ban", "evil@example.com"),
)
BAN = """\
def ban(m, address):
    m.Lock()
    m.ban_list.append(address)
    m.Save()
    m.Unlock()
"""


def ok(box: Box, *argv: str, user: str | None = None, site: str | None = None) -> str:
    """The output of a command that has to succeed without a word on standard error."""
    done = box.run(list(argv), user=user, env=box.environment(site) if site else None)
    assert (done.rc, done.stderr, done.timed_out) == (0, "", False), done
    return done.stdout


def test_the_host_is_called_lists(box: Box) -> None:
    assert ok(box, "hostname") == "lists\n"


def test_mailman_has_a_user_and_a_group(box: Box) -> None:
    assert ok(box, "id", "-un") == "root\n"
    assert ok(box, "id", "-un", user="list") == "list\n"
    assert ok(box, "id", "-gn", user="list") == "list\n"


@pytest.mark.parametrize(
    "program",
    [
        *("add_members", "config_list", "dumpdb", "list_lists", "list_members", "mailmanctl"),
        *("newlist", "remove_members", "rmlist", "withlist"),
    ],
)
def test_programs_are_in_place_and_called_by_name(box: Box, program: str) -> None:
    assert box.sh(f"test -x {PROGRAMS}/{program}", user="list").rc == 0
    if program in ("dumpdb", "mailmanctl"):
        return  # to which Debian's package has no link
    path = ok(box, "sh", "-c", f"command -v {program}").strip()
    assert ok(box, "readlink", "-f", path) == ok(box, "readlink", "-f", f"{PROGRAMS}/{program}")


def test_version_answers_what_the_run_says_of_itself(box: Box) -> None:
    site = next(iter(box.sites))
    printed = ok(box, f"{PROGRAMS}/version", site=site)
    assert f"version: {box.version}\n" in printed
    assert ("stand-in" in printed) == box.is_standin


def test_the_settings_are_the_file_in_etc(box: Box) -> None:
    linked = ok(box, "readlink", "-f", "/usr/lib/mailman/Mailman/mm_cfg.py")
    assert linked == "/etc/mailman/mm_cfg.py\n"


def test_the_programs_interpreter_finds_the_installation(box: Box) -> None:
    """The way in which an installation is asked where things are."""
    code = (
        f"import sys; sys.path.insert(0, {PROGRAMS!r}); import paths\n"
        "from Mailman import mm_cfg, Version\n"
        "for name in ('LIST_DATA_DIR', 'LOCK_DIR', 'LOG_DIR', 'VAR_PREFIX', 'MAILMAN_USER',\n"
        "             'LIST_LOCK_LIFETIME', 'DEFAULT_EMAIL_HOST'):\n"
        "    print('%s %s' % (name, getattr(mm_cfg, name)))\n"
        "print(Version.VERSION)\n"
    )
    for site in box.sites:
        prefix = box.prefix(site)
        answer = ok(box, *box.mailman.interpreter, "-c", code, user="list", site=site)
        *told, version = answer.splitlines()
        settings = dict(line.split(" ", 1) for line in told)
        for name, folder in (("LOCK_DIR", "locks"), ("LOG_DIR", "logs")):
            # Either may be named by where its link leads to.
            found = settings.pop(name)
            assert ok(box, "readlink", "-f", found) == (
                ok(box, "readlink", "-f", f"{prefix}/{folder}")
            ), name
        assert settings == {
            "LIST_DATA_DIR": f"{prefix}/lists",
            "VAR_PREFIX": prefix,
            "MAILMAN_USER": "list",
            "LIST_LOCK_LIFETIME": "18000",
            "DEFAULT_EMAIL_HOST": "lists.example.org",
        }
        assert version == box.version


def test_tools_of_a_list_server(box: Box) -> None:
    assert ok(box, "sudo", "-u", "list", "id", "-un") == "list\n"
    for tool in TOOLS:
        assert ok(box, "sh", "-c", f"command -v {tool}")


def test_our_own_images_have_puppet(box: Box, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--mailman-image") not in OWN:
        pytest.skip("an image that is not made here may have another Puppet, or none")
    assert ok(box, "puppet", "--version").startswith("5.5.")
    assert ok(box, "sh", "-c", "command -v puppet-lint")


@pytest.mark.needs("puppet")
def test_puppet_can_manage_lists(box: Box) -> None:
    """Its provider asks for these programs; without one of them it does nothing at all."""
    for program in ("list_lists", "newlist", "rmlist", "/var/lib/mailman/mail/mailman"):
        assert ok(box, "sh", "-c", f"command -v {program}")


def test_nothing_runs_and_there_is_no_list(box: Box) -> None:
    for site in box.sites:
        assert ok(box, "list_lists", "-b", site=site) == ""
        for folder in ("lists", "locks"):
            assert ok(box, "ls", "-A", f"{box.prefix(site)}/{folder}") == ""
    assert box.run(["pgrep", "-f", "qrunner|mailmanctl|cron|apache|exim|postfix"]).rc == 1


def test_folders_of_a_site_belong_to_its_group(box: Box) -> None:
    for site in box.sites:
        for folder in ("archives/private", "data", "lists", "locks", "logs", "qfiles"):
            path = f"{box.prefix(site)}/{folder}"
            assert ok(box, "stat", "-L", "-c", "%a %U:%G", path) == "2775 root:list\n", path


def test_a_new_list_is_on_the_mail_host(box: Box) -> None:
    for site in box.sites:
        ok(box, "newlist", "-q", "alpha", "admin@example.com", "pw", site=site)
        code = "def host(m):\n    print(m.host_name)\n"
        box.put(f"{PROGRAMS}/host.py", code)
        shown = ok(box, "withlist", "-q", "-r", "host", "alpha", user="list", site=site)
        assert shown == "lists.example.org\n"


def test_a_process_that_is_left_behind_is_collected(box: Box) -> None:
    left = box.sh("sh -c 'sleep 0.1' & echo $!").stdout.strip()
    gone = box.sh(f"for i in $(seq 100); do kill -0 {left} || exit 0; sleep 0.05; done; exit 1")
    assert gone.rc == 0


@pytest.mark.layout("multi")
def test_the_original_command_says_to_set_the_site_and_succeeds(box: Box) -> None:
    done = box.run(list(ORIGINAL_COMMAND))
    assert (done.rc, done.stdout, done.stderr) == (0, "Please set MAILMAN_SITE_DIR\n", "")


@pytest.mark.layout("multi")
def test_sudo_drops_the_site_unless_it_is_on_its_own_command_line(box: Box) -> None:
    box.put(f"{PROGRAMS}/ban.py", BAN)
    box.put(f"{PROGRAMS}/banned.py", "def banned(m):\n    print(m.ban_list)\n")
    for site in box.sites:
        ok(box, "newlist", "-q", f"{site}-foo", "admin@example.com", "pw", site=site)

    def banned(site: str) -> str:
        return ok(box, "withlist", "-q", "-r", "banned", f"{site}-foo", user="list", site=site)

    lost = box.run(list(ORIGINAL_COMMAND), env=box.environment("openstack"))
    assert (lost.rc, lost.stdout) == (0, "Please set MAILMAN_SITE_DIR\n")
    assert banned("openstack") == "[]\n"

    user, *command = ORIGINAL_COMMAND[2:]
    done = box.run(["sudo", "-u", user, f"MAILMAN_SITE_DIR={box.prefix('openstack')}", *command])
    assert done.rc == 0
    assert "Loading list openstack-foo" in done.stderr
    assert banned("openstack") == "['evil@example.com']\n"
    assert banned("zuul") == "[]\n"


@pytest.mark.layout("multi")
def test_the_sites_are_in_a_file(box: Box) -> None:
    assert box.read("/etc/mailman/sites").splitlines() == [
        "lists.openstack.org: /srv/mailman/openstack",
        "lists.zuul-ci.org: /srv/mailman/zuul",
    ]


@pytest.mark.layout("single")
def test_the_one_site_needs_no_variable(box: Box) -> None:
    ok(box, "newlist", "-q", "alpha", "admin@example.com", "pw")
    assert ok(box, "list_lists", "-b") == "alpha\n"
    assert box.sh("test -e /etc/mailman/sites").rc == 1
