"""All of a list's state under `runbook withlist`: its settings, requests and held messages."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import run_id, runbook

LIST = "zuul-jobs"
SITE = "zuul"
ONE = ("--list", LIST, "--site", SITE)

#: What Mailman does when a held message is discarded: the message goes at once, the request when
#: the list is saved.
DISCARDS = """\
import os, pickle
from Mailman import mm_cfg
def remove(m, number):
    os.unlink(os.path.join(mm_cfg.DATA_DIR, "heldmsg-%s-%d.pck" % (m.internal_name(), number)))
def forget(m, number):
    path = os.path.join(m.fullpath(), "request.pck")
    with open(path, "rb") as f:
        requests = pickle.load(f)
    del requests[number]
    with open(path, "wb") as f:
        pickle.dump(requests, f, 1)
def discards(m, saves):
    m.Lock()
    try:
        remove(m, 1)
        if saves == "and saves":
            forget(m, 1)
            m.Save()
    finally:
        m.Unlock()
"""


def hold(sites: Any, *numbers: int) -> None:
    """Held messages of the list, and one of another list whose name begins with its name."""
    data = sites.prefix(SITE) / "data"
    for number in numbers:
        (data / f"heldmsg-{LIST}-{number}.pck").write_bytes(b"message %d" % number)
    (data / f"heldmsg-{LIST}-2-1.pck").write_bytes(b"another list's")
    requests: dict[object, object] = {
        number: (1, (0.0, "a@example.com", "subject", "why", "file", {})) for number in numbers
    }
    requests["version"] = (0, 1)
    write_pickle(sites, "request.pck", requests)
    write_pickle(sites, "pending.pck", {"cookie": ("S", "SECRET"), "evictions": {}, "version": 2})


def write_pickle(sites: Any, name: str, value: object) -> None:
    (sites.list_folder(SITE, LIST) / name).write_bytes(pickle.dumps(value, protocol=1))


def state(sites: Any) -> dict[str, bytes]:
    files = [
        *sites.list_folder(SITE, LIST).glob("*.pck"),
        *(sites.prefix(SITE) / "data").glob("heldmsg-*"),
    ]
    return {path.name: path.read_bytes() for path in files}


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def withlist(sites: Any, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return runbook(sites.spec, "withlist", *arguments, **options)


def script(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(text)
    return str(path)


@pytest.fixture
def ready(sites: Any) -> Any:
    sites.unlock()
    hold(sites, 1, 2)
    return sites


# -- what is compared, kept and restored ----------------------------------------------------


@pytest.mark.parametrize(
    ("saves", "gone", "files"),
    [
        ("no", {f"heldmsg-{LIST}-1.pck"}, "1 held message"),
        ("and saves", {f"heldmsg-{LIST}-1.pck", "request.pck"}, "request.pck, 1 held message"),
    ],
)
def test_a_held_message_that_a_script_discards(
    ready: Any, tmp_path: Path, saves: str, gone: set[str], files: str
) -> None:
    before = state(ready)
    path = script(tmp_path, "discards", DISCARDS)
    rehearsed = withlist(ready, path, saves, *ONE, "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stdout + rehearsed.stderr
    assert "1 list: 1 would change" in rehearsed.stdout
    assert f"held messages  - heldmsg-{LIST}-1.pck\n" in rehearsed.stdout
    assert ("request.pck    - held message 1\n" in rehearsed.stdout) == (saves == "and saves")
    assert state(ready) == before
    done = withlist(ready, path, saves, *ONE, "--yes")
    assert "1 list: 1 changed\n" in done.stdout, done.stdout + done.stderr
    assert f"changed files: {files}\n" in done.stdout
    assert done.stderr == ""
    after = state(ready)
    assert changed(before, after) - {"config.pck"} == gone
    # What differs alone is kept.
    kept = {path.name for path in ready.folder.glob(f"srv/mailman/*/runbook/saved/*/*/{LIST}/*")}
    assert kept - {"before.json", "after.json"} == changed(before, after)
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert "1 list put back and read back\n" in back.stdout
    assert state(ready) == before
    # The other way round, and back again.
    again = withlist(ready, "--restore", run_id(back), "--yes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert state(ready) == after


def test_a_script_that_changes_nothing_keeps_nothing(ready: Any) -> None:
    before = state(ready)
    done = withlist(ready, "owners.py", *ONE, "--yes")
    assert "1 list: 1 unchanged" in done.stdout
    assert state(ready) == before
    assert not list(ready.folder.glob("srv/mailman/*/runbook/saved"))


def test_what_is_pending_is_shown_without_what_is_secret(ready: Any, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "confirms",
        "import os, pickle\n"
        "def confirms(m):\n"
        "    with open(os.path.join(m.fullpath(), 'pending.pck'), 'wb') as f:\n"
        "        pickle.dump({'evictions': {}, 'version': 2}, f, 1)\n",
    )
    rehearsed = withlist(ready, path, *ONE, "--dry-run")
    assert "pending.pck  - subscription\n" in rehearsed.stdout
    assert "SECRET" not in rehearsed.stdout
    assert "cookie" not in rehearsed.stdout


def test_requests_that_say_the_same_in_other_bytes_are_no_change(
    ready: Any, tmp_path: Path
) -> None:
    path = script(
        tmp_path,
        "writes",
        "import os, pickle\n"
        "def writes(m):\n"
        "    m.Lock()\n"
        "    path = os.path.join(m.fullpath(), 'request.pck')\n"
        "    with open(path, 'rb') as f:\n"
        "        requests = pickle.load(f)\n"
        "    with open(path, 'wb') as f:\n"
        "        pickle.dump(requests, f, 0)\n"
        "    m.Unlock()\n",
    )
    before = state(ready)
    assert "1 list: 1 unchanged" in withlist(ready, path, *ONE, "--dry-run").stdout
    done = withlist(ready, path, *ONE, "--yes")
    assert "1 list: 1 unchanged" in done.stdout
    assert changed(before, state(ready)) == {"request.pck"}
    withlist(ready, "--restore", run_id(done), "--yes")
    assert state(ready) == before


def test_a_restore_that_was_cut_short_can_be_completed(ready: Any, tmp_path: Path) -> None:
    before = state(ready)
    done = withlist(ready, script(tmp_path, "discards", DISCARDS), "and saves", *ONE, "--yes")
    message = f"heldmsg-{LIST}-1.pck"
    (ready.prefix(SITE) / "data" / message).write_bytes(before[message])
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert "1 list put back and read back\n" in back.stdout
    assert state(ready) == before


def test_what_the_run_did_not_touch_is_left_as_it_is(ready: Any, tmp_path: Path) -> None:
    before = state(ready)
    done = withlist(ready, script(tmp_path, "discards", DISCARDS), "no", *ONE, "--yes")
    write_pickle(ready, "pending.pck", {"evictions": {}, "version": 2})
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert changed(before, state(ready)) == {"pending.pck"}


# -- what cannot be restored, and is named --------------------------------------------------


def test_requests_that_somebody_changed_since(ready: Any, tmp_path: Path) -> None:
    done = withlist(ready, script(tmp_path, "discards", DISCARDS), "and saves", *ONE, "--yes")
    write_pickle(ready, "request.pck", {"version": (0, 1)})
    after = state(ready)
    for arguments in (("--dry-run",), ("--yes",)):
        back = withlist(ready, "--restore", run_id(done), *arguments)
        assert back.returncode == 1
        assert "1 changed since" in back.stdout
        assert "somebody changed it since the run (request.pck); its state from" in back.stdout
    assert state(ready) == after


def test_a_kept_message_that_is_damaged_is_not_put_back(ready: Any, tmp_path: Path) -> None:
    done = withlist(ready, script(tmp_path, "discards", DISCARDS), "no", *ONE, "--yes")
    (kept,) = ready.folder.glob(f"srv/mailman/*/runbook/saved/*/*/{LIST}/heldmsg-*")
    kept.write_bytes(b"")
    after = state(ready)
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert back.returncode == 1
    assert "what was kept is damaged or gone" in back.stdout
    assert state(ready) == after


def test_what_changes_without_the_lock_is_named(ready: Any, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "sneaks",
        DISCARDS
        + """
def sneaks(m):
    m.Lock()
    m.info = "changed"
    m.Save()
    m.Unlock()
    remove(m, 2)
""",
    )
    before = state(ready)
    done = withlist(ready, path, *ONE, "--yes")
    assert "1 list: 1 changed\n" in done.stdout
    assert "changed files: 1 held message\n" in done.stdout
    assert (
        "somebody else, or the script without its lock, changed 1 held message;"
        f" --restore will leave that alone: {LIST}"
    ) in done.stderr
    for arguments in (("--dry-run",), ("--yes",)):
        back = withlist(ready, "--restore", run_id(done), *arguments)
        assert back.returncode == 1
        assert "1 held message changed without the list's lock, and stays as it is" in back.stderr
    assert changed(before, state(ready)) == {f"heldmsg-{LIST}-2.pck"}
    (kept,) = ready.folder.glob(f"srv/mailman/*/runbook/saved/*/*/{LIST}/heldmsg-*")
    assert kept.read_bytes() == before[kept.name]


def test_a_script_that_never_locks(ready: Any, tmp_path: Path) -> None:
    path = script(tmp_path, "grabs", DISCARDS + "def grabs(m):\n    remove(m, 1)\n")
    done = withlist(ready, path, *ONE, "--yes")
    assert "changed files: 1 held message\n" in done.stdout
    assert "or the script without its lock; --restore will leave it alone" in done.stderr
    after = state(ready)
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert back.returncode == 1
    assert "or the script did without its lock; its state from before:" in back.stdout
    assert state(ready) == after


def test_a_list_of_which_nothing_could_be_kept(ready: Any, tmp_path: Path) -> None:
    folder = ready.list_folder(SITE, LIST)
    (folder / "config.pck").rename(folder / "config.pck.last")
    path = script(tmp_path, "discards", DISCARDS)
    done = withlist(ready, path, "no", *ONE, "--yes")
    assert "it had no config.pck before: nothing of it is kept" in done.stderr
    assert "changed files: config.pck, 1 held message" in done.stdout
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert back.returncode == 1
    assert (
        f"{LIST} ({SITE}): nothing is kept of it; the run changed config.pck, 1 held message"
        in back.stderr
    )


def test_a_process_that_ends_with_the_lock_held(ready: Any, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "dies",
        DISCARDS + "def dies(m):\n    m.Lock()\n    remove(m, 1)\n    os._exit(3)\n",
    )
    before = state(ready)
    done = withlist(ready, path, *ONE, "--yes")
    assert "ended with status 3; it had changed 1 held message by then" in done.stdout
    back = withlist(ready, "--restore", run_id(done), "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert state(ready) == before


def test_a_held_message_that_is_no_file_holds_nobody_up(ready: Any) -> None:
    path = ready.prefix(SITE) / "data" / f"heldmsg-{LIST}-3.pck"
    os.mkfifo(path)
    done = withlist(ready, "owners.py", "--site", SITE, "--yes")
    assert done.returncode == 1
    assert "it is no plain file" in done.stdout
    assert "1 not done" in done.stdout


def test_a_list_that_does_not_load_is_named_with_the_reason(sites: Any) -> None:
    sites.unlock()
    for path in sites.list_folder(SITE, LIST).glob("config.pck*"):
        path.write_bytes(b"")
    done = withlist(sites, "owners.py", *ONE, "--yes")
    assert done.returncode == 1
    assert re.search(
        r"its state does not load: config.pck is damaged \(\w[^)]*\), config.pck.last is",
        done.stdout,
    ), done.stdout


# -- locks ----------------------------------------------------------------------------------

SAVES = 'def saves(m):\n    m.info = "changed"\n    m.Save()\n'
MEANT = "nobody locked the list: --lock locks it first, as withlist -l does"


def test_a_script_that_was_written_for_withlist_l(ready: Any, tmp_path: Path) -> None:
    path = script(tmp_path, "saves", SAVES)
    done = withlist(ready, path, *ONE, "--yes")
    assert done.returncode == 1
    assert "NotLockedError" in done.stdout
    assert MEANT in done.stdout
    rehearsed = withlist(ready, path, *ONE, "--lock", "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stdout
    assert "info  '' → 'changed'" in rehearsed.stdout
    before = state(ready)
    done = withlist(ready, path, *ONE, "--lock", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "each list is locked before it is called" in done.stdout
    assert "changed attributes: info" in done.stdout
    assert done.stderr == ""
    assert ready.locks(SITE) == []
    withlist(ready, "--restore", run_id(done), "--yes")
    assert state(ready) == before


@pytest.mark.parametrize(
    ("text", "options", "hint"),
    [
        ("def fails(m):\n    assert m.Locked()\n", [], ""),
        ("def fails(m):\n    m.Lock()\n    m.Unlock()\n    m.Save()\n", [], ""),
        (
            "def fails(m):\n    m.Lock()\n",
            ["--lock"],
            "the script locks the list itself: leave out --lock",
        ),
        ("def fails(m):\n    m.Unlock()\n    m.Save()\n", ["--lock"], ""),
    ],
    ids=["asserts by itself", "unlocks too early", "locks twice", "unlocks what was locked"],
)
def test_what_is_said_of_locks(
    ready: Any, tmp_path: Path, text: str, options: list[str], hint: str
) -> None:
    done = withlist(ready, script(tmp_path, "fails", text), *ONE, *options, "--yes")
    assert done.returncode == 1
    assert ("--lock" in done.stdout.split("not done:")[1]) == bool(hint), done.stdout
    assert hint in done.stdout
    assert ready.locks(SITE) == []


def test_a_list_that_somebody_has_locked_is_waited_for_and_named(
    ready: Any, tmp_path: Path
) -> None:
    ready.hold(SITE, LIST)
    path = script(tmp_path, "saves", SAVES)
    done = withlist(ready, path, "--site", SITE, "--lock", "--timeout", "1", "--yes")
    assert done.returncode == 1
    assert "1 not done:" in done.stdout
    assert f"runbook withlist {path} --lock --list {LIST}" in done.stdout
    assert "locked since" in done.stdout
    assert "changed attributes: info" in done.stdout  # of the others
    assert {name.split(".")[0] for name in ready.locks(SITE)} == {LIST}


def test_a_script_that_dies_under_lock_leaves_none(ready: Any, tmp_path: Path) -> None:
    path = script(tmp_path, "dies", "import os\ndef dies(m):\n    os._exit(3)\n")
    done = withlist(ready, path, *ONE, "--lock", "--yes")
    assert done.returncode == 1
    assert ready.locks(SITE) == []
    assert "left it locked" not in done.stderr  # it was not the script that had locked it


# -- a secret -------------------------------------------------------------------------------

SECRET = 'S3cr\'et \\ "x"'
USES = """\
from __future__ import print_function
import json, os, sys, time
def uses(m, how):
    secret = os.environ["RUNBOOK_SECRET"]
    print(len(secret), secret, repr(secret), json.dumps(secret))
    for before in range(8180, 8200):
        sys.stdout.write("x" * before + secret + "y" * 9000 + "\\n")
    sys.stdout.write("x" * 8185 + secret[:10])
    sys.stdout.flush()
    time.sleep(0.5)
    sys.stdout.write(secret[10:] + "\\n")
    m.Lock()
    try:
        m.info = "x" * 190 + secret
        m.subject_prefix = secret
        m.Save()
    finally:
        m.Unlock()
    if how == "raises":
        raise ValueError("x" * 280 + secret)
    sys.exit("it says " + secret)
"""


@pytest.mark.parametrize("how", ["raises", "exits"])
@pytest.mark.parametrize("options", [["--dry-run"], ["--yes"], ["--yes", "--json"]])
def test_a_secret_reaches_the_script_and_no_record(
    ready: Any, tmp_path: Path, how: str, options: list[str]
) -> None:
    path, file = script(tmp_path, "uses", USES), tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    done = withlist(ready, path, how, *ONE, *options, "--secret-file", str(file))
    assert done.returncode == 1
    said = done.stdout + done.stderr
    if "--json" in options:
        said += "".join(str(one) for one in map(json.loads, done.stdout.splitlines()))
    else:
        assert f"it gets the secret from {file} as RUNBOOK_SECRET" in said
    assert f"{len(SECRET)} *** '***' " in said
    # Nor is any piece of it there that was cut off from the rest.
    assert not re.search("S3c|et [\\\\]", said)
    for kept in ready.folder.rglob("journal.jsonl"):
        assert "S3c" not in kept.read_text()


def test_a_secret_from_the_environment_or_standard_input(ready: Any, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "has",
        "from __future__ import print_function\nimport os\n"
        "def has(m):\n    print(len(os.environ.get('RUNBOOK_SECRET', '')))\n",
    )
    environment = {**os.environ, "RUNBOOK_SECRET": "five!"}
    assert f"{LIST}: 5\n" in withlist(ready, path, *ONE, "--yes", env=environment).stdout
    piped = withlist(
        ready, path, *ONE, "--yes", "--secret-file", "-", stdin=None, input="six six\n"
    )
    assert f"{LIST}: 7\n" in piped.stdout
    assert f"{LIST}: 0\n" in withlist(ready, path, *ONE, "--yes").stdout


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("two\nlines\n", "more than one line"),
        ("caf\u00e9\n", "not printable ASCII"),
        ("x" * 5000, "4,096 characters or more"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_secret_is_said_in_one_line(
    any_sites: Any, tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    before = any_sites.files()
    done = withlist(any_sites, "owners.py", "--yes", "--secret-file", str(file))
    assert done.returncode == 2
    assert why in done.stderr
    assert len([line for line in done.stderr.splitlines() if "other users" not in line]) == 1
    assert any_sites.files() == before
