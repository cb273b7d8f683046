"""What a command records of itself: the command line without passwords, and who typed it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbooks.errors import BadInputError
from runbooks.mailman import journal
from runbooks.mailman.events import Unrecorded
from runbooks.mailman.journal import JournalError, heard, stopped_why, without_passwords


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["add-list", "x", "--password", "hunter2"], ["add-list", "x", "--password", "…"]),
        (["add-list", "--list-password=hunter2"], ["add-list", "--list-password=…"]),
        (["--passwd=a\nhunter2"], ["--passwd=…"]),
        (["--host", "ssh://root:hunter2@lists"], ["--host", "ssh://root:…@lists"]),
        (["ban", "pass@word.org"], ["ban", "pass@word.org"]),
        (["--host", "ssh://root@lists:22"], ["--host", "ssh://root@lists:22"]),
    ],
)
def test_passwords_are_left_out(typed: list[str], kept: list[str]) -> None:
    assert without_passwords(typed) == kept


def test_who_typed_is_seen_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert journal.login() == "alice"


def test_a_variable_alone_makes_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert journal.login() != "alice"


def test_what_cannot_be_recorded_is_not_done() -> None:
    event = Unrecorded(why="/x: No space left on device", begun=False)
    with pytest.raises(JournalError, match="so nothing was changed: /x: No space left"):
        heard(event)
    assert stopped_why(event) is None
    begun = replace(event, begun=True)
    assert heard(begun) is None
    assert stopped_why(begun) == (
        "the journal could no longer be written (/x: No space left on device)"
    )


@pytest.mark.parametrize("wanted", ["", "x", "../x", "20240501 120301", "-", "4f9a1c; rm"])
def test_what_is_no_id_is_said_before_anything_is_asked(wanted: str) -> None:
    with pytest.raises(BadInputError, match="is not the id of a run"):
        journal.find(None, wanted)  # type: ignore[arg-type]
