"""The box itself: commands run exactly as asked, and a reset leaves nothing of a test."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box, BoxError, Result
from runbooks.testing.containers.running import Process
from tests.support.lockers import until

# These are about tests/support, so that one layout will do.
pytestmark = pytest.mark.layout("single")


# Commands


def test_output_status_and_arguments_are_exact(box: Box) -> None:
    arguments = ["", "a b", "$HOME", "'", '"', "\\", "*", "new\nline", "ü", "\udcff", "--"]
    script = 'printf "%s|" "$@"; printf error >&2; exit 3'
    done = box.run(["sh", "-c", script, "sh", *arguments])
    assert done == Result(3, "".join(f"{word}|" for word in arguments), "error")


def test_standard_input_is_what_was_given_or_empty(box: Box) -> None:
    large = "line\n" * 100_000
    assert box.run(["cat"], stdin=large).stdout == large
    assert box.run(["cat"], stdin=b"\x00\xff").stdout == "\x00\udcff"
    assert box.run(["cat"], stdin="").stdout == ""
    assert box.run(["cat"]).stdout == ""
    assert box.run(["true"], stdin=large).rc == 0


def test_a_command_runs_as_the_user_with_its_groups_and_home(box: Box) -> None:
    shown = box.sh('id -un; id -gn; id -Gn; echo "$HOME"; pwd', user="list").stdout.split("\n")
    home = box.sh("getent passwd list | cut -d: -f6").stdout.strip()
    assert shown == ["list", "list", "list", home, "/", ""]


def test_the_environment_is_that_of_docker_exec_and_what_was_given(box: Box) -> None:
    shown = box.run(["env"], env={"MAILMAN_SITE_DIR": "/srv/ü"}).stdout.splitlines()
    given = box.container.exec_run(["env"]).output.decode().splitlines()
    assert sorted(shown) == sorted([*given, "MAILMAN_SITE_DIR=/srv/ü"])


def test_a_program_that_is_not_there(box: Box) -> None:
    done = box.run(["nosuch", "x"])
    assert done.rc == 127
    assert done.stderr.startswith("cannot run nosuch: ")


def test_a_signal_that_ends_a_command_shows_in_its_status(box: Box) -> None:
    assert box.sh("kill -TERM $$").rc == 128 + 15


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(box: Box) -> None:
    start = time.monotonic()
    done = box.sh("echo before; setsid sleep 4567 & sudo -u list sleep 4567", timeout=2)
    assert time.monotonic() - start < 5
    assert done.timed_out
    assert done.rc == 128 + 9
    assert done.stdout == "before\n"
    until(box, "! pgrep -x sleep -a | grep -q 4567", 30)  # a kill takes a moment


def test_a_command_that_was_interrupted_does_not_answer_the_next_one(box: Box) -> None:
    """As when a test takes longer than it may."""

    def interrupt(number: int, frame: object) -> None:
        raise InterruptedError

    usual = signal.signal(signal.SIGUSR1, interrupt)
    try:
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(InterruptedError):
            box.run(["sh", "-c", "sleep 3; echo late"])
    finally:
        signal.signal(signal.SIGUSR1, usual)
    assert box.run(["echo", "in time"]).stdout == "in time\n"


def test_a_background_process_does_not_hold_the_command_up(box: Box) -> None:
    done = box.sh("(sleep 1; echo late; sleep 4567) & echo early", timeout=60)
    assert not done.timed_out
    assert done.stdout == "early\n"
    # It goes on, and is not killed for writing to a pipe that nobody reads.
    until(box, "pgrep -x sleep -a | grep -q 4567", 30)


def test_a_command_has_no_terminal(box: Box) -> None:
    assert box.sh("test -t 0 || test -t 1 || : < /dev/tty").rc != 0


def test_commands_run_at_the_same_time(box: Box) -> None:
    # One after the other they would wait for each other.
    meet = (
        ": > /tmp/met.$$; for try in $(seq 1200); do"
        " [ $(ls /tmp/met.* | wc -l) -eq 3 ] && echo done && exit; sleep 0.05; done"
    )
    results: list[Result] = []
    threads = [
        threading.Thread(target=lambda: results.append(box.sh(meet, timeout=90))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.stdout for result in results] == ["done\n"] * 3


def test_a_process_that_is_closed_has_ended_and_keeps_no_connection(box: Box) -> None:
    def ids() -> list[str]:
        return box.run(["pgrep", "-x", "cat"]).stdout.split()

    kept = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        process = Process(box.container, ["cat"], user="list", environment={"A": "b"})
        process.send(b"said\n")
        assert process.line(10) == b"said\n"
        assert len(ids()) == 1
        assert not process.ended()
        process.close()
        deadline = time.monotonic() + 10
        while ids() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert ids() == []
    assert len(os.listdir("/proc/self/fd")) < kept + 10  # the SDK keeps some to use again


def test_a_process_that_is_silent_or_ends_is_told(box: Box) -> None:
    process = Process(box.container, ["sh", "-c", "read x; echo error >&2; printf no-line"])
    with pytest.raises(TimeoutError):
        process.line(0.2)
    process.close()
    process = Process(box.container, ["sh", "-c", "read x; echo error >&2; printf no-line"])
    process.send(b"\n")
    assert (process.line(10), process.errors) == (b"no-line", b"error\n")
    assert process.line(10) == b""
    assert process.ended()
    process.close()


def test_no_name_of_mailman_is_in_the_servants_own_processes(box: Box) -> None:
    """Or a test that looks for a process of Mailman would find the box."""
    assert box.run(["pgrep", "-f", "withlist|mailman|qrunner|newlist"]).rc == 1


def test_files_are_put_and_read(box: Box) -> None:
    box.put("/tmp/naïve", "text ü\n", mode=0o640, owner="list:list")
    assert box.read("/tmp/naïve") == "text ü\n"
    assert box.run(["stat", "-c", "%a %U:%G", "/tmp/naïve"]).stdout == "640 list:list\n"
    box.put("/tmp/bytes", b"\xff\x00")
    assert box.read_bytes("/tmp/bytes") == b"\xff\x00"
    with pytest.raises(BoxError, match="No such file"):
        box.put("/nosuch/file", "")
    with pytest.raises(BoxError, match="No such file"):
        box.read("/nosuch/file")


# The way back

DAMAGE = f"""
set -e
newlist -q alpha admin@example.com pw
newlist -q beta admin@example.com pw
cd /var/lib/mailman
echo x > locks/alpha.lock.lists.1.0; ln locks/alpha.lock.lists.1.0 locks/alpha.lock
chown list:list locks/alpha.lock
echo x > qfiles/stray; echo x > logs/error; mkdir -p archives/private/gamma/attachments
echo x > archives/private/gamma/attachments/file
mkdir -p data/deep/er; mkfifo data/deep/fifo; ln -s nowhere data/deep/link
chmod 700 lists; chown list qfiles
echo 'def ban(m): pass' > {PROGRAMS}/ban.py
{PROGRAMS}/withlist -q -r ban alpha
echo 'raise SystemExit(9)' > /etc/mailman/mm_cfg.py
echo x > /etc/mailman/sites
echo x > /tmp/out; mkdir -p /tmp/.hidden/x; printf x > "$(printf '/tmp/\\377 name\\n')"
echo 'alpha: "|post"' >> /etc/aliases
rm {PROGRAMS}/version
rm -r /usr/lib/mailman/Mailman; echo x > /usr/lib/mailman/Mailman
mkdir -p /var/lib/runbook /root/.cache /srv/mailman/other /run/sudo/x
rm -r /home; ln -s /tmp /home
sleep 4567 & setsid sleep 4567 &
sudo -u list sh -c 'sleep 4567 & sleep 4567' &
sleep 0.2
"""


def test_a_reset_leaves_nothing(box: Box) -> None:
    assert box.changes() == {}
    shown = box.sh(
        "find /etc /var/lib/mailman /usr/lib/mailman /home -printf '%M %u:%g %s %l %p\\n'"
    )
    processes = box.run(["ps", "-e", "-o", "args="])
    done = box.sh(DAMAGE)
    assert done.rc == 0, done.stderr
    assert len(box.changes()) > 30
    box.reset()
    assert box.changes() == {}
    again = box.sh(
        "find /etc /var/lib/mailman /usr/lib/mailman /home -printf '%M %u:%g %s %l %p\\n'"
    )

    def without_folder_sizes(text: str) -> list[str]:
        return sorted(line for line in text.splitlines() if not line.startswith("d"))

    assert without_folder_sizes(again.stdout) == without_folder_sizes(shown.stdout)
    assert sorted(box.run(["ps", "-e", "-o", "args="]).stdout.splitlines()) == sorted(
        processes.stdout.splitlines()
    )
    assert box.run(["list_lists", "-b"]) == Result(0, "", "")


def test_changes_are_named(box: Box) -> None:
    box.put("/tmp/new", "")
    box.put("/etc/mailman/mm_cfg.py", "different\n")
    box.run(["rm", f"{PROGRAMS}/version"])
    # Written again, but not changed.
    assert box.sh(f"cp -p {PROGRAMS}/withlist /tmp/x && mv /tmp/x {PROGRAMS}/withlist").rc == 0
    assert box.changes() == {
        "/tmp/new": "added",
        "/etc/mailman/mm_cfg.py": "changed",
        f"{PROGRAMS}/version": "removed",
    }


def test_the_box_outlives_a_test_that_ends_its_processes(box: Box) -> None:
    box.put("/tmp/new", "")
    with pytest.raises(BoxError):
        box.run(["pkill", "-KILL", "python"])
    assert box.sh("echo back").stdout == "back\n"
    assert box.changes() == {"/tmp/new": "added"}
    box.reset()
    assert box.changes() == {}


def test_a_changed_module_is_not_hidden_by_what_was_compiled_before(box: Box) -> None:
    """Python tells by second and size; two tests may write the same name in one second."""
    box.run(["newlist", "-q", "alpha", "admin@example.com", "pw"])
    for word in ("one", "two", "six"):
        box.put(f"{PROGRAMS}/say.py", f"def say(m):\n    print('{word}')\n")
        assert box.run(["withlist", "-q", "-r", "say", "alpha"]).stdout == f"{word}\n"
        box.reset()
        box.run(["newlist", "-q", "alpha", "admin@example.com", "pw"])


def test_a_reset_is_quick(box: Box) -> None:
    box.sh("for i in 1 2 3; do newlist -q list$i admin@example.com pw; done; sleep 4567 &")
    start = time.monotonic()
    box.reset()
    assert time.monotonic() - start < 2  # usually 0.05


# Every container has its own state: nothing here may have reached the checkout.
def test_nothing_is_mounted_from_the_checkout(box: Box) -> None:
    root = str(Path(__file__).resolve().parents[2])
    mounts = box.read("/proc/self/mountinfo")
    assert not any(f" {root}{os.sep}" in line for line in mounts.splitlines())
