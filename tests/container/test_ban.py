"""*Banning an Address from All Lists*, by hand and by command, on a Mailman 2 in a container."""

from __future__ import annotations

import pickle
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbooks.ban import page as ban_page
from runbooks.book.procedure import paste
from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.testing.containers.box import PROGRAMS, Box, shell_of
from tests.support import preloaded
from tests.support.lockers import Actor, names, new_list, objects, play, runbook
from tests.support.steps import faults

ADDRESS = "target@example.com"
NEIGHBOUR = "targets@example.com"
MM_CFG = "/etc/mailman/mm_cfg.py"
#: Without mail to anybody.
ADD_MEMBERS = ("add_members", "-r", "-", "-w", "n", "-a", "n")
PAGE = Path(__file__).resolve().parents[1] / "conformance" / "scripts" / "ban.py"


@pytest.fixture
def installation(box: Box) -> Iterator[Installation]:
    """Three lists on each site, with a member and an entry each."""
    for site in box.sites:
        new_list(box, site, *lists_of(site))
        for name in lists_of(site):
            mailman(box, site, *ADD_MEMBERS, name, stdin="member@example.net\n")
            box.put("/tmp/settings", "ban_list = ['^earlier@']\n")
            mailman(box, site, "config_list", "-i", "/tmp/settings", name)
    box.run(["rm", "-f", "/tmp/settings"])
    host = Host(box.spec)
    yield discover(host)
    host.close()


def lists_of(site: str) -> list[str]:
    return [f"{site}-{name}" for name in ("announce", "discuss", "infra")]


def all_lists(box: Box) -> list[tuple[str, str]]:
    return [(site, name) for site in box.sites for name in lists_of(site)]


def mailman(box: Box, site: str, program: str, *arguments: str, stdin: str | None = None) -> str:
    done = box.run(
        [f"{PROGRAMS}/{program}", *arguments], user="list", env=box.environment(site), stdin=stdin
    )
    assert done.rc == 0, done
    return done.stdout


def state(box: Box) -> dict[str, Any]:
    """Every attribute of every list, and the names in the lock folders."""
    found: dict[str, Any] = {}
    for site in box.sites:
        found[f"{site} locks"] = names(box, site)
        for name in box.run(["ls", f"{box.prefix(site)}/lists"]).stdout.split():
            folder = f"{box.prefix(site)}/lists/{name}"
            found[name] = pickle.loads(box.read_bytes(f"{folder}/config.pck"), encoding="latin1")
            found[f"{name} files"] = box.run(["ls", "-A", folder]).stdout.split()
            found[f"{name} mode"] = box.run(["stat", "-c", "%a %G", f"{folder}/config.pck"]).stdout
    return found


def by_hand(box: Box, steps: tuple[Any, ...]) -> None:
    """Each step as a reader pastes it, as root; what it prints has to be true."""

    def run(step: Any) -> str:
        done = box.sh(paste(step))
        assert done.rc == 0, done
        assert done.stderr == ""
        return done.stdout

    assert not faults(discover(Host(box.spec)), shell_of(box), steps, run)


def refused(box: Box, address: str) -> set[str]:
    """The lists to which add_members does not subscribe the address."""
    found = set()
    for site, name in all_lists(box):
        said = mailman(box, site, *ADD_MEMBERS, name, stdin=f"{address}\n")
        assert "Banned address" in said or "Subscribed" in said
        if "Banned address" in said:
            found.add(name)
    return found


#: What a list's extend.py does to its config.pck as soon as that is saved.
SAVED_AND_THEN = """
import os, pickle, shutil, types
def extend(m):
    save = m.Save
    path = os.path.join(m.fullpath(), "config.pck")
    def saved(m):
        save()
        {then}
    m.Save = types.MethodType(saved, m)
"""


@pytest.mark.parametrize(
    ("then", "outcome", "detail"),
    [
        ("pass", "banned", ""),
        (
            "shutil.copy(path + '.last', path)",
            "error",
            f"saved, but read back the list still accepts {ADDRESS}",
        ),
        ("open(path, 'wb').close()", "error", "saved, but config.pck is damaged"),
        # As somebody would who changes a list without its lock. The ban is there all the same.
        (
            "state = pickle.load(open(path, 'rb')); state['description'] = 'changed';"
            " pickle.dump(state, open(path, 'wb'), 1)",
            "banned",
            "",
        ),
    ],
    ids=["nothing", "put back", "damaged", "changed"],
)
def test_what_counts_is_what_the_disk_has_after_the_save(
    box: Box, installation: Installation, then: str, outcome: str, detail: str
) -> None:
    site, name = all_lists(box)[0]
    extension = f"{box.prefix(site)}/lists/{name}/extend.py"
    box.put(extension, SAVED_AND_THEN.format(then=then), owner="list:list")
    done = runbook(box, "ban", ADDRESS, "--yes", "--json")
    told = {one["list"]: one for one in objects(done) if "list" in one}
    assert told[name]["outcome"] == outcome
    assert told[name]["detail"].startswith(detail)
    others = [told[other]["outcome"] for _, other in all_lists(box) if other != name]
    assert set(others) == {"banned"}
    if then.startswith("state"):
        assert state(box)[name]["description"] == "changed"


#: Python code that saves a list, and prints whether the module of pickles was asked to.
SAVE = """
import sys
sys.path.insert(0, sys.argv[1])
import paths
from Mailman import MailList
name = "cPickle" if sys.version_info[0] == 2 else "pickle"
module, saved = getattr(MailList, name), []
class Asked(object):
    def __getattr__(self, part):
        return getattr(module, part)
    def dump(self, state, f, protocol):
        saved.append("ban_list" in state)
        module.dump(state, f, protocol)
setattr(MailList, name, Asked())
m = MailList.MailList(sys.argv[2])
m.Save()
m.Unlock()
print(saved)
"""


def test_lists_are_saved_through_a_part_that_can_tell_what_was_saved(
    box: Box, installation: Installation
) -> None:
    """Else each list is decoded once more to read it back, which takes a third longer."""
    site, name = all_lists(box)[0]
    argv = [*box.mailman.interpreter, "-B", "-c", SAVE, PROGRAMS, name]
    done = box.run(argv, user="list", env=box.environment(site))
    assert (done.stdout, done.stderr) == ("[True]\n", "")


def test_by_hand_and_by_command_end_in_the_same_state(box: Box, installation: Installation) -> None:
    before = state(box)
    done = runbook(box, "ban", ADDRESS, "--yes")
    assert (done.rc, done.stderr) == (0, "")
    by_command = state(box)
    assert all(by_command[name]["ban_list"] == ["^earlier@", ADDRESS] for _, name in all_lists(box))

    done = runbook(box, "unban", ADDRESS, "--yes")
    assert (done.rc, done.stderr) == (0, "")
    assert {k: v for k, v in state(box).items() if not k.endswith("files")} == {
        k: v for k, v in before.items() if not k.endswith("files")
    }

    arguments = ban_page.BanArguments((ADDRESS,), single=installation.sites[0].first_list)
    by_hand(box, ban_page.steps(installation, arguments))
    assert state(box) == by_command

    by_hand(box, ban_page.steps(installation, replace(arguments, action="unban")))
    assert all(state(box)[name]["ban_list"] == ["^earlier@"] for _, name in all_lists(box))


def test_by_hand_several_addresses_are_banned_in_one_go(
    box: Box, installation: Installation
) -> None:
    several = (ADDRESS, NEIGHBOUR, r"^worst(\+.*)?@example\.net$")
    before = {name: state(box)[name] for _, name in all_lists(box)}
    arguments = ban_page.BanArguments(several, single=installation.sites[0].first_list)
    by_hand(box, ban_page.steps(installation, arguments))
    after = state(box)
    assert all(after[name]["ban_list"] == ["^earlier@", *several] for _, name in all_lists(box))
    for address in (ADDRESS, NEIGHBOUR, "worst+1@example.net"):
        assert refused(box, address) == {name for _, name in all_lists(box)}
    by_hand(box, ban_page.steps(installation, replace(arguments, action="unban")))
    assert {name: state(box)[name] for _, name in all_lists(box)} == before


def test_a_banned_address_is_refused_everywhere_and_its_neighbour_nowhere(
    box: Box, installation: Installation
) -> None:
    assert runbook(box, "ban", ADDRESS, "--yes").rc == 0
    everywhere = {name for _, name in all_lists(box)}
    assert refused(box, ADDRESS) == refused(box, ADDRESS.upper()) == everywhere
    assert refused(box, NEIGHBOUR) == set()


def test_what_is_explained_for_some_lists_does_those(box: Box, installation: Installation) -> None:
    site = list(box.sites)[-1]
    name = lists_of(site)[1]
    shown = runbook(box, "ban", ADDRESS, "--explain", "--list", name, "--timeout", "3")
    assert shown.rc == 0
    assert all(line.startswith("# ") for line in shown.stdout.splitlines() if line.startswith("#"))
    done = box.sh(shown.stdout)
    assert done.stdout.splitlines() == [
        f"{name}: banned",
        f"{name}: refuses {ADDRESS} (matched {ADDRESS})",
    ]
    banned = [n for _, n in all_lists(box) if ADDRESS in state(box)[n]["ban_list"]]
    assert banned == [name]


@pytest.mark.layout("multi")
def test_the_original_pages_command_bans_nobody_and_ours_does(
    box: Box, installation: Installation
) -> None:
    """With several sites it says that a variable is missing, and that it went well."""
    box.put(f"{PROGRAMS}/ban.py", PAGE.read_text())
    for exported in ("", "export MAILMAN_SITE_DIR=/srv/mailman/openstack; "):
        done = box.sh(f'{exported}sudo -u list {PROGRAMS}/withlist -a -r ban "{ADDRESS}"')
        assert done.rc == 0
        assert "Please set MAILMAN_SITE_DIR" in done.stdout
    assert refused(box, ADDRESS) == set()
    done = runbook(box, "ban", NEIGHBOUR, "--yes")
    assert done.rc == 0
    assert "6 lists banned and read back" in done.stdout
    assert refused(box, NEIGHBOUR) == {name for _, name in all_lists(box)}


def test_looking_changes_nothing(box: Box, installation: Installation) -> None:
    """No compiled file, no line in a log, no repaired state, no lock."""
    site = next(iter(box.sites))
    folder = f"{box.prefix(site)}/lists"
    box.sh(
        f"head -c 300 {folder}/{lists_of(site)[0]}/config.pck > /tmp/x; "
        f"cat /tmp/x > {folder}/{lists_of(site)[0]}/config.pck; rm /tmp/x"
    )
    box.put("/tmp/settings", "ban_list = ['^[bad', '^target@']\n")
    mailman(box, site, "config_list", "-i", "/tmp/settings", lists_of(site)[1])
    box.run(["rm", "/tmp/settings"])
    snapshot = (
        "find /etc /home /opt /root /run /srv /tmp /usr/lib/mailman /usr/local /var"
        " -xdev -printf '%p %y %i %s %m %u %g %T@\\n' | sort"
    )
    box.sh(snapshot)
    before = box.sh(snapshot).stdout
    for arguments in (
        ("sites",),
        ("sites", "--json"),
        ("banned", ADDRESS),
        ("bans",),
        ("bans", "--json"),
        ("ban", "another@example.com", "--dry-run"),
        ("ban", r"^an.*@example\.com$", "--dry-run", "--json"),
        ("unban", "^target@", "--dry-run"),
        ("ban", ADDRESS, "--explain"),
        ("unban", ADDRESS, "--explain", "--list", lists_of(site)[2]),
        ("ban", ADDRESS),
        ("ban", "admin@example.com", "--yes"),
        ("ban", ADDRESS, "--list", "nosuch", "--yes"),
        ("ban", ADDRESS, "--site", "nosuch", "--yes"),
    ):
        done = runbook(box, *arguments)
        assert done.rc in (0, 2), (arguments, done)
        assert box.sh(snapshot).stdout == before, arguments


def test_who_runs_a_list_is_banned_by_force_alone(box: Box, installation: Installation) -> None:
    for pattern in ("admin@example.com", r"^adm[a-z]+@example\.com$", "mailman@lists.example.org"):
        done = runbook(box, "ban", pattern, "--yes")
        assert done.rc == 2
        assert "would ban somebody who runs a list" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert runbook(box, "ban", "admin@example.com", "--yes", "--force").rc == 0
    assert refused(box, "admin@example.com") == {name for _, name in all_lists(box)}


def test_lists_in_trouble_are_named_and_the_others_done(
    box: Box, installation: Installation
) -> None:
    site = next(iter(box.sites))
    repaired, lost, locked = lists_of(site)
    folder = f"{box.prefix(site)}/lists"
    box.sh(f"echo nonsense > {folder}/{repaired}/config.pck")
    box.sh(f"for f in {folder}/{lost}/config.pck*; do echo nonsense > $f; done")
    cast = play(box, site, [Actor(locked)])
    rest = len(all_lists(box)) - 2

    done = runbook(box, "ban", ADDRESS, "--yes", "--timeout", "1")
    assert done.rc == 1
    noun = "list" if rest == 1 else "lists"
    assert f"{rest} {noun} banned and read back, 2 not done:" in done.stdout
    assert "config.pck is damaged" in done.stdout
    assert f"by process {cast.pids[0]} on lists, which runs" in done.stdout
    again = f"runbook ban {ADDRESS} --list {locked} --host {box.spec}"
    assert f"→ {again}" in done.stdout

    told = objects(runbook(box, "ban", ADDRESS, "--yes", "--timeout", "0", "--json"))
    outcomes = {one["list"]: one["outcome"] for one in told if "list" in one}
    assert (outcomes.pop(lost), outcomes.pop(locked)) == ("corrupt", "locked")
    assert set(outcomes.values()) == {"already"}
    assert told[-1] == {"summary": {"already": rest, "corrupt": 1, "locked": 1}}

    # The command that helps, as it is printed, once the process has let go.
    assert cast.finish() == ["kept"]
    words = again.removeprefix("runbook ").replace(f" --host {box.spec}", "").split()
    assert runbook(box, *words, "--yes").rc == 0
    assert ADDRESS in state_of(box, site, locked)["ban_list"]


def state_of(box: Box, site: str, name: str) -> dict[str, Any]:
    path = f"{box.prefix(site)}/lists/{name}/config.pck"
    found: dict[str, Any] = pickle.loads(box.read_bytes(path), encoding="latin1")
    return found


def test_by_hand_too_the_lists_after_a_damaged_one_are_visited(
    box: Box, installation: Installation
) -> None:
    """`withlist -a` ends at the first list that does not load."""
    site = next(iter(box.sites))
    folder = f"{box.prefix(site)}/lists"
    first = box.run(["ls", "-U", folder]).stdout.split()[0]
    box.sh(f"for f in {folder}/{first}/config.pck*; do echo nonsense > $f; done")
    steps = ban_page.steps(installation, ban_page.BanArguments((ADDRESS,)))
    assert box.sh(paste(steps[0])).rc == 0
    done = box.sh(paste(steps[1]))
    others = sorted(set(lists_of(site)) - {first})
    assert [line for line in done.stdout.splitlines() if line.endswith(": banned")] == [
        f"{name}: banned" for name in others
    ]
    assert f"{first}: corrupt, not changed" in done.stdout
    assert done.stderr == ""


def test_eight_bans_at_once_and_others_at_work_lose_nothing(
    box: Box, installation: Installation
) -> None:
    addresses = [f"target{n}@example.com" for n in range(8)]
    told: dict[str, int] = {}
    going = threading.Event()

    def one(address: str) -> None:
        told[address] = runbook(box, "ban", address, "--yes", "--timeout", "120", timeout=250).rc

    def subscribe(site: str) -> None:
        number = 0
        while not going.is_set():
            for name in lists_of(site):
                member = f"new{number}@example.net\n"
                mailman(box, site, *ADD_MEMBERS, name, stdin=member)
            number += 1
        members[site] = number

    members: dict[str, int] = {}
    others = [threading.Thread(target=subscribe, args=(site,)) for site in box.sites]
    threads = [threading.Thread(target=one, args=(address,)) for address in addresses]
    for thread in others + threads:
        thread.start()
    for thread in threads:
        thread.join()
    going.set()
    for thread in others:
        thread.join()
    assert told == dict.fromkeys(addresses, 0)
    for site, name in all_lists(box):
        found = state_of(box, site, name)
        assert sorted(found["ban_list"]) == ["^earlier@", *addresses]
        wanted = {f"new{n}@example.net" for n in range(members[site])}
        assert set(found["members"]) == wanted | {"member@example.net"}
        assert names(box, site) == set()


@pytest.mark.parametrize("text", ["$(touch /tmp/x)", "'; touch /tmp/x; '", "%s%s%n", "-rf", "a\nb"])
def test_no_argument_is_anything_but_data(box: Box, installation: Installation, text: str) -> None:
    before = box.changes()
    for arguments in (
        ("ban", f"{text}@example.com", "--yes"),
        ("ban", ADDRESS, "--yes", "--list", text),
        ("ban", ADDRESS, "--yes", "--site", text),
    ):
        if text.startswith("%") and arguments[1] != ADDRESS:
            continue  # which is an address
        done = runbook(box, *arguments)
        assert done.rc == 2, (arguments, done)
        assert len(done.stderr.splitlines()) == 1
        assert box.changes() == before


def test_an_odd_entry_can_be_asked_for_and_lifted(box: Box, installation: Installation) -> None:
    """Whatever is on a ban list, however it came there."""
    site = next(iter(box.sites))
    name = lists_of(site)[0]
    odd = ["-rf", "'; touch /tmp/x; '", "%s", "$(id)@example.com", "--", "^[bad"]
    box.put("/tmp/settings", f"ban_list = {odd!r}\n")
    mailman(box, site, "config_list", "-i", "/tmp/settings", name)
    for entry in odd:
        explained = runbook(box, "unban", "--explain", "--", entry)
        done = box.sh(explained.stdout)
        assert f"{name}: unbanned" in done.stdout.splitlines(), (entry, done)
    assert state_of(box, site, name)["ban_list"] == []
    mailman(box, site, "config_list", "-i", "/tmp/settings", name)
    for entry in odd:
        assert runbook(box, "unban", "--yes", "--list", name, "--", entry).rc == 0
    assert state_of(box, site, name)["ban_list"] == []
    assert box.run(["ls", "/tmp/x"]).rc != 0


# -- hosts ----------------------------------------------------------------------------------


def test_a_login_that_may_not_become_mailmans_user_is_told_so(
    box: Box, installation: Installation
) -> None:
    spec = box.spec.replace("docker://", "docker://nobody@")
    done = subprocess_runbook("ban", ADDRESS, "--yes", "--host", spec)
    assert done.returncode == 3
    assert "neither root nor Mailman's user list" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    # With sudo, which asks for no password, it works; where there is none, that is said.
    box.put("/etc/sudoers.d/nobody", "nobody ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    assert (
        subprocess_runbook("ban", ADDRESS, "--yes", "--host", f"{spec}?sudo=true").returncode == 0
    )
    box.run(["rm", "/etc/sudoers.d/nobody"])
    done = subprocess_runbook("ban", ADDRESS, "--yes", "--host", f"{spec}?sudo=true")
    assert done.returncode == 3
    assert "sudo" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_mailmans_user_needs_neither_root_nor_sudo(box: Box, installation: Installation) -> None:
    spec = box.spec.replace("docker://", "docker://list@")
    assert subprocess_runbook("ban", ADDRESS, "--yes", "--host", spec).returncode == 0
    assert refused(box, ADDRESS) == {name for _, name in all_lists(box)}


@pytest.mark.layout("single")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (f"mv {PROGRAMS}/withlist {PROGRAMS}/gone", "has no Mailman 2"),
        (f"mv {PROGRAMS}/withlist {PROGRAMS}/gone; mkdir /etc/mailman3", "Mailman 3"),
        # Not as old as what Python 2 has compiled: it compares whole seconds.
        (f"echo 'raise ValueError(42)' > {MM_CFG}; touch -d 2001-01-01 {MM_CFG}", "42"),
        (f"sed -i '1s|.*|#!/nonexistent|' {PROGRAMS}/withlist", "interpreter that is not there"),
    ],
)
def test_a_host_without_a_mailman_2_that_answers_is_one_line(
    box: Box, spoil: str, why: str
) -> None:
    box.sh(spoil)
    done = runbook(box, "ban", ADDRESS, "--yes")
    assert done.rc == 3
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def subprocess_runbook(*arguments: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run(list(arguments), stdin=subprocess.DEVNULL, timeout=60)
