"""What a shell completes: in a real bash, from a host, and without a word when there is none."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runbooks.terminal import completion
from runbooks.terminal.completion import Bash

LISTS = ["zuul-announce", "zuul-discuss", "zuul-jobs", "zuul-security"]


@pytest.fixture
def shell(tmp_path, monkeypatch) -> Path:
    """A folder with a `runbook` that is first on the PATH, and a cache of its own."""
    cache, programs = tmp_path / "cache", tmp_path / "bin"
    programs.mkdir()
    program = programs / "runbook"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runbooks "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RUNBOOK_HOST", raising=False)
    return tmp_path


def asked(line: str) -> list[str]:
    """What bash is given for a line, as its words after the comma."""
    done = subprocess.run(
        ["runbook"],
        env={
            **os.environ,
            "_RUNBOOK_COMPLETE": "bash_complete",
            "COMP_LINE": line,
            "COMP_POINT": str(len(os.fsencode(line))),
            "COMP_WORDBREAKS": " \t\n\"'@><=;|&(:",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [answer.partition(",")[2] for answer in done.stdout.splitlines() if answer]


def in_time(line: str) -> list[str]:
    """The same on a machine that is busy: a host may be late, and is asked again then."""
    for _ in range(30):
        if found := asked(line):
            return found
    raise AssertionError(f"nothing completes {line!r}")


def in_bash(line: str, home: Path) -> str:
    """The words that a reader gets who types `line`, with the key that completes in it."""
    rc = home / "bashrc"
    rc.write_text(
        'eval "$(_RUNBOOK_COMPLETE=bash_source runbook)"\n'
        "bind 'set bell-style none'; PS1='ready> '\n"
        # What is on the line in the end. The program of that name is what completes.
        "runbook() { printf 'given:'; printf '<%s>' \"$@\"; echo :end; }\n"
    )
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.environ["TERM"] = "dumb"
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", str(rc), "-i"])
    shown = ""

    def until(pattern: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + 60
        while not re.search(pattern, shown):
            assert time.monotonic() < deadline, shown
            if select.select([fd], [], [], 0.5)[0]:
                shown += os.read(fd, 65536).decode(errors="replace")

    try:
        until("ready> ")
        os.write(fd, f"{line}\n".encode())
        until("given:.*:end")
    finally:
        os.write(fd, b"\x03exit\n")
        os.close(fd)
        os.waitpid(pid, 0)
    assert "Traceback" not in shown
    found = re.search("given:(.*):end", shown)
    assert found
    return found[1]


# -- in bash --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("ban a@b.org --list zuul-j\t", "<ban><a@b.org><--list><zuul-jobs>"),
        (
            "ban a@b.org --host HOST --list zuul-j\t",
            "<ban><a@b.org><--host><HOST><--list><zuul-jobs>",
        ),
        ("ban a@b.org --list=zuul-j\t", "<ban><a@b.org><--list=zuul-jobs>"),
        ("clear-lock openstack-o\t", "<clear-lock><openstack-operators>"),
        ("clear-lock --site zuul openstack-o\t", "<clear-lock><--site><zuul><openstack-o>"),
        ("locks --site zu\t", "<locks><--site><zuul>"),
        ("ban --from vic\t", "<ban><--from><victims.txt>"),
        ("withlist own\t", "<withlist><owners.py>"),
        ("practice new fol\t", "<practice><new><folder/>"),
        ("practice n\t", "<practice><new>"),
        ("unb\t", "<unban>"),
        ("help unb\t", "<help><unban>"),
    ],
)
def test_what_is_typed_is_completed(any_sites, shell, monkeypatch, typed, given):
    (shell / "victims.txt").touch()
    (shell / "owners.py").touch()
    (shell / "folder").mkdir()
    if "HOST" not in typed:
        monkeypatch.setenv("RUNBOOK_HOST", any_sites.spec)
    if "--list" in typed or "--site" in typed or "lock" in typed:
        in_time(f"runbook ban --host {any_sites.spec} --list ")
    found = in_bash(f"runbook {typed.replace('HOST', any_sites.spec)}", shell)
    assert found == given.replace("HOST", any_sites.spec)


def test_runs_are_completed_and_what_was_done_just_now_is_among_them(any_sites, shell, monkeypatch):
    any_sites.unlock()
    monkeypatch.setenv("RUNBOOK_HOST", any_sites.spec)
    runs: list[str] = []
    for words in ("ban", "unban"):
        done = subprocess.run(
            ["runbook", words, "evil@example.com", "--yes"],
            capture_output=True,
            text=True,
            check=True,
        )
        runs.insert(0, re.findall(r"recorded as (\S+)", done.stdout)[0])
        for line in ("runbook undo ", "runbook history ", "runbook withlist --restore "):
            assert in_time(line) == runs


def test_a_word_is_completed_from_where_bash_begins_it(shell, monkeypatch):
    bash = Bash(None, {}, "runbook", "_RUNBOOK_COMPLETE")  # type: ignore[arg-type]
    monkeypatch.setenv("COMP_LINE", "runbook ban --host ssh://root@lists --li é")
    monkeypatch.setenv("COMP_POINT", str(len("runbook ban --host ssh://root@li")))
    monkeypatch.setenv("COMP_WORDBREAKS", " :@=")
    assert bash.get_completion_args() == (["ban", "--host"], "ssh://root@li")
    assert bash.format_completion(completion.CompletionItem("ssh://root@lists")) == "plain,lists"


# -- what is kept ---------------------------------------------------------------------------


def test_an_answer_is_kept_for_a_minute_for_this_user_alone(any_sites, shell):
    line = f"runbook ban --host {any_sites.spec} --site zuul --list "
    assert sorted(in_time(line)) == LISTS
    (kept,) = (shell / "cache" / "runbook").iterdir()
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert kept.stat().st_mode & 0o777 == 0o600
    gone = any_sites.list_folder("zuul", "zuul-jobs")
    gone.rename(shell / "away")
    assert sorted(asked(line)) == LISTS
    old = time.time() - 61
    os.utime(kept, (old, old))
    assert sorted(in_time(line)) == [name for name in LISTS if name != "zuul-jobs"]


def _writable_by_others(folder: Path, kept: Path) -> None:
    folder.chmod(0o777)


def _file_writable_by_others(folder: Path, kept: Path) -> None:
    kept.chmod(0o666)


def _a_link(folder: Path, kept: Path) -> None:
    kept.rename(folder.parent / "elsewhere")
    kept.symlink_to(folder.parent / "elsewhere")


def _no_json(folder: Path, kept: Path) -> None:
    kept.write_text("{")


@pytest.mark.parametrize(
    "spoil", [_writable_by_others, _file_writable_by_others, _a_link, _no_json]
)
def test_what_others_may_have_written_is_not_believed(any_sites, shell, spoil):
    line = f"runbook ban --host {any_sites.spec} --site zuul --list "
    in_time(line)
    folder = shell / "cache" / "runbook"
    (kept,) = folder.iterdir()
    kept.write_text('{"zuul": {"not-from-the-host": ""}}')
    assert asked(line) == ["not-from-the-host"]
    spoil(folder, kept)
    assert sorted(in_time(line)) == LISTS


def test_where_nothing_can_be_kept_the_host_is_asked(any_sites, shell, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert sorted(in_time(f"runbook ban --host {any_sites.spec} --site zuul --list ")) == LISTS


@pytest.mark.parametrize("name", ["$(id)", "a b", "a;b", "`id`", "a\nb", "*", "~", "é", "a" * 300])
def test_a_name_that_a_shell_would_obey_is_not_offered(name):
    found = completion._items({name: "", "alpha": ""}, "")
    assert [one.value for one in found] == ["alpha"]


# -- without a host -------------------------------------------------------------------------


def fake_ssh(home: Path, script: str) -> Callable[[], str]:
    program = home / "bin" / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return lambda: (home / "said").read_text()


def test_a_host_that_does_not_answer_costs_two_seconds_and_no_word(shell):
    told = fake_ssh(shell, f'echo "$@" > {shell}/said; exec sleep 600')
    began = time.monotonic()
    assert asked("runbook ban --host ssh://root@lists.example.org --list ") == []
    assert time.monotonic() - began < 30
    # Nobody is asked for a passphrase in the middle of a line.
    assert "BatchMode=yes" in told()
    assert not list((shell / "cache").rglob("*.json"))


def test_ssh_has_no_terminal_to_ask_on(shell):
    told = fake_ssh(
        shell,
        "said=none; (echo asked > /dev/tty) 2>/dev/null && said=terminal\n"
        f"echo $said > {shell}/said",
    )
    in_bash("runbook ban --host ssh://root@lists.example.org --list x\t", shell)
    assert told() == "none\n"


@pytest.mark.parametrize(
    "host", ["practice:/nonexistent", "nosuch", "docker://no-such-container", "-x", "$(id)", "'"]
)
@pytest.mark.parametrize(
    "line", ["ban --host {} --list ", "undo --host {} ", "locks --host {} --site "]
)
def test_a_host_that_is_none_is_no_word(shell, host, line):
    assert asked(f"runbook {line.format(host)}") == []


def test_the_procedures_of_the_page_are_completed_without_a_host(shell):
    assert asked("runbook verify ban") == ["ban", "ban-pattern"]
    assert asked("runbook verify ban ban") == ["ban-pattern"]
