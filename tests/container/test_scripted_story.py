"""Scripts that misbehave, on twenty lists: what is said of each, what is done to the others."""

from __future__ import annotations

import pickle
import re
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks.testing.containers.box import Box, Result
from tests.support.command import run_id, started
from tests.support.lockers import Actor, names, new_list, objects, play, runbook, until

LISTS = 20


def twenty(box: Box) -> dict[str, list[str]]:
    """Twenty lists over the sites, by site. One is Mailman's own work, the others its copies."""
    made: dict[str, list[str]] = {}
    for site in box.sites:
        count = LISTS // len(box.sites)
        new_list(box, site, f"{site}-00")
        folder = f"{box.prefix(site)}/lists"
        made[site] = [f"{site}-{n:02}" for n in range(count)]
        copies = " ".join(made[site][1:])
        done = box.sh(f"cd {folder} && for one in {copies}; do cp -a {site}-00 $one; done")
        assert done.rc == 0, done.stderr
    return made


def labelled(box: Box, site: str, name: str) -> str:
    return f"{name} ({site})" if len(box.sites) > 1 else name


def states(box: Box, made: dict[str, list[str]]) -> dict[tuple[str, str], str]:
    """The hash of the state of each list."""
    found: dict[tuple[str, str], str] = {}
    for site, lists in made.items():
        paths = [f"{box.prefix(site)}/lists/{name}/config.pck" for name in lists]
        lines = box.run(["sha256sum", *paths]).stdout.splitlines()
        for name, line in zip(lists, lines, strict=True):
            found[site, name] = line.split()[0]
    return found


def attribute(box: Box, site: str, name: str, attribute: str) -> Any:
    data = box.read_bytes(f"{box.prefix(site)}/lists/{name}/config.pck")
    return pickle.loads(data, encoding="latin1").get(attribute)


def script(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


def withlist(box: Box, *arguments: str, **options: Any) -> Result:
    return runbook(box, "withlist", "--yes", *arguments, **options)


def no_locks(box: Box) -> None:
    for site in box.sites:
        assert names(box, site) == set()


def restored(box: Box, run: str, before: dict[tuple[str, str], str], number: int) -> None:
    """Put back what a run changed; every list is byte for byte as it was."""
    result = withlist(box, "--restore", run)
    assert result.rc == 0, result.stdout + result.stderr
    assert f"{number} lists put back and read back" in result.stdout
    made: dict[str, list[str]] = {}
    for site, name in before:
        made.setdefault(site, []).append(name)
    assert states(box, made) == before
    no_locks(box)


# -- scripts that misbehave -----------------------------------------------------------------

CHANGE = """
def change(m):
    m.Lock()
    try:
        m.info = "changed by the script"
        m.Save()
    finally:
        m.Unlock()
"""


def test_a_script_that_raises_on_one_list(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    site = next(iter(made))
    bad = made[site][3]
    path = script(
        tmp_path,
        "raises",
        CHANGE
        + f"""
def raises(m):
    if m.internal_name() == {bad!r}:
        raise KeyError("somebody@example.org")
    change(m)
""",
    )
    result = withlist(box, path)
    assert result.rc == 1
    assert f"{LISTS} lists: {LISTS - 1} changed, 1 not done:" in result.stdout
    row = f"  {labelled(box, site, bad)}  KeyError: 'somebody@example.org' (raises.py, line 12)"
    assert row in result.stdout.splitlines()
    after = states(box, made)
    assert {key for key in before if before[key] == after[key]} == {(site, bad)}
    # No member's address from an exception is in the journal.
    journal = box.read(f"{box.prefix(site)}/runbook/journal.jsonl")
    assert "somebody@" not in journal
    assert "KeyError in raises.py, line 12" in journal
    restored(box, run_id(result), before, LISTS - 1)


def test_a_script_that_locks_and_never_unlocks(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    path = script(
        tmp_path,
        "locks",
        'def locks(m):\n    m.Lock()\n    m.info = "locked"\n    m.Save()\n',
    )
    result = withlist(box, path)
    assert result.rc == 0
    assert f"{LISTS} lists: {LISTS} changed" in result.stdout
    assert "warning: the script left it locked; it was unlocked: " in result.stderr
    assert f"and {LISTS - 5} more" in result.stderr
    no_locks(box)
    restored(box, run_id(result), before, LISTS)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os._exit(3)", "the process of the script was ended with status 3"),
        ("os.kill(os.getpid(), 9)", "the process of the script was killed by signal 9"),
    ],
    ids=["_exit", "kill"],
)
def test_a_script_that_ends_its_process_with_the_list_locked(
    box: Box, tmp_path: Path, how: str, said: str
) -> None:
    made = twenty(box)
    before = states(box, made)
    site = next(iter(made))
    bad = made[site][3]
    path = script(
        tmp_path,
        "dies",
        CHANGE
        + f"""
import os
def dies(m):
    change(m)
    if m.internal_name() == {bad!r}:
        m.Lock()
        {how}
""",
    )
    result = withlist(box, path)
    assert result.rc == 1
    assert f"{LISTS} lists: {LISTS - 1} changed, 1 not done:" in result.stdout
    row = f"  {labelled(box, site, bad)}  {said}; it had changed info by then"
    assert row in result.stdout.splitlines()
    label = labelled(box, site, bad)
    assert f"warning: the script left it locked; it was unlocked: {label}" in result.stderr
    no_locks(box)
    restored(box, run_id(result), before, LISTS)


def test_a_script_that_calls_sys_exit(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    site = next(iter(made))
    quiet, loud = made[site][2:4]
    path = script(
        tmp_path,
        "exits",
        CHANGE
        + f"""
import sys
def exits(m):
    change(m)
    if m.internal_name() == {quiet!r}:
        sys.exit()
    if m.internal_name() == {loud!r}:
        sys.exit(3)
""",
    )
    result = withlist(box, path)
    assert result.rc == 1
    assert f"{LISTS} lists: {LISTS - 1} changed, 1 not done:" in result.stdout
    row = f"  {labelled(box, site, loud)}  sys.exit(3); it had changed info by then"
    assert row in result.stdout.splitlines()
    assert f"would have ended withlist: {labelled(box, site, quiet)}\n" in result.stderr
    restored(box, run_id(result), before, LISTS)


def test_a_script_that_prints_megabytes(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    path = script(
        tmp_path,
        "prints",
        """
from __future__ import print_function
import sys
def prints(m):
    for n in range(1000):
        print("%05d " % n + "x" * 500)
    sys.stderr.write("to standard error\\n")
    sys.stdout.write("y" * 500000)
""",
    )
    result = withlist(box, path)
    assert result.rc == 0, result.stderr
    assert len(result.stdout) > LISTS * 1_000_000
    found: dict[str, list[str]] = {}
    for line in result.stdout.splitlines():
        name, _, text = line.partition(": ")
        found.setdefault(name, []).append(text)
    for lists in made.values():
        for name in lists:
            printed = found[name]
            assert [line[:5] for line in printed[:1000]] == [f"{n:05}" for n in range(1000)]
            assert printed[1000] == "to standard error"
            assert "".join(printed[1001:]) == "y" * 500_000


def test_a_script_with_a_syntax_error(box: Box, tmp_path: Path) -> None:
    twenty(box)
    before = box.changes()
    path = script(tmp_path, "wrong", "def wrong(m):\n    return\n    x = = 3\n")
    result = withlist(box, path)
    assert result.rc == 2
    assert result.stderr.startswith(f"runbook: {path}:3: SyntaxError: ")
    assert f"(under the host's Python {box.python}" in result.stderr
    assert result.stderr.count("\n") == 1
    assert box.changes() == before


def test_what_compiles_is_for_the_hosts_python_to_say(box: Box, tmp_path: Path) -> None:
    new_list(box, next(iter(box.sites)), "alpha")
    path = script(tmp_path, "old", "def old(m):\n    print m.internal_name()\n")
    result = withlist(box, path)
    if box.python.startswith("2"):
        assert result.rc == 0
        assert "\nalpha: alpha\n" in result.stdout
    else:
        assert result.rc == 2
        assert ":2: SyntaxError: " in result.stderr


def test_a_script_that_deletes_an_attribute(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    path = script(
        tmp_path,
        "drops",
        "def drops(m):\n    m.Lock()\n    del m.info\n    m.Save()\n    m.Unlock()\n",
    )
    result = withlist(box, path)
    assert result.rc == 0
    assert "changed attributes: info" in result.stdout
    site = next(iter(made))
    assert attribute(box, site, made[site][0], "info") is None
    restored(box, run_id(result), before, LISTS)


def test_a_script_that_does_not_load_is_not_tried_on_every_list(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    path = script(tmp_path, "absent", "import nosuchmodule\n" + CHANGE)
    result = withlist(box, path, "--function", "change")
    assert result.rc == 1
    assert "No module named" in result.stdout
    assert "no other list was begun" in result.stdout
    assert states(box, made) == before


def test_a_script_that_forgets_to_save(box: Box, tmp_path: Path) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha")
    path = script(tmp_path, "forgets", "def forgets(m):\n    m.info = 'forgotten'\n")
    result = withlist(box, path)
    assert result.rc == 0
    assert "changed info in memory and did not save it: alpha" in result.stderr
    assert "1 list: 1 unchanged" in result.stdout


def test_what_a_script_gets(box: Box, tmp_path: Path) -> None:
    """As from withlist -r: an unlocked, loaded list, arguments as text, no input."""
    site = next(iter(box.sites))
    new_list(box, site, "alpha")
    path = script(
        tmp_path,
        "sees",
        """
from __future__ import print_function
import os, sys
def sees(m, *args):
    print(repr([m.internal_name(), bool(m.Locked()), m.real_name, list(args), sys.stdin.read()]))
    beside = "/usr/lib/mailman/bin" in sys.path
    print(repr([sys.argv[0].endswith("/withlist"), __name__, beside, os.getuid() != 0]))
    ours = ("lists", "journal", "runner", "boot")
    print(repr([name for name in ours if name in sys.modules]))
""",
    )
    result = withlist(box, path, "--", "-a", "b c", "$(id)'\"")
    assert result.rc == 0
    printed = [
        line.partition(": ")[2] for line in result.stdout.splitlines() if line[:6] == "alpha:"
    ]
    assert printed == [
        repr(["alpha", False, "Alpha", ["-a", "b c", "$(id)'\""], ""]),
        repr([True, "sees", True, True]),
        "[]",
    ]


def test_it_leaves_no_file_of_its_own(box: Box, tmp_path: Path) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha")
    before = box.changes()
    path = script(tmp_path, "looks", "def looks(m):\n    pass\n")
    assert withlist(box, path).rc == 0
    new = set(box.changes()) - set(before)
    folder = f"{box.prefix(site)}/runbook"
    assert new == {folder, f"{folder}/journal.jsonl"}


# -- what is kept ----------------------------------------------------------------------------


def test_what_is_kept_is_for_root_and_mailmans_user_alone(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    site = next(iter(made))
    result = withlist(box, script(tmp_path, "change", CHANGE))
    folder = f"{box.prefix(site)}/runbook"
    shown = box.sh(f"find {folder} -printf '%y %m %u\\n' | sort | uniq -c")
    kinds = {tuple(line.split()[1:]) for line in shown.stdout.splitlines()}
    assert kinds == {("d", "700", "list"), ("f", "600", "list")}
    for path in ("journal.jsonl", f"saved/{run_id(result)}/{site}/{made[site][0]}/config.pck"):
        assert box.run(["cat", f"{folder}/{path}"], user="nobody").rc != 0
        assert box.run(["cat", f"{folder}/{path}"], user="list").rc == 0
    shown = runbook(box, "history", run_id(result)).stdout
    assert f"the state of {LISTS} lists from before: {folder}/saved/{run_id(result)}" in shown
    assert f"--restore {run_id(result)}" in shown


def test_lists_that_somebody_changed_since_are_left_alone(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    site = next(iter(made))
    theirs = made[site][5]
    run = run_id(withlist(box, script(tmp_path, "change", CHANGE)))
    box.put("/tmp/theirs", "description = 'somebody else'\n")
    done = box.run(["config_list", "-i", "/tmp/theirs", theirs], env=box.environment(site))
    assert done.rc == 0, done.stderr
    changed = states(box, made)
    result = withlist(box, "--restore", run)
    assert result.rc == 1
    assert f"{LISTS - 1} lists put back and read back, 1 not" in result.stdout
    assert f"  {labelled(box, site, theirs)}  somebody changed it since the run" in result.stdout
    after = states(box, made)
    assert after[site, theirs] == changed[site, theirs]
    assert {key for key in after if after[key] == before[key]} == set(before) - {(site, theirs)}
    # Again: nothing is left to do but to name it.
    again = withlist(box, "--restore", run)
    assert again.rc == 1
    assert "nothing is left to put back" in again.stdout
    assert theirs in again.stdout


def test_putting_back_can_be_taken_back(box: Box, tmp_path: Path) -> None:
    made = twenty(box)
    before = states(box, made)
    run = run_id(withlist(box, script(tmp_path, "change", CHANGE)))
    changed = states(box, made)
    back = withlist(box, "--restore", run)
    assert states(box, made) == before
    result = runbook(box, "undo", run_id(back), "--yes")
    assert result.rc == 0, result.stderr
    assert states(box, made) == changed
    again = runbook(box, "undo", run_id(back), "--yes")
    assert again.rc == 0
    assert "nothing is left to put back" in again.stdout
    assert states(box, made) == changed


def test_restoring_waits_for_the_lock_and_names_who_has_it(box: Box, tmp_path: Path) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha", "beta")
    run = run_id(withlist(box, script(tmp_path, "change", CHANGE)))
    cast = play(box, site, [Actor("alpha")])
    result = withlist(box, "--restore", run, "--timeout", "1")
    assert result.rc == 1
    assert "1 list put back and read back, 1 not" in result.stdout
    assert f"by process {cast.pids[0]} on lists" in result.stdout
    assert attribute(box, site, "alpha", "info") == "changed by the script"
    assert attribute(box, site, "beta", "info") == ""


# -- locks -----------------------------------------------------------------------------------


def test_a_locked_list_comes_last_and_once(box: Box, tmp_path: Path) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha", "beta")
    cast = play(box, site, [Actor("alpha", fate="killed")])
    reads = script(
        tmp_path,
        "reads",
        "from __future__ import print_function\ndef reads(m):\n    print('here')\n",
    )
    result = withlist(box, reads, "--timeout", "1")
    assert result.rc == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.endswith(": here")]
    assert lines == ["beta: here", "alpha: here"]
    # One that locks it without a timeout is not kept waiting for five hours.
    begun = time.monotonic()
    result = withlist(box, script(tmp_path, "change", CHANGE), "--timeout", "1")
    assert time.monotonic() - begun < 20
    assert result.rc == 1
    assert "1 changed, 1 not done:" in result.stdout
    assert "the script could not lock it: locked since" in result.stdout
    assert f"by process {cast.pids[0]} on lists, which no longer runs" in result.stdout
    assert "→ runbook clear-lock alpha" in result.stdout
    assert attribute(box, site, "alpha", "info") == ""
    # One that gives up by itself, and says nothing, is not believed either.
    gives_up = script(
        tmp_path,
        "gives_up",
        "def gives_up(m):\n    try:\n        m.Lock(timeout=1)\n    except Exception:\n"
        "        return\n    m.Unlock()\n",
    )
    result = withlist(box, gives_up, "--timeout", "1")
    assert result.rc == 1
    assert "1 unchanged, 1 not done:" in result.stdout
    assert "the script could not lock it: locked since" in result.stdout


# -- a rehearsal -----------------------------------------------------------------------------

REHEARSED = """
from __future__ import print_function
from Mailman import MailList, Utils
def rehearsed(m):
    print("%d lists" % len(list(Utils.list_names())))
    m.Lock()
    m.password = "NEWSECRET"
    m.mod_password = "NEWSECRET"
    m.passwords["bob@example.org"] = "NEWSECRET"
    m.passwords["new@example.org"] = "NEWSECRET"
    m.ban_list.append("evil@example.com")
    m.subscribe_policy = 3
    m.brand_new = [1]
    del m.info
    m.Save()
    for name in Utils.list_names():
        if name.endswith("other"):
            other = MailList.MailList(name)
            other.info = "changed from elsewhere"
            other.Save()
            other.Unlock()
"""


def test_a_rehearsal_shows_what_would_change_and_changes_nothing(box: Box, tmp_path: Path) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha", "other")
    done = box.run(
        ["add_members", "-w", "n", "-a", "n", "-r", "-", "alpha"],
        env=box.environment(site),
        stdin="bob@example.org\n",
    )
    assert done.rc == 0, done.stderr
    before = box.changes()
    hashes = states(box, {site: ["alpha", "other"]})
    path = script(tmp_path, "rehearsed", REHEARSED)
    arguments = ["--dry-run", "--list", "alpha", *(["--site", site] if len(box.sites) > 1 else [])]
    result = runbook(box, "withlist", path, *arguments)
    assert result.rc == 0, result.stderr
    assert box.changes() == before
    assert states(box, {site: ["alpha", "other"]}) == hashes
    assert "\nalpha: 2 lists\n" in result.stdout
    shown = dict(
        re.split(r"  +", line.strip(), maxsplit=1)
        for line in result.stdout.splitlines()
        if line.startswith("  ") and re.match(r" +(\S+|info of other)  +\S", line)
    )
    assert shown["subscribe_policy"] == "1 → 3"
    assert shown["ban_list"] == "+ 'evil@example.com'"
    assert shown["brand_new"] == "new: [1]"
    assert shown["info"] == "gone (was '')"
    assert shown["info of other"] == "'' → 'changed from elsewhere'"
    assert shown["password"] == "*** → ***"
    assert shown["mod_password"] == "None → ***"
    assert shown["passwords"] == "+ 'new@example.org': ***, 'bob@example.org': *** → ***"
    secret = attribute(box, site, "alpha", "passwords")["bob@example.org"]
    for hidden in ("NEWSECRET", secret, attribute(box, site, "alpha", "password")):
        assert not hidden or hidden not in result.stdout + result.stderr
    assert "dry run: it ran on copies of the lists" in result.stdout
    # The same in earnest changes just that.
    told = objects(runbook(box, "withlist", path, *arguments, "--json"))
    (planned,) = [one for one in told if one.get("outcome") == "planned"]
    earnest = withlist(box, path, *arguments[1:])
    assert earnest.rc == 0, earnest.stderr
    assert "the script changed other lists as well: other" in earnest.stderr
    changed = sorted(one["name"] for one in planned["changes"])
    assert f"changed attributes: {', '.join(changed)}" in earnest.stdout
    restored(box, run_id(earnest), hashes, 2)


def test_a_rehearsal_takes_no_lock_and_sends_nothing(box: Box, tmp_path: Path) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha")
    cast = play(box, site, [Actor("alpha")])
    before = box.changes()
    path = script(
        tmp_path,
        "writes",
        """
import os
from Mailman import mm_cfg
from Mailman.Logging.Syslog import syslog
def writes(m):
    m.Lock()
    m.Save()
    syslog("error", "a line in a log")
    for name in dir(mm_cfg):
        if name.endswith("QUEUE_DIR") and os.path.isdir(getattr(mm_cfg, name)):
            open(os.path.join(getattr(mm_cfg, name), "message"), "w").close()
    raise RuntimeError("with the lock held")
""",
    )
    begun = time.monotonic()
    result = runbook(box, "withlist", path, "--dry-run")
    assert time.monotonic() - begun < 8
    assert result.rc == 1
    assert "RuntimeError: with the lock held (writes.py, line 12)" in result.stdout
    assert box.changes() == before
    assert cast.pids


@pytest.mark.parametrize("whom", ["command", "program", "worker", "program and worker"])
def test_a_rehearsal_that_is_killed_leaves_no_copy(box: Box, tmp_path: Path, whom: str) -> None:
    site = next(iter(box.sites))
    new_list(box, site, "alpha")
    before = box.changes()
    path = script(
        tmp_path,
        "sleeps",
        "from __future__ import print_function\nimport os, time\n"
        "def sleeps(m):\n    print('%d here' % os.getpid())\n    time.sleep(15)\n",
    )
    child, line = begun(box, path, "--dry-run")
    assert "/tmp/runbook-" in " ".join(set(box.changes()) - set(before))
    runner = int(line.split()[1])
    worker = parent(box, runner)
    if whom == "command":
        child.kill()
    if "worker" in whom:
        box.run(["kill", "-STOP", str(worker)])
    if "program" in whom:
        box.run(["kill", "-KILL", str(parent(box, worker))])
    if "worker" in whom:
        box.run(["kill", "-KILL", str(worker)])
    child.wait()
    child.stdout.close()
    until(box, '[ -z "$(ls -d /tmp/runbook-* 2>/dev/null)" ]', 45)
    until(box, f"! [ -d /proc/{runner} ]", 45)
    assert box.changes() == before


def parent(box: Box, pid: int) -> int:
    return int(box.run(["ps", "-o", "ppid=", "-p", str(pid)]).stdout)


def begun(box: Box, *arguments: str) -> tuple[Any, str]:
    """A run of withlist whose script has printed its first line, and that line."""
    child = started(box.spec, "withlist", *arguments)
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("alpha: "):
            return child, line
    raise AssertionError("it ended before")
