"""What root reads of files that others may have put there, and whom it becomes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.onhost import source

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")

DAEMON = 1  # a user and a group that every Linux has


def read(python: str, path: Path, before: str = "") -> str:
    """What opening.read() gives of a path, or what it says is wrong."""
    code = (
        f"{source('opening')}\nimport sys\n{before}\n"
        "try:\n    sys.stdout.write(read(sys.argv[1], 100).decode())\n"
        "except EnvironmentError as e:\n    sys.stdout.write('wrong: ' + e.strerror)\n"
    )
    return subprocess.run(
        [python, "-c", code, path], capture_output=True, text=True, check=True, timeout=10
    ).stdout


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that only root decides about, for as long as a test needs it."""
    # Nothing below /tmp is: anybody may make something there.
    folder = Path("/var/lib") / f"opening-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_plain_file_is_read(python: str, place: Path) -> None:
    (place / "file").write_text("text")
    assert read(python, place / "file") == "text"


def test_what_is_no_plain_file_is_not_opened(python: str, place: Path) -> None:
    os.mkfifo(place / "fifo")
    (place / "folder").mkdir()
    (place / "long").write_bytes(b"x" * 101)
    assert read(python, place / "fifo") == "wrong: it is no plain file"
    assert read(python, place / "folder") == "wrong: it is no plain file"
    assert read(python, Path("/dev/zero")) == "wrong: it is no plain file"
    assert read(python, place / "long") == "wrong: it has 101 bytes, far too many"
    assert read(python, place / "none") == "wrong: No such file or directory"


def test_a_file_that_says_it_is_empty_is_not_read_for_ever(python: str) -> None:
    assert read(python, Path("/proc/kallsyms")) == "wrong: it grows while it is read"


def test_root_goes_by_a_link_that_only_root_can_have_made(python: str, place: Path) -> None:
    (place / "secret").write_text("secret")
    (place / "theirs").mkdir()
    os.chown(place / "theirs", DAEMON, DAEMON)
    (place / "own").symlink_to("secret")
    (place / "theirs/link").symlink_to(place / "secret")
    (place / "on").symlink_to("theirs/link")
    (place / "through").symlink_to("theirs")
    wrong = "wrong: it is a link, which users other than root can change"
    assert read(python, place / "own") == "secret"
    assert read(python, place / "theirs/link") == wrong
    assert read(python, place / "on") == wrong
    assert read(python, place / "through/link") == wrong
    # Whoever is not root may read no more through a link than without.
    assert read(python, place / "on", f"os.setuid({DAEMON})") == "secret"


# -- Mailman's user -------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs as Debian installs them, root's and of the group daemon."""
    for name in ("Mailman", "bin", "mail"):
        (tmp_path / name).mkdir()
    for name in ("Mailman/mm_cfg.py", "bin/paths.py", "mail/mailman"):
        (tmp_path / name).write_text("")
        os.chown(tmp_path / name, 0, DAEMON)
    return tmp_path / "bin"


def ask(python: str, expression: str) -> object:
    code = f"{source('mailmansuser')}\nimport json\nprint(json.dumps({expression}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_root_asks_as_the_user_of_the_group_of_the_programs(python: str, programs: Path) -> None:
    assert ask(python, f"to_ask_as({str(programs)!r})") == ["daemon", "daemon"]


@pytest.mark.parametrize("gid", [0, 42])
def test_root_asks_as_nobody_where_that_group_has_no_such_user(
    python: str, programs: Path, gid: int
) -> None:
    """The programs are root's alone; or of a group (here shadow) that is that of no user."""
    for path in programs.parent.rglob("*"):
        os.chown(path, 0, gid)
    user, group = ask(python, f"to_ask_as({str(programs)!r})")
    assert (user, group) == ("nobody", "nogroup" if gid == 0 else "shadow")


@pytest.mark.parametrize(
    ("user", "group", "asked_as", "why"),
    [
        ("daemon", "daemon", "daemon", None),
        ("daemon", "daemon", "nobody", None),
        ("root", "root", "daemon", "it says that Mailman's user is root"),
        ("games", "games", "daemon", "Mailman's user is games, who does not own its programs"),
        (
            "games",
            "daemon",
            "daemon",
            "Mailman's user is games, who does not own its programs",
        ),
        (
            "daemon",
            "shadow",
            "daemon",
            "Mailman's group is shadow, and daemon is not a member of it",
        ),
        ("daemon", "root", "daemon", "Mailman's group is root, and daemon is not a member of it"),
        ("nosuch", "daemon", "daemon", "user nosuch or group daemon does not exist here"),
        ("daemon", "nosuch", "daemon", "user daemon or group nosuch does not exist here"),
    ],
)
def test_root_becomes_nobody_to_whom_the_programs_do_not_belong(
    python: str, programs: Path, user: str, group: str, asked_as: str, why: str | None
) -> None:
    said = ask(python, f"doubt({user!r}, {group!r}, {asked_as!r}, {str(programs)!r})")
    assert said is None if why is None else why in str(said)


def test_where_root_alone_can_write_the_programs_any_user_is_believed_but_root(
    python: str, programs: Path
) -> None:
    for path in programs.parent.rglob("*"):
        os.chown(path, 0, 0)
    games = f"doubt('games', 'games', 'nobody', {str(programs)!r})"
    assert ask(python, games) is None
    root = f"doubt('root', 'root', 'nobody', {str(programs)!r})"
    assert ask(python, root) == "it says that Mailman's user is root"
    (programs / "paths.py").chmod(0o666)
    assert "who does not own its programs" in str(ask(python, games))


def test_where_the_programs_are_a_users_own_that_one_is_believed(
    python: str, programs: Path
) -> None:
    for path in programs.parent.rglob("*"):
        os.chown(path, 0, 0)
    os.chown(programs / "paths.py", DAEMON, 0)
    assert ask(python, f"doubt('daemon', 'daemon', 'nobody', {str(programs)!r})") is None
    assert ask(python, f"doubt('games', 'games', 'nobody', {str(programs)!r})") is not None
