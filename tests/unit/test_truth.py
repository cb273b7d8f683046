"""What is true of a server, and that nothing else passes: on a practice site."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from runbooks.ban import page as ban_page
from runbooks.book import expected
from runbooks.book.expected import FACTS, SUBJECTS, Part, Untrue
from runbooks.book.procedure import Procedure, Step, paste
from runbooks.book.steps import Printed, go_through
from runbooks.clear_lock import page as clear_lock
from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.mailman.truth import Witness
from runbooks.practice.site import STALE_LIST, PracticeSite
from runbooks.scripted_change import page as scripted_change
from tests.support.practice import create
from tests.support.steps import here

OWNERS = "{LIST zuul:x}: {OWNERS:y}\n{MORE}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = create(tmp_path_factory.mktemp("made") / "site")
    configure(
        site, "zuul-jobs", "owner = ['b@example.com', 'a@example.com']\nmoderator = ['c@d.e']"
    )
    configure(site, "zuul-security", "ban_list = ['^spam.*@example.org']")
    return site.folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Iterator[PracticeSite]:
    """A site, where it was made; what a test does to it is taken back."""
    subprocess.run(["cp", "-a", made, tmp_path / "kept"], check=True)
    yield PracticeSite(made)
    shutil.rmtree(made)
    subprocess.run(["cp", "-a", tmp_path / "kept", made], check=True)


def configure(site: PracticeSite, name: str, lines: str) -> None:
    site.run("zuul", "config_list", "-i", "/dev/stdin", name, stdin=lines)


def installation(site: PracticeSite) -> Installation:
    return discover(Host(site.spec))


def run(command: str) -> str:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def fault(site: PracticeSite, shows: str, command: str) -> str:
    witness = Witness(installation(site), here, [shows])
    witness.sees(shows)
    return expected.fault(shows, run(command), witness.truth())


def procedure_faults(site: PracticeSite, procedure: Procedure, old: str, new: str) -> list[str]:
    """The names of the steps that are red when the commands have `new` in place of `old`."""
    found = installation(site)
    steps = procedure.steps(found, procedure.example)
    assert any(old in paste(step) for step in steps)

    def spoiled(step: Step) -> Printed:
        return Printed(run(paste(step).replace(old, new)), 0)

    return [
        ran.step.name
        for ran in go_through(steps, spoiled, partial(Witness, found, here))
        if ran.fault
    ]


def unlock(site: PracticeSite) -> None:
    for lock in site.folder.glob("srv/mailman/*/locks/*"):
        lock.unlink()


def test_owners_are_those_of_the_list(site: PracticeSite) -> None:
    said = {
        "zuul-announce": "admin@example.com",
        "zuul-discuss": "admin@example.com",
        "zuul-jobs": "a@example.com, b@example.com; moderated by c@d.e",
        "zuul-security": "admin@example.com",
    }
    lines = [f"{name}: {text}" for name, text in said.items()]
    assert not fault(site, OWNERS, f"printf '%s\\n' {' '.join(map(repr, lines))}")
    for wrong in (
        lines[1:],
        [*lines, lines[0]],
        [*lines[:2], "zuul-jobs: c@d.e", lines[3]],
        [*lines[:2], "zuul-jobs: admin@example.com", lines[3]],
    ):
        assert fault(site, OWNERS, f"printf '%s\\n' {' '.join(map(repr, wrong))}")


@pytest.mark.parametrize(
    ("old", "new", "red"),
    [
        ("sorted(m.owner)", "sorted(m.moderator)", {"owners-openstack", "owners-zuul"}),
        ("if m.moderator:", "if not m.moderator:", {"owners-openstack", "owners-zuul"}),
    ],
)
def test_an_owners_script_that_is_wrong(
    site: PracticeSite, old: str, new: str, red: set[str]
) -> None:
    assert set(procedure_faults(site, scripted_change.PROCEDURE, old, new)) == red
    assert not procedure_faults(site, scripted_change.PROCEDURE, "import", "import")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("            m.Save()", "            pass"),
        ("m.ban_list.append(address)", "m.ban_list.append(address + 'x')"),
        ('return "banned"', 'return "already"'),
        ("-r ban target", "-r ban.banned target"),
    ],
)
def test_a_ban_that_is_none(site: PracticeSite, old: str, new: str) -> None:
    unlock(site)
    red = procedure_faults(site, ban_page.PROCEDURE, old, new)
    assert {"ban-openstack", "ban-zuul"} <= set(red)


def test_a_list_that_is_banned_already_says_so(site: PracticeSite) -> None:
    unlock(site)
    configure(site, "zuul-jobs", "ban_list = ['TARGET@example.com']")
    assert "ban-zuul" not in procedure_faults(site, ban_page.PROCEDURE, "import", "import")


def test_how_many_lists_there_are_to_ban(site: PracticeSite) -> None:
    configure(site, "zuul-jobs", "ban_list = ['^target@']")
    shows = "{TO_BAN target@example.com zuul:0} of {LISTS zuul:0}, {LISTS:0} in all"
    assert not fault(site, shows, "echo 3 of 4, 11 in all")
    for wrong in ("0 of 4, 11 in all", "3 of 11, 11 in all", "4 of 4, 11 in all"):
        assert fault(site, shows, f"echo {wrong}")


def test_a_list_that_is_to_have_one_of_several_bans_is_counted_once(site: PracticeSite) -> None:
    configure(site, "zuul-jobs", "ban_list = ['^target@', 'other@example.com']")
    configure(site, "zuul-announce", "ban_list = ['^target@']")
    both = "target@example.com other@example.com"
    shows = f"{{TO_BAN {both} zuul:0}} to ban, {{TO_UNBAN {both} zuul:0}} to unban"
    assert not fault(site, shows, "echo 3 to ban, 1 to unban")
    for wrong in ("2 to ban, 1 to unban", "4 to ban, 1 to unban", "3 to ban, 2 to unban"):
        assert fault(site, shows, f"echo {wrong}")


@pytest.mark.parametrize("action", ["ban", "unban"])
def test_a_list_on_which_one_of_several_was_not_done_is_not_counted(
    site: PracticeSite, action: str
) -> None:
    shows = f"{{{action.upper()}NED target@example.com other@example.com zuul:0}} lists"
    none, one = "", "'target@example.com'"
    both = f"{one}, 'other@example.com'"
    before, done = {"ban": (none, both), "unban": (both, none)}[action]
    config_list = f"MAILMAN_SITE_DIR={site.site_dir('zuul')} {site.folder}/bin/config_list"
    for bans, said, is_true in ((one, 0, True), (one, 1, False), (done, 1, True), (done, 0, False)):
        configure(site, "zuul-jobs", f"ban_list = [{before}]")
        change = f'echo "ban_list = [{bans}]" | {config_list} -i /dev/stdin zuul-jobs'
        assert bool(fault(site, shows, f"{change}; echo {said} lists")) is not is_true


def test_lists_that_were_not_banned_are_not_counted(site: PracticeSite) -> None:
    shows = "{BANNED target@example.com:0} lists banned"
    assert "'0 lists banned'" in fault(site, shows, "echo 4 lists banned")


def test_closed_lists_keep_the_policy_that_they_had(site: PracticeSite) -> None:
    unlock(site)
    configure(site, "zuul-jobs", "subscribe_policy = 3")
    assert not procedure_faults(site, scripted_change.CLOSE, "import", "import")
    assert not procedure_faults(site, scripted_change.OPEN, "import", "import")
    red = procedure_faults(
        site, scripted_change.CLOSE, "setattr(m, KEPT, m.subscribe_policy)", "setattr(m, KEPT, 1)"
    )
    assert red == ["close-check-zuul"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("to_confirm(read(m, PENDING))]", "to_confirm({})]"),
        ("to_decide(read(m, REQUESTS))]", "to_decide({})]"),
        ("set(address.lower() for address in everybody)", "everybody"),
    ],
)
def test_who_waits_is_who_subscribed_and_was_not_let_in(
    site: PracticeSite, old: str, new: str
) -> None:
    unlock(site)
    procedure = scripted_change.VICTIMS
    assert procedure.befalls
    # The second address waits both ways, in another case of letters, on the last list.
    for addresses in (procedure.example.addresses, ("Victim@example.org", "c@example.com")):
        event = procedure.befalls(
            installation(site), replace(procedure.example, addresses=addresses)
        )
        site.befall(event.script)
    assert not procedure_faults(site, procedure, "import", "import")
    assert procedure_faults(site, procedure, old, new) == ["who-openstack", "who-zuul"]


def test_the_process_is_the_one_that_has_the_lock(site: PracticeSite) -> None:
    shows = f"{{DEAD openstack {STALE_LIST}:4711}}"
    (lock,) = site.folder.glob("srv/mailman/openstack/locks/*.lock")
    pid = lock.read_text().split(".")[-2]
    assert not fault(site, shows, f"echo {pid}")
    assert fault(site, shows, "echo 4711")
    assert fault(site, shows, f"echo {pid}0")


@pytest.mark.parametrize(
    ("old", "new", "red"),
    [
        ("%.19z", "%.19y", "find-holder"),
        ("pid=${pid##*.}", "pid=1", "find-holder"),
        ("ls -l --time-style", "ls -lu --time-style", "see-lock"),
        (
            "ls -l --time-style",
            "ls -ld --time-style=full-iso ../[^l]* ; ls -l --time-style",
            "see-lock",
        ),
    ],
)
def test_a_step_that_reads_a_lock_wrong(site: PracticeSite, old: str, new: str, red: str) -> None:
    assert red in procedure_faults(site, clear_lock.PROCEDURE, old, new)


def test_a_run_is_the_one_that_was_just_recorded(site: PracticeSite) -> None:
    unlock(site)
    words = shlex.join([sys.executable, "-m", "runbooks", "ban", "x@example.com", "--yes"])
    command = f"{words} --host {site.spec} | sed -n 's/^recorded as //p'"
    journal = f"{site.site_dir('openstack')}/runbook/journal.jsonl"
    shows = f"{{RUN:x}} in {{HOST:lists}}:{journal}"
    assert not fault(site, shows, command)
    first = run(f"grep -o '[0-9-]*-[0-9a-f]*' {journal} | head -n 1").strip()
    assert "0 new runs" in fault(site, shows, f"echo {first} in x:{journal}")


def test_every_placeholder_is_known(site: PracticeSite) -> None:
    """One that nobody can say anything about would never be right."""
    address, stale = ("a@example.com",), ("openstack", STALE_LIST)
    of = {
        **dict.fromkeys(("TO_BAN", "TO_UNBAN", "BANNED", "UNBANNED"), address),
        **dict.fromkeys(("LIST_KNOWING", "ROLES", "MATCH", "ACCEPTED"), address),
        **dict.fromkeys(("LIST_WITH_MEMBER", "TO_UNSUBSCRIBE", "UNSUBSCRIBED"), address),
        **dict.fromkeys(("MEMBERSHIPS", "CONFIRMATIONS", "REQUESTS"), address),
        **dict.fromkeys(("OTHERS", "MISSING_BANS", "CAUGHT_UP", "CLAIM", "DEAD"), stale),
        **dict.fromkeys(("LOCK", "WAITER"), ("pid", *stale)),
        "NAMED_LIST": stale,
        "NO_MEMBER": (*address, *stale),
        **dict.fromkeys(("NEW_ALIAS", "NEW_ALIAS_OF_OTHERS"), (STALE_LIST,)),
        "OUTCOME": ("ban", *address),
    }
    shows = expected.placeholder("ROLES", *address, shown="member")
    truth = Witness(installation(site), here, [shows]).truth()
    lists = truth.subjects(Part("x", "LIST"))
    claims = truth.subjects(Part("x", "CLAIM", stale))
    for name in SUBJECTS:
        truth.subjects(Part("x", name, of.get(name, ())))
    for name in FACTS:
        about = claims if name in ("LINKS", "SIZE") else lists
        with suppress(Untrue):  # known, and not so here
            assert isinstance(truth.value(Part("x", name, of.get(name, ())), about[0][1]), str)
