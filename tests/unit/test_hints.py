"""What a command prints to be run next is run as it is printed, and helps with that very list."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time

import pytest

from runbooks.host.host import Host
from runbooks.mailman.target import invocation
from tests.support.practice import NOBODY

HOST = socket.gethostname()
#: A list that both sites have, as real ones both have "mailman".
TWIN = "mailman"
COMMAND = [sys.executable, "-m", "runbooks"]


@pytest.fixture
def twins(any_sites):
    any_sites.unlock()
    for site in ("openstack", "zuul"):
        new_list(any_sites, site, TWIN)
    return any_sites


def new_list(sites, site, name):
    sites.code(
        site,
        "import sys\nfrom Mailman import MailList\nm = MailList.MailList()\n"
        "m.Create(sys.argv[1], 'admin@example.com', 'x')\nm.Save()\nm.Unlock()\n",
        name,
    )


def stale(sites, site, name, pid=NOBODY):
    claim = sites.prefix(site) / "locks" / f"{name}.lock.{HOST}.{pid}.0"
    claim.write_text(str(claim))
    os.utime(claim, (time.time() + 18_000,) * 2)
    os.link(claim, claim.with_name(f"{name}.lock"))


def run(line, **environment):
    """Run a command line through a shell, as whoever pastes it does."""
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("runbook", shlex.join(COMMAND), 1)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def runbook(sites, *words):
    return run(shlex.join(["runbook", *words, "--host", sites.spec]))


def hints(text):
    return re.findall(r"→ (runbook .*)", text)


def bans(sites, name=TWIN):
    return [len(sites.bans(site, name)) for site in ("openstack", "zuul")]


def test_a_stale_lock_of_a_list_that_two_sites_have(twins):
    stale(twins, "zuul", TWIN)
    banned = runbook(twins, "ban", "evil@example.com", "--yes", "--timeout", "0")
    assert banned.returncode == 1
    shown = runbook(twins, "locks")
    assert hints(banned.stdout) == hints(shown.stdout)
    (hint,) = hints(banned.stdout)
    cleared = run(f"{hint} --yes")
    assert (cleared.returncode, cleared.stderr) == (0, "")
    assert twins.locks("zuul") == []


def test_the_lock_of_a_list_when_the_other_site_has_a_leftover_of_one_so_called(twins):
    stale(twins, "openstack", "openstack-foo")
    stale(twins, "zuul", "openstack-foo")
    (twins.prefix("zuul") / "locks" / "openstack-foo.lock").unlink()
    banned = runbook(twins, "ban", "evil@example.com", "--yes", "--timeout", "0")
    (hint,) = hints(banned.stdout)
    assert run(f"{hint} --yes").returncode == 0
    assert twins.locks("openstack") == []


@pytest.mark.parametrize("asked", [(), ("--site", "zuul"), ("--site", "zuul", "--list", TWIN)])
def test_a_ban_repeated_for_a_list_that_was_held(twins, asked):
    holder = twins.hold("zuul", TWIN)
    banned = runbook(twins, "ban", "evil@example.com", "--yes", "--timeout", "0", *asked)
    (hint,) = hints(banned.stdout)
    holder.kill()
    holder.wait()
    (twins.prefix("zuul") / "locks" / f"{TWIN}.lock").unlink()
    before = bans(twins)
    assert before == [0 if asked else 1, 0]
    assert run(f"{hint} --yes").returncode == 0
    # That one, and not what was not asked for.
    assert bans(twins) == [before[0], 1]


def test_a_ban_that_was_forced_is_forced_when_it_is_repeated(twins):
    holder = twins.hold("zuul", TWIN)
    words = ("ban", "admin@example.com", "--yes", "--timeout", "0", "--site", "zuul", "--force")
    (hint,) = hints(runbook(twins, *words).stdout)
    holder.kill()
    holder.wait()
    (twins.prefix("zuul") / "locks" / f"{TWIN}.lock").unlink()
    again = run(f"{hint} --yes")
    assert (again.returncode, again.stderr) == (0, "")


def test_another_entry_that_refuses_the_address_is_lifted_where_it_was_asked_for(twins):
    for site in ("openstack", "zuul"):
        twins.code(
            site,
            "from Mailman import MailList\nm = MailList.MailList('mailman', lock=1)\n"
            "m.ban_list = ['^-?evil@']\nm.Save()\nm.Unlock()\n",
        )
    words = ("unban", "evil@example.com", "--yes", "--site", "zuul")
    (hint,) = hints(runbook(twins, *words).stdout)
    assert run(f"{hint} --yes").returncode == 0
    assert bans(twins) == [1, 0]
    (hint,) = hints(runbook(twins, *words[:-2]).stdout)
    assert run(f"{hint} --yes").returncode == 0
    assert bans(twins) == [0, 0]


@pytest.mark.parametrize("before", [[], ["evil@example.com"]], ids=["looked at", "changed"])
def test_what_mailman_refuses_on_every_list_is_not_to_be_lifted_from_one(twins, before):
    with (twins.folder / "Mailman" / "mm_cfg.py").open("a") as settings:
        settings.write("\nGLOBAL_BAN_LIST = ['^evil@', 'Everywhere@example.com']\n")
    twins.code(
        "zuul",
        "import sys\nfrom Mailman import MailList\nm = MailList.MailList('mailman', lock=1)\n"
        "m.ban_list = eval(sys.argv[1])\nm.Save()\nm.Unlock()\n",
        repr(before),
    )
    words = ("unban", "evil@example.com", "--yes", "--site", "zuul", "--list", TWIN)
    done = runbook(twins, *words)
    assert done.returncode == 1
    assert "by the entry ^evil@ of GLOBAL_BAN_LIST in Mailman's mm_cfg.py" in done.stdout
    assert hints(done.stdout) == []
    assert bans(twins) == [0, 0]
    for address, entry in [
        ("evil@example.com", "^evil@"),
        (other := "everywhere@example.com",) * 2,
    ]:
        shown = runbook(twins, "banned", address, "--list", TWIN).stdout
        where = f"by {entry}, in GLOBAL_BAN_LIST of Mailman's mm_cfg.py"
        assert shown.count(where) == 2, shown
    both = runbook(twins, "banned", "evil@example.com", other, "--list", TWIN).stdout
    assert "itself, in GLOBAL_BAN_LIST of Mailman's" in both


def test_a_list_of_a_name_like_an_option(twins):
    new_list(twins, "zuul", "-x")
    stale(twins, "zuul", "-x")
    banned = runbook(twins, "ban", "evil@example.com", "--yes", "--timeout", "0")
    shown = runbook(twins, "locks")
    for printed in (banned, shown):
        (hint,) = hints(printed.stdout)
        assert run(hint.replace(" -- ", " --dry-run -- ")).returncode == 0, hint
    assert run(hints(banned.stdout)[0].replace(" -- ", " --yes -- ")).returncode == 0
    assert twins.locks("zuul") == []


def test_a_lock_of_a_name_that_no_list_can_have(twins):
    stale(twins, "zuul", "a b")
    shown = runbook(twins, "locks", "--site", "zuul")
    (hint,) = hints(shown.stdout)
    assert "--site zuul" in hint
    assert run(f"{hint} --yes").returncode == 0
    assert twins.locks("zuul") == []


@pytest.mark.usefixtures("only_mailmanctl")
def test_the_lock_of_mailmanctl_on_both_sites(twins):
    for site in ("openstack", "zuul"):
        claim = twins.prefix(site) / "locks" / f"master-qrunner.{HOST}.{NOBODY}"
        claim.write_text(str(claim))
        os.link(claim, claim.with_name("master-qrunner"))
    for hint in hints(runbook(twins, "locks").stdout):
        done = run(f"{hint} --dry-run")
        assert (done.returncode, done.stderr) == (0, ""), hint


def test_a_list_that_mailman_does_not_see_is_not_tried_again(twins):
    folder = twins.list_folder("zuul", "Unseen")
    folder.mkdir()
    os.symlink("/nowhere/config.pck", folder / "config.pck")
    done = runbook(twins, "ban", "evil@example.com", "--yes")
    assert done.returncode == 1
    assert "Mailman does not see it" in done.stdout
    assert hints(done.stdout) == []


def test_a_script_repeated_for_a_list_that_was_held(twins, tmp_path):
    script = tmp_path / "a script.py"
    script.write_text(
        "def change(m, *words):\n    m.Lock()\n    m.info = ' '.join(words)\n    m.Save()\n"
        "    m.Unlock()\n"
    )
    holder = twins.hold("zuul", TWIN)
    words = ["withlist", str(script), "--function", "change", "--yes", "--timeout", "0"]
    done = run(shlex.join(["runbook", *words, "--host", twins.spec, "--", "-v", "it's"]))
    assert done.returncode == 1, done.stderr
    (hint,) = hints(done.stdout)
    holder.kill()
    holder.wait()
    (twins.prefix("zuul") / "locks" / f"{TWIN}.lock").unlink()
    again = run(hint.replace(" -- ", " --yes -- "))
    assert again.returncode == 0, again.stderr
    assert "1 list: 1 changed" in again.stdout
    info = "from Mailman import MailList\nprint(MailList.MailList('mailman', lock=0).info)"
    assert twins.code("zuul", info) == "-v it's\n"


def test_a_pattern_that_is_suggested_is_quoted_for_a_shell(twins):
    done = runbook(twins, "ban", "o'brien.*@example.com", "--dry-run")
    meant = re.search(r"did you mean (.*)\?$", done.stderr.strip())
    assert meant, done.stderr
    assert run(f"runbook ban {meant[1]} --dry-run --host {twins.spec}").returncode == 0
    done = runbook(twins, "ban", "^o'brien.*@example.com", "--dry-run")
    meant = re.search(r"did you mean (.*)\?", done.stderr)
    assert run(f"runbook ban {meant[1]} --dry-run --host {twins.spec}").stderr == ""
    # None is better than one that matches nobody.
    done = runbook(twins, "ban", "a$(id)@example.com")
    assert "did you mean" not in done.stderr


def test_a_command_for_this_machine_where_another_host_is_the_default(monkeypatch):
    monkeypatch.delenv("RUNBOOK_HOST", raising=False)
    assert Host("local://").command(("locks",)) == "runbook locks"
    monkeypatch.setenv("RUNBOOK_HOST", "ssh://root@lists.example.org")
    assert Host("local://").command(("locks",)) == "runbook locks --host local://"


def test_an_argument_like_an_option_comes_last():
    assert invocation("unban", "^x", options=("--list", "a")) == ("unban", "^x", "--list", "a")
    words = invocation("unban", "-x", options=("--list", "a"))
    line = Host("docker://ID").command(words)
    assert line == "runbook unban --list a --host docker://ID -- -x"
