"""*Adding a List*, on a Mailman 2 with the distribution's Puppet."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbooks.add_list import page as add_list
from runbooks.add_list.check import Wanted
from runbooks.add_list.edit import edit
from runbooks.add_list.manifest import file as manifest_file
from runbooks.book.expected import as_shown
from runbooks.book.procedure import Step, paste
from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.testing.containers.box import PROGRAMS, Box, Result, shell_of
from tests.support import checkout, preloaded
from tests.support.steps import faults

TEXT = "Discussion of OpenStack Foo"


def runbook(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str = ""
) -> Result:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
    done = preloaded.run(
        list(arguments), input=stdin, cwd=cwd, env={**clean, **(env or {})}, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def first_site(box: Box) -> str:
    return next(iter(box.sites))


def site_option(box: Box) -> list[str]:
    return ["--site", first_site(box)] if len(box.sites) > 1 else []


def state(box: Box, name: str, site: str | None = None) -> dict[str, Any]:
    path = f"{box.prefix(site or first_site(box))}/lists/{name}/config.pck"
    found: dict[str, Any] = pickle.loads(box.read_bytes(path), encoding="latin1")
    return found


def ban_everywhere(box: Box, address: str, *options: str) -> None:
    done = runbook("ban", address, "--yes", "--host", box.spec, *options)
    assert done.rc == 0, done


def installation(box: Box) -> Installation:
    return discover(Host(box.spec))


@pytest.mark.needs("puppet")
def test_by_command_and_by_hand_with_puppet(box: Box, tmp_path: Path) -> None:
    path = checkout.write(tmp_path)
    checkout.deploy(box)
    checkout.puppet_makes_the_lists(box)
    ban_everywhere(box, "target@example.com")

    # By command: into the manifest here, from there to the server.
    done = runbook(
        *("add-list", "openstack-foo", "--admin", "admin@example.com", "--description", TEXT),
        *("--manifest", add_list.MANIFEST, "--yes"),
        cwd=tmp_path,
    )
    assert done.rc == 0, done
    checkout.deploy(box, path.read_text())
    checkout.puppet_makes_the_lists(box)

    # By hand, another list, as --explain prints it for this manifest: it has no sites.
    on_server = replace(
        manifest_file.load(str(path)), path=f"{add_list.CHECKOUT}/{add_list.MANIFEST}"
    )
    by_hand = add_list.steps(
        installation(box),
        add_list.AddArguments(
            *("openstack-bar", "admin@example.com", TEXT),
            edit=edit(on_server, Wanted("openstack-bar", "admin@example.com", TEXT)),
        ),
    )

    def run(step: Step) -> str:
        done = box.run(["sh", "-c", f"exec 2>&1; {paste(step)}"], timeout=120)
        assert done.rc == 0, (step.name, done)
        return done.stdout

    assert not faults(installation(box), shell_of(box), by_hand, run)

    seen = runbook(
        *("add-list", "openstack-foo", "--manifest", add_list.MANIFEST, "--check"),
        *(*site_option(box), "--host", box.spec),
        cwd=tmp_path,
    )
    assert seen.rc == 1, seen
    assert re.findall(r"missing +(\w+)", seen.stdout) == ["description", "bans"]
    fixed = runbook(
        *("add-list", "openstack-foo", "--manifest", add_list.MANIFEST, "--fix", "--yes"),
        *(*site_option(box), "--host", box.spec),
        cwd=tmp_path,
    )
    assert fixed.rc == 0, fixed

    foo, bar = state(box, "openstack-foo"), state(box, "openstack-bar")
    for one in (foo, bar):
        assert one["owner"] == ["admin@example.com"]
        assert one["description"] == TEXT
        assert one["ban_list"] == ["target@example.com"]
        assert one["password"] == hashlib.sha1(b"se'cret $x").hexdigest()
    different = {key for key in foo if foo[key] != bar[key]}
    assert different <= {"real_name", "subject_prefix", "created_at"}
    again = checkout.puppet(box)
    assert (again.rc, again.stderr.count("Error")) == (0, 0), again
    assert "created" not in again.stdout
    assert (state(box, "openstack-foo"), state(box, "openstack-bar")) == (foo, bar)

    last = runbook(
        *("add-list", "openstack-foo", "--manifest", add_list.MANIFEST, "--check", "--json"),
        *(*site_option(box), "--host", box.spec),
        cwd=tmp_path,
    )
    assert last.rc == 0, last
    states = {o["check"]: o["state"] for o in map(json.loads, last.stdout.splitlines())}
    assert states == dict.fromkeys(
        ("list", "owner", "mail host", "web host", "description", "aliases", "bans"), "good"
    )


def test_check_changes_nothing(box: Box, tmp_path: Path) -> None:
    box.run(["newlist", "-q", "alpha", "a@example.com", "pw"], env=box.environment(first_site(box)))
    box.run(["newlist", "-q", "beta", "a@example.com", "pw"], env=box.environment(first_site(box)))
    before = box.changes()
    contents = {path: box.read_bytes(path) for path in before if path.endswith("config.pck")}
    for options in (["--check"], ["--fix", "--dry-run"]):
        done = runbook(
            *("add-list", "beta", "--description", "Beta", *options, *site_option(box)),
            *("--host", box.spec),
        )
        assert done.rc == (1 if options == ["--check"] else 0), done
        assert box.changes() == before
        assert {path: box.read_bytes(path) for path in contents} == contents
    fixed = runbook(
        *("add-list", "beta", "--description", "Beta", "--fix", "--yes", *site_option(box)),
        *("--host", box.spec),
    )
    assert fixed.rc == 0, fixed
    assert box.changes() != before
    assert state(box, "beta")["description"] == "Beta"
    assert state(box, "alpha")["description"] == ""
    journal = box.read(f"{box.prefix(first_site(box))}/runbook/journal.jsonl")
    assert '"description_set": "Beta", "description_was": ""' in journal


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_puppet_without_the_site_says_created_and_creates_nothing(box: Box, tmp_path: Path) -> None:
    """Why the page gives Puppet the variable, and why its word proves nothing."""
    checkout.write(tmp_path)
    checkout.deploy(box)
    for _ in range(2):
        done = box.run(
            [
                *("puppet", "apply", "--color=false"),
                *(f"--modulepath={add_list.CHECKOUT}/modules",),
                f"{add_list.CHECKOUT}/manifests/site.pp",
            ],
            timeout=120,
        )
        assert done.rc == 0
        assert "Maillist[openstack-dev]/ensure: created" in done.stdout
    for site in box.sites:
        assert box.run(["ls", f"{box.prefix(site)}/lists"]).stdout == ""
    seen = runbook(
        *("add-list", "openstack-dev", "--manifest", add_list.MANIFEST, "--check"),
        *("--host", box.spec),
        cwd=tmp_path,
    )
    assert seen.rc == 1
    assert "openstack-dev is on none of the sites openstack, zuul" in seen.stdout


#: Stands before newlist, and keeps what any user could have read at that moment.
SPY = f"""\
#!/bin/sh
for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < "$f"; echo; done > /tmp/cmdlines 2>/dev/null
env > /tmp/environment
exec {PROGRAMS}/newlist.real "$@"
"""


@pytest.mark.parametrize("source", ["file", "variable", "input"])
def test_direct(box: Box, tmp_path: Path, source: str) -> None:
    secret = "s3cret-of-the-list"
    box.run(["mv", f"{PROGRAMS}/newlist", f"{PROGRAMS}/newlist.real"])
    box.put(f"{PROGRAMS}/newlist", SPY, mode=0o755)
    site = first_site(box)
    for name in ("alpha", "beta"):
        box.run(
            [f"{PROGRAMS}/newlist.real", "-q", name, "a@example.com", "pw"],
            env=box.environment(site),
        )
    ban_everywhere(box, "target@example.com", *site_option(box))
    options, env, stdin = [], {}, ""
    if source == "file":
        (tmp_path / "password").write_text(secret + "\n")
        (tmp_path / "password").chmod(0o600)
        options = ["--password-file", str(tmp_path / "password")]
    elif source == "variable":
        env = {"RUNBOOK_LIST_PASSWORD": secret}
    else:
        options, stdin = ["--password-file", "-"], secret + "\n"
    done = runbook(
        *("add-list", "Gamma", "--admin", "admin@example.com", "--description", "Gamma's"),
        *("--direct", "--yes", *options, *site_option(box), "--host", box.spec),
        env=env,
        stdin=stdin,
    )
    assert (done.rc, done.stderr) == (0, ""), done
    made = state(box, "gamma")
    assert made["owner"] == ["admin@example.com"]
    assert made["description"] == "Gamma's"
    assert made["ban_list"] == ["target@example.com"]
    assert made["password"] == hashlib.sha1(secret.encode()).hexdigest()
    seen = box.read("/tmp/cmdlines")
    assert "newlist -q gamma admin@example.com" in seen.replace(f"{PROGRAMS}/", "")
    assert secret not in seen
    assert secret not in box.read("/tmp/environment")
    journal = box.read(f"{box.prefix(site)}/runbook/journal.jsonl")
    assert secret not in journal
    assert '"gamma", "created"' in journal
    assert '"take_back": ["rmlist -a gamma"]' in journal

    again = runbook(
        *("add-list", "gamma", "--admin", "admin@example.com", "--description", "Gamma's"),
        *("--direct", "--yes", *options, *site_option(box), "--host", box.spec),
        env=env,
        stdin=stdin,
    )
    assert again.rc == 2
    assert "has the list gamma already" in again.stderr
    assert state(box, "gamma") == made


@pytest.mark.parametrize(
    ("script", "said", "there"),
    [
        ("echo 'Please set MAILMAN_SITE_DIR'", "newlist: Please set MAILMAN_SITE_DIR", False),
        ("echo 'No space: \xff' >&2; exit 1", "newlist: No space: \\ufffd", False),
        (
            f'echo another | {PROGRAMS}/newlist.real "$@"',
            "somebody else made it in the same moment",
            True,
        ),
    ],
)
def test_what_newlist_says_proves_nothing(box: Box, script: str, said: str, there: bool) -> None:
    box.run(["mv", f"{PROGRAMS}/newlist", f"{PROGRAMS}/newlist.real"])
    box.put(f"{PROGRAMS}/newlist", f"#!/bin/sh\n{script}\n".encode("latin-1"), mode=0o755)
    done = runbook(
        *("add-list", "gamma", "--admin", "admin@example.com", "--description", "Gamma"),
        *("--direct", "--yes", *site_option(box), "--host", box.spec),
        env={"RUNBOOK_LIST_PASSWORD": "pw"},
    )
    assert (done.rc, done.stderr) == (1, ""), done
    assert f"gamma: error: {said}" in done.stdout or f"is {said}" in done.stdout, done.stdout
    site = first_site(box)
    listed = box.run([f"{PROGRAMS}/list_lists", "-b"], env=box.environment(site)).stdout
    assert (listed == "gamma\n") == there
    assert '"gamma", "error"' in box.read(f"{box.prefix(site)}/runbook/journal.jsonl")


def direct(box: Box, name: str, *options: str) -> Result:
    return runbook(
        *("add-list", name, "--admin", "admin@example.com", "--description", TEXT, "--direct"),
        *("--yes", *options, *site_option(box), "--host", box.spec),
        env={"RUNBOOK_LIST_PASSWORD": "secret"},
    )


def postfix(box: Box, postalias: str) -> None:
    box.sh(
        f"printf '%s\\n' \"MTA = 'Postfix'\" \"POSTFIX_ALIAS_CMD = '{postalias}'\""
        " >> /etc/mailman/mm_cfg.py"
    )


def test_direct_where_the_alias_step_fails(box: Box) -> None:
    """The list was there, and that was called created: exit 0."""
    postfix(box, "/nowhere/postalias")
    done = direct(box, "alpha")
    assert done.rc == 1
    assert (
        "alpha: error: newlist made the list and ended with status 1: RuntimeError" in done.stdout
    )
    assert "was created" not in done.stdout
    postfix(box, "true")
    assert direct(box, "beta").rc == 0


def test_direct_behind_a_stale_lock_on_the_aliases(box: Box) -> None:
    """newlist waits for it without a limit, and add-list did with it, without a word."""
    postfix(box, "true")
    locks = f"{box.prefix(first_site(box))}/locks"
    dead = int(box.sh("sh -c 'echo $$'").stdout)
    claim = f"{locks}/creator.lists.{dead}.0"
    box.sh(
        f"printf %s {claim} > {claim} && ln {claim} {locks}/creator && touch -d '+1 hour' {claim}",
        user="list",
    )
    done = direct(box, "alpha", "--timeout", "2")
    assert done.rc == 1
    assert f"it waited for the lock {locks}/creator, whose process {dead} no longer" in done.stdout
    # That lock is not ours to clear; the claim of the newlist that was ended is.
    assert box.sh(f"ls {locks}").stdout.split() == ["creator", f"creator.lists.{dead}.0"]
    box.sh(f"rm {locks}/creator*")
    assert direct(box, "beta").rc == 0


def test_direct_four_at_once(box: Box) -> None:
    """Two or three of four said created, and each overwrote the other's description."""
    runs = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "runbooks", "add-list", "alpha", "--direct", "--yes"),
                *("--admin", "admin@example.com", "--description", f"number {number}"),
                *(*site_option(box), "--host", box.spec),
            ],
            env={**os.environ, "RUNBOOK_LIST_PASSWORD": "secret"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(4)
    ]
    said = [run.communicate(timeout=120)[0] for run in runs]
    created = [number for number, run in enumerate(runs) if run.returncode == 0]
    assert len(created) == 1, said
    assert sum("it is there already" in one or "has the list" in one for one in said) == 3, said
    assert state(box, "alpha")["description"] == f"number {created[0]}"


def test_direct_and_by_hand_end_in_the_same_state(box: Box) -> None:
    site = first_site(box)
    box.run(["newlist", "-q", "alpha", "a@example.com", "pw"], env=box.environment(site))
    ban_everywhere(box, "target@example.com", *site_option(box))
    done = runbook(
        *("add-list", "one", "--admin", "admin@example.com", "--description", TEXT, "--direct"),
        *("--yes", *site_option(box), "--host", box.spec),
        env={"RUNBOOK_LIST_PASSWORD": "pw"},
    )
    assert done.rc == 0, done
    by_hand = add_list.steps(
        installation(box),
        add_list.AddArguments("two", "admin@example.com", TEXT, direct=True),
    )

    def run(step: Step) -> str:
        # Without a terminal newlist reads the password from standard input, and says so.
        done = box.run(["setsid", "-w", "sh", "-c", paste(step)], stdin="pw\n" if step.asks else "")
        assert done.rc == 0, (step.name, done)
        return as_shown(step.shows) if step.asks else done.stdout + done.stderr

    assert not faults(installation(box), shell_of(box), by_hand, run)
    one, two = state(box, "one"), state(box, "two")
    assert {key for key in one if one[key] != two[key]} <= {
        *("real_name", "subject_prefix", "created_at")
    }
    assert one["ban_list"] == ["target@example.com"]
    ls = box.run(["sh", "-c", f"stat -c '%a %U:%G' {box.prefix(site)}/lists/*/config.pck"])
    assert len(set(ls.stdout.splitlines()[1:])) == 1, ls.stdout


def test_a_description_that_is_not_ascii(box: Box) -> None:
    """By hand and by command; Python 2 runs the file for config_list as Python 2."""
    site, text = first_site(box), 'Gespräche über "Foo", it\'s \\ 日本 %s $x'
    for name in ("one", "two"):
        box.run(["newlist", "-q", name, "a@example.com", "pw"], env=box.environment(site))
    done = runbook(
        *("add-list", "one", "--description", text, "--fix", "--yes", *site_option(box)),
        *("--host", box.spec),
    )
    assert done.rc == 0, done
    for step in add_list.steps(
        installation(box),
        add_list.AddArguments("two", "a@example.com", text, exists=True),
    ):
        done = box.run(["sh", "-c", paste(step)])
        assert done.rc == 0, (step.name, done)
        assert "Error" not in done.stderr, done
    stored = state(box, "one")["description"]
    assert stored == state(box, "two")["description"]
    assert stored == (text if box.python != "2.7" else text.encode().decode("latin1"))
    for name in ("one", "two"):
        seen = runbook(
            *("add-list", name, "--description", text, "--check", *site_option(box)),
            *("--host", box.spec),
        )
        assert seen.rc == 0, seen


def test_a_locked_list_is_left_alone_and_named(box: Box) -> None:
    site = first_site(box)
    box.run(["newlist", "-q", "alpha", "a@example.com", "pw"], env=box.environment(site))
    folder = f"{box.prefix(site)}/locks"
    claim = f"{folder}/alpha.lock.lists.4194000.0"
    box.sh(
        f"printf %s {claim} > {claim} && chown list:list {claim} && ln {claim} {folder}/alpha.lock"
        f" && touch -d '+5 hours' {claim}"
    )
    before = state(box, "alpha")
    done = runbook(
        *("add-list", "alpha", "--description", TEXT, "--fix", "--yes", "--timeout", "1"),
        *(*site_option(box), "--host", box.spec),
    )
    assert done.rc == 1, done
    assert "locked" in done.stdout
    assert "runbook clear-lock alpha" in done.stdout
    assert state(box, "alpha") == before


@pytest.mark.needs("puppet")
def test_what_is_missing_is_named(box: Box, tmp_path: Path) -> None:
    """Each point of the check can fail, and says what is wrong."""
    checkout.write(tmp_path)
    checkout.deploy(box)
    checkout.puppet_makes_the_lists(box)
    site = first_site(box)
    options = [*site_option(box), "--manifest", add_list.MANIFEST, "--check", "--host", box.spec]

    def missing() -> dict[str, str]:
        done = runbook("add-list", "openstack-dev", *options, "--json", cwd=tmp_path)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        wrong = {o["check"]: o["detail"] for o in found if o["state"] == "missing"}
        assert done.rc == (1 if wrong else 0), done
        return wrong

    assert list(missing()) == ["description"]
    box.put(
        "/tmp/wrong",
        "owner = ['x@example.com']\nhost_name = 'other.example.org'\n",
        owner="list:list",
    )
    done = box.run(
        [f"{PROGRAMS}/config_list", "-i", "/tmp/wrong", "openstack-dev"],
        user="list",
        env=box.environment(site),
    )
    assert done.rc == 0, done
    box.sh("sed -i '/^openstack-dev-owner:/d' /etc/aliases")
    wrong = missing()
    assert list(wrong) == ["owner", "description", "aliases"]
    assert "it is x@example.com and should be openstack-dev@example.com" in wrong["owner"]
    assert wrong["aliases"] == "/etc/aliases lacks openstack-dev-owner"
    box.sh("sed -i 's/^openstack-dev-join:.*/openstack-dev-join: root/' /etc/aliases")
    box.sh(
        "echo 'openstack-dev-owner: \"| /var/lib/mailman/mail/mailman owner openstack-dev\"'"
        " >> /etc/aliases"
    )
    assert missing()["aliases"] == "/etc/aliases has openstack-dev-join for root"
    box.sh("sed -i '/^openstack-dev/d' /etc/aliases")
    assert "has those of other lists and none of this one" in missing()["aliases"]
    box.sh("rm /etc/aliases")
    again = "run Puppet again" if box.version.startswith("2.2") else "run Puppet here"
    assert again in missing()["aliases"]
    box.sh(f"rm -r {box.prefix(site)}/lists/openstack-dev")
    assert list(missing()) == ["list"]


def test_the_host_is_asked_before_the_manifest_is_written(box: Box, tmp_path: Path) -> None:
    path = checkout.write(tmp_path)
    was = path.read_bytes()
    for name in ("openstack-foo", "openstack-bar-admin"):
        box.run(["newlist", "-q", name, "a@x.org", "pw"], env=box.environment(first_site(box)))
    before = box.changes()
    for name, why in (
        ("OpenStack-Foo", "has the list openstack-foo already"),
        ("openstack-bar", "has the list openstack-bar-admin, which is an address of openstack-bar"),
    ):
        done = runbook(
            *("add-list", name, "--admin", "a@example.com", "--description", TEXT),
            *("--manifest", str(path), "--yes"),
            env={"RUNBOOK_HOST": box.spec},
        )
        assert done.rc == 2
        assert why in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert path.read_bytes() == was
    assert box.changes() == before


@pytest.mark.layout("single")
@pytest.mark.needs("puppet", "puppet-lint")
def test_puppets_own_word_on_the_file(box: Box, tmp_path: Path) -> None:
    """`puppet parser validate` and puppet-lint of the container, as programs of this machine."""
    path = checkout.write(tmp_path)
    (tmp_path / "bin").mkdir()
    for name, arguments in (("puppet", '"$1" "$2" "$3"'), ("puppet-lint", '"$1" "$2"')):
        tool = tmp_path / "bin" / name
        tool.write_text(
            f"#!/bin/sh\nfor file; do :; done\ndocker exec -i {box.id} sh -c"
            f' \'cat > /tmp/x.pp; {name} "$@" /tmp/x.pp\' {name} {arguments} < "$file"\n'
        )
        tool.chmod(0o755)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    arguments = (
        *("add-list", "openstack-foo", "--admin", "a@example.com", "--manifest", str(path)),
        "--yes",
    )
    done = runbook(*arguments, "--description", "It's $5", env=env)
    assert (done.rc, done.stderr) == (0, ""), done
    assert "puppet parser validate accepts it" in done.stdout
    assert "puppet-lint finds nothing wrong with the new lines" in done.stdout

    bad = checkout.manifest().replace("class openstack", "$x = = 1\nclass openstack")
    path.write_text(bad)
    done = runbook(*arguments, "--description", TEXT, env=env)
    assert done.rc == 2
    assert "Syntax error" in done.stderr
    assert "did not read the file before either" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert path.read_text() == bad
