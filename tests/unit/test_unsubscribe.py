"""``runbook unsubscribe`` on practice sites: what it refuses, and changes that fail.

Every practice list has the address as a member.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks.practice.site import TARGET
from tests.support import command, subscriptions
from tests.support.command import run_id

SITE, NAME = "zuul", "zuul-jobs"
LISTS = 11


@pytest.fixture
def practice(sites: Any) -> Any:
    sites.unlock()
    (sites.folder / "bin" / f"{subscriptions.NAME}.py").write_text(subscriptions.PROGRAM)
    script(sites, "wait", NAME, TARGET)
    return sites


def runbook(practice: Any, *arguments: str, **options: Any) -> Any:
    return command.runbook(practice.spec, *arguments, **options)


def script(practice: Any, function: str, *arguments: str) -> str:
    return str(
        practice.site.run(
            SITE, "withlist", "-q", "-r", f"{subscriptions.NAME}.{function}", *arguments
        )
    )


def shown(practice: Any) -> Any:
    """All that is in the files of the list."""
    return json.loads(script(practice, "show", NAME))


def has_any(practice: Any) -> bool:
    return TARGET in json.dumps(shown(practice)).lower()


def extend(practice: Any, code: str) -> Path:
    """Have Mailman run `code` with the list `m` whenever it is loaded."""
    path = Path(practice.list_folder(SITE, NAME) / "extend.py")
    path.write_text("import errno, os\ndef extend(m):\n" + code)
    return path


def outcome(done: Any, name: str = NAME) -> dict[str, Any]:
    told = [json.loads(line) for line in done.stdout.splitlines()]
    (one,) = [it for it in told if it.get("list") == name]
    return dict(one)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["^target"], "'^target' is a pattern, and members are unsubscribed by address"),
        (["target"], "'target' is not an address: try target@example.com"),
        (["a@example.com", "b c@example.com"], "'b c@example.com' is not an address"),
        ([], "there is no address"),
    ],
)
def test_what_is_no_address_is_refused(practice: Any, arguments: list[str], said: str) -> None:
    before = practice.files()
    done = runbook(practice, "unsubscribe", *arguments, "--yes")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert practice.files() == before


def test_whom_nobody_knows_is_said_and_nothing_is_recorded(practice: Any) -> None:
    before = practice.files()
    done = runbook(practice, "unsubscribe", "nobody@example.com")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nobody@example.com  on no list" in done.stdout
    assert f"{LISTS} lists did not have it" in done.stdout
    assert practice.files() == before


def test_a_member_whose_worker_was_killed_is_put_back(practice: Any) -> None:
    """It died when the confirmations were gone, and the member not yet."""
    before = shown(practice)
    code = "    m.Save = lambda: os.kill(os.getpid(), 9)\n"
    extension = extend(practice, code)
    done = runbook(practice, "unsubscribe", TARGET, "--yes")
    assert done.returncode == 1
    assert "killed by signal 9" in done.stdout
    extension.unlink()
    practice.unlock()
    half = shown(practice)
    assert half[NAME]["config.pck"] == before[NAME]["config.pck"]
    assert half[NAME]["pending.pck"] != before[NAME]["pending.pck"]
    undone = runbook(practice, "undo", run_id(done), "--yes")
    assert (undone.returncode, undone.stderr) == (0, ""), undone.stdout
    assert f"taken back on {LISTS} lists and read back" in undone.stdout
    assert shown(practice) == before


def test_a_save_that_fails_is_named_and_what_it_did_can_be_taken_back(practice: Any) -> None:
    before = shown(practice)
    code = (
        "    def save():\n        raise IOError(errno.ENOSPC, 'No space left on device')\n"
        "    m.Save = save\n"
    )
    extension = extend(practice, code)
    text = extension.read_text()
    done = runbook(practice, "unsubscribe", TARGET, "--yes", "--json")
    assert done.returncode == 1
    assert outcome(done)["outcome"] == "error"
    assert "No space left" in outcome(done)["detail"]
    extension.unlink()
    (run,) = re.findall(r'"run": "([^"]+)"', done.stdout)
    half = shown(practice)
    assert half != before
    # The undo fails there in turn; what it has done until then can be taken back as well.
    extension.write_text(text)
    failed = runbook(practice, "undo", run, "--yes")
    assert failed.returncode == 1
    extension.unlink()
    assert shown(practice) == before
    back = runbook(practice, "undo", run_id(failed), "--yes")
    assert (back.returncode, back.stderr) == (0, ""), back.stdout
    assert shown(practice) == half
    assert runbook(practice, "undo", run, "--yes").returncode == 0
    assert shown(practice) == before


def test_nothing_is_changed_where_it_cannot_be_kept(practice: Any) -> None:
    """What undo needs is on the disk before the list is changed."""
    before = shown(practice)
    runbook(practice, "unsubscribe", TARGET, "--list", "zuul-announce", "--yes")
    saved = practice.prefix("openstack") / "runbook" / "saved"
    moved = saved.rename(saved.with_name("moved"))
    saved.write_text("in the way")
    done = runbook(practice, "unsubscribe", TARGET, "--yes", "--list", NAME, "--json")
    assert done.returncode == 1
    assert outcome(done)["outcome"] == "error"
    assert shown(practice) == before
    saved.unlink()
    moved.rename(saved)


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("removeMember", "lambda m, address: None"),
        ("HandleRequest", "lambda m, number, value: None"),
    ],
)
def test_what_was_not_removed_is_seen(practice: Any, method: str, code: str) -> None:
    # Methods are not saved with a list.
    extend(practice, f"    import types\n    m.{method} = types.MethodType({code}, m)\n")
    done = runbook(practice, "unsubscribe", TARGET, "--yes", "--list", NAME, "--json")
    assert done.returncode == 1
    assert outcome(done)["outcome"] == "error"
    assert "still has what was removed" in outcome(done)["detail"]


def test_members_that_are_kept_elsewhere_are_left_there(practice: Any) -> None:
    """A site may have Mailman ask a database; what that has could not be put back."""
    script(practice, "remove", NAME, TARGET)
    code = f"types.MethodType(lambda m, address: address == {TARGET!r}, m)"
    extend(practice, f"    import types\n    m.isMember = {code}\n")
    done = runbook(practice, "unsubscribe", TARGET, "--yes", "--list", NAME, "--json")
    assert done.returncode == 1
    assert "its members are not in its own state" in outcome(done)["detail"]


def test_ten_thousand_addresses_in_one_run(practice: Any, tmp_path: Path) -> None:
    file = tmp_path / "victims"
    file.write_text("".join(f"victim{n}@example.com\n" for n in range(10_000)) + TARGET)
    done = runbook(practice, "unsubscribe", "--from", str(file), "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"unsubscribed from {LISTS} lists and read back" in done.stdout
    # Whom some list has comes first.
    first = done.stdout.splitlines()[3].split()
    assert first[:5] == [TARGET, "member", "of", str(LISTS), "lists,"]
    assert "… and 9,971 more, 9,971 of them on no list" in done.stdout
    assert not has_any(practice)
    assert runbook(practice, "undo", run_id(done), "--yes").returncode == 0
    assert has_any(practice)


def test_confirmations_are_written_once_whatever_their_number(practice: Any) -> None:
    """Mailman itself writes the file anew for each, which would take minutes here."""
    (practice.list_folder(SITE, NAME) / "pending.pck").unlink()
    script(practice, "pend", NAME, TARGET, "20000")
    began = time.monotonic()
    done = runbook(practice, "unsubscribe", TARGET, "--yes")
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - began < 30
    assert "20,001 confirmations" in done.stdout
    assert not has_any(practice)


def test_a_confirmation_that_has_expired_since_is_not_put_back(practice: Any) -> None:
    """Mailman would have dropped it by now."""
    expire(practice, "1.0")
    done = runbook(practice, "unsubscribe", TARGET, "--yes")
    gone = shown(practice)[NAME]["pending.pck"]
    undone = runbook(practice, "undo", run_id(done), "--yes")
    assert undone.returncode == 0, undone.stdout
    assert shown(practice)[NAME]["pending.pck"] == gone


def expire(practice: Any, when: str) -> None:
    """Set when the confirmations of the list expire."""
    practice.code(
        SITE,
        "import pickle, sys\nfrom Mailman import UserDesc\n"
        "with open(sys.argv[1], 'rb') as f: pending = pickle.load(f)\n"
        "pending['evictions'] = dict((k, float(sys.argv[2])) for k in pending['evictions'])\n"
        "with open(sys.argv[1], 'wb') as f: pickle.dump(pending, f)\n",
        str(practice.list_folder(SITE, NAME) / "pending.pck"),
        when,
    )
