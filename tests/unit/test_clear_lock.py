"""``runbook locks`` and ``clear-lock`` on a practice site: arguments, output, exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runbooks import cli
from runbooks.book.procedure import Step, paste
from runbooks.clear_lock import page as clear_lock
from runbooks.errors import LostError
from runbooks.host.host import Host
from runbooks.mailman.events import Event, Removal
from runbooks.mailman.installation import Installation, discover
from runbooks.practice.site import STALE_LIST, PracticeSite
from runbooks.procedures import all_procedures
from tests.support.command import runbook
from tests.support.practice import NOBODY, create
from tests.support.processes import start
from tests.support.steps import faults, here

HOST = socket.gethostname()


@dataclass
class Practice:
    """A practice site, and the command on it."""

    site: PracticeSite

    @property
    def spec(self) -> str:
        return self.site.spec

    def locks(self, site: str = "openstack") -> Path:
        return self.site.site_dir(site) / "locks"

    def names(self, site: str = "openstack") -> list[str]:
        return sorted(os.listdir(self.locks(site)))

    def make_lock(
        self, name: str, pid: int = NOBODY, site: str = "openstack", host: str = HOST
    ) -> Path:
        """A lock that the process `pid` took just now; its claim."""
        claim = self.make_claim(name, pid, site, host)
        os.link(claim, self.locks(site) / f"{name}.lock")
        return claim

    def make_claim(
        self, name: str, pid: int = NOBODY, site: str = "openstack", host: str = HOST
    ) -> Path:
        claim = self.locks(site) / f"{name}.lock.{host}.{pid}.0"
        claim.write_text(str(claim))
        os.utime(claim, (time.time() + 18_000,) * 2)
        return claim

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return runbook(self.spec, *arguments)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "runbooks", *arguments, "--host", self.spec]

    def objects(self, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        done = self.run(*arguments, "--json")
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PracticeSite:
    return create(tmp_path_factory.mktemp("practice") / "site")


@pytest.fixture
def practice(made: PracticeSite, tmp_path: Path) -> Iterator[Practice]:
    """The practice site as it was made: with one stale lock."""
    kept = {
        name: subprocess.run(
            ["cp", "-a", str(made.site_dir(name) / "locks"), str(tmp_path / name)], check=True
        )
        for name in ("openstack", "zuul")
    }
    yield Practice(made)
    for name in kept:
        folder = made.site_dir(name) / "locks"
        folder.chmod(0o2775)
        shutil.rmtree(folder)
        subprocess.run(["cp", "-a", str(tmp_path / name), str(folder)], check=True)
        shutil.rmtree(made.site_dir(name) / "runbook", ignore_errors=True)


# -- arguments ----------------------------------------------------------------------------

HOSTILE = [
    "",
    " ",
    "../openstack-foo",
    "/etc/passwd",
    "openstack-foo/../x",
    ".",
    "..",
    ".hidden",
    "a b",
    "a\nb",
    "$(id)",
    "`id`",
    "a;id",
    "a*",
    "a'b",
    'a"b',
    "\x1b[31mred",
    "ü",
    "\udcff",
    "x" * 300,
    "x" * 100_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name)[:20])
def test_what_names_no_list(practice: Practice, name: str) -> None:
    before = practice.names()
    done = practice.run("clear-lock", "--yes", "--", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 300
    assert done.stderr.isprintable() or done.stderr[:-1].isprintable()
    assert practice.names() == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name the lists, or use --stale"),
        (["alpha", "--stale"], "name the lists, or use --stale"),
        (["--stale", "--explain"], "the steps by hand are for one list"),
        (["--gone", "web", "--explain"], "the steps by hand are for one list"),
        (["--gone", "web", "--stale"], "name the lists, or use --stale"),
        (["alpha", "--gone", "web"], "name the lists, or use --stale"),
        (["--gone", HOST, "--yes"], f"{HOST} is this host: use --stale for what"),
        (["--gone", ""], "'' cannot be the name of a host"),
        (["--gone", "../web"], "'../web' cannot be the name of a host"),
        (["--gone", "a\x1b[31mb"], "cannot be the name of a host"),
        (["--no-such"], "there is no option '--no-such'"),
        ([STALE_LIST, "--site", "nowhere"], "there is no site 'nowhere'"),
        ([STALE_LIST, "--site", "zuul"], f"there is no list '{STALE_LIST}'"),
        (["openstack-fop"], "did you mean openstack-foo?"),
        ([STALE_LIST, "nosuch"], "there is no list 'nosuch'"),
        ([STALE_LIST], "add --yes"),
        (["master-qrunner"], "there is no list 'master-qrunner'"),
    ],
)
def test_arguments_that_will_not_do(
    practice: Practice, arguments: list[str], complaint: str
) -> None:
    before = practice.names()
    done = practice.run("clear-lock", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert practice.names() == before


def test_names_are_spelled_as_mailman_does(practice: Practice) -> None:
    done = practice.run("clear-lock", " OpenStack-Foo ", STALE_LIST, "--yes")
    assert done.returncode == 0
    assert practice.names() == []


# -- clear-lock ---------------------------------------------------------------------------


def test_each_verdict_in_one_run(practice: Practice) -> None:
    practice.make_lock("openstack-i18n", os.getpid())
    elsewhere = practice.locks() / "release-team.lock.elsewhere.7.0"
    elsewhere.write_text(str(elsewhere))
    os.utime(elsewhere, (time.time() + 18_000,) * 2)
    os.link(elsewhere, practice.locks() / "release-team.lock")
    (practice.locks() / "openstack-security.lock").write_text("nonsense")
    names = ["openstack-i18n", "release-team", "openstack-security", "openstack-announce"]
    before = practice.names()
    done = practice.run("clear-lock", STALE_LIST, *names, "--yes")
    assert done.returncode == 1
    assert "1 stale lock removed and read back" in done.stdout
    assert "3 locks not to be removed:" in done.stdout
    assert f"Process {os.getpid()} on {HOST} runs and holds it since" in done.stdout
    assert "run this on elsewhere" in done.stdout
    assert "Not a lock as Mailman makes them" in done.stdout
    assert "openstack-announce (openstack) is not locked" in done.stdout
    assert practice.names() == [name for name in before if not name.startswith(STALE_LIST)]


def test_json_says_the_same(practice: Practice) -> None:
    practice.make_lock("openstack-i18n", os.getpid())
    status, dry = practice.objects("clear-lock", STALE_LIST, "openstack-i18n", "--dry-run")
    assert status == 1
    assert [(one["list"], one["outcome"]) for one in dry[:-1]] == [
        ("openstack-i18n", "refused"),
        (STALE_LIST, "planned"),
    ]
    assert dry[-1] == {"summary": {"refused": 1, "planned": 1}}
    status, done = practice.objects(
        "clear-lock", STALE_LIST, "openstack-i18n", "openstack-announce", "--yes"
    )
    assert status == 1
    outcomes = {one["list"]: one["outcome"] for one in done if "list" in one}
    assert outcomes == {
        "openstack-i18n": "refused",
        "openstack-announce": "free",
        STALE_LIST: "cleared",
    }
    cleared = next(one for one in done if one.get("outcome") == "cleared")
    assert cleared["host"] == practice.spec
    assert cleared["holder"]["host"] == HOST
    assert cleared["next"] is None
    assert any("recorded" in one for one in done)


def test_many_files_left_behind(practice: Practice) -> None:
    for number in range(60):
        practice.make_claim(f"list{number % 7}", NOBODY - number)
    dry = practice.run("clear-lock", "--stale", "--dry-run")
    assert dry.stdout.count("left behind at") == 20
    assert "… and 40 more files left behind" in dry.stdout
    done = practice.run("clear-lock", "--stale", "--yes")
    assert done.returncode == 0
    assert "1 stale lock and 60 files left behind removed and read back" in done.stdout
    assert practice.names() == []
    status, runs = practice.objects("history")
    assert status == 0
    assert runs[0]["counts"] == {"cleared": 61}


def test_a_claim_that_a_lock_names_stays_for_as_long_as_the_lock_does(practice: Practice) -> None:
    claim = practice.make_claim("openstack-i18n")
    # Two files of one inode once, as a link that somebody made of it.
    (practice.locks() / "openstack-i18n.lock").symlink_to(claim.name)
    done = practice.run("clear-lock", "--stale", "--yes")
    assert done.returncode == 0
    assert practice.names() == ["openstack-i18n.lock", claim.name]
    shown = practice.run("locks")
    assert shown.returncode == 1
    assert f"{claim.name} (openstack): openstack-i18n.lock names it" in shown.stdout


def test_a_restored_folder_is_cleared_where_it_names_dead_processes(practice: Practice) -> None:
    alone = practice.make_lock("openstack-i18n")
    alone.unlink()
    copied = practice.make_lock("release-team", NOBODY - 1)
    lock = practice.locks() / "release-team.lock"
    lock.unlink()
    shutil.copy2(copied, lock)
    shown = practice.run("locks")
    assert shown.returncode == 1
    assert "runbook clear-lock --stale" in shown.stdout
    done = practice.run("clear-lock", "openstack-i18n", "release-team", "--yes")
    assert done.returncode == 0
    assert "2 malformed locks and 1 file left behind removed and read back" in done.stdout
    assert all(name.startswith(STALE_LIST) for name in practice.names())


def test_a_holder_that_is_stopped(practice: Practice) -> None:
    holder = start("sleep", "600", start_new_session=True)
    try:
        practice.make_lock("openstack-i18n", holder.pid)
        practice.run("clear-lock", STALE_LIST, "--yes")
        assert practice.run("locks").returncode == 0
        holder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
        for arguments in (["locks"], ["clear-lock", "openstack-i18n", "--yes"]):
            shown = practice.run(*arguments)
            assert shown.returncode == 1
            assert f"sudo kill -CONT {holder.pid} lets it go on" in shown.stdout
        _, told = practice.objects("locks")
        assert (told[0]["holder"]["stopped"], told[0]["blocks"]) == (True, True)
        assert len(practice.names()) == 2
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize("kind", ["foreign", "malformed", "without a claim"])
def test_a_list_that_is_blocked_is_a_reason_for_status_1(practice: Practice, kind: str) -> None:
    practice.run("clear-lock", STALE_LIST, "--yes")
    assert practice.run("locks").returncode == 0
    if kind == "malformed":
        (practice.locks() / "openstack-i18n.lock").write_text("nonsense")
    else:
        claim = practice.make_lock("openstack-i18n", host="web" if kind == "foreign" else HOST)
    if kind == "without a claim":
        claim.unlink()
    assert practice.run("locks").returncode == 1
    status, told = practice.objects("locks")
    assert (status, [one.get("blocks") for one in told]) == (1, [True, None])


def test_what_a_host_left_that_no_longer_exists(practice: Practice) -> None:
    practice.make_lock("openstack-i18n", host="web")
    practice.make_claim("openstack-i18n", NOBODY - 1, host="web")
    practice.make_lock("zuul-jobs", site="zuul", host="web")
    practice.make_lock("release-team", os.getpid(), host="web")
    practice.make_lock("openstack-security", host="elsewhere")
    before = practice.names()
    shown = practice.run("locks")
    for host in ("web", "elsewhere"):
        assert f"runbook clear-lock --gone {host}" in shown.stdout
    dry = practice.run("clear-lock", "--gone", "web", "--dry-run")
    assert dry.returncode == 1
    assert practice.names() == before
    done = practice.run("clear-lock", "--gone", "web", "--yes")
    assert done.returncode == 1
    assert "2 locks of web and 1 file left behind removed and read back" in done.stdout
    assert f"process {os.getpid()} (" in done.stdout
    stayed = ("openstack-security", "release-team", STALE_LIST)
    assert practice.names() == [name for name in before if name.startswith(stayed)]
    assert practice.names("zuul") == []
    _, [run, *_] = practice.objects("history")
    assert (run["more"], run["counts"]) == ({"gone": "web"}, {"cleared": 3})
    nothing = practice.run("clear-lock", "--gone", "wbe", "--yes")
    assert nothing.returncode == 0
    assert f"names the host wbe; those there are name elsewhere, {HOST}" in nothing.stdout


def test_the_question_names_the_host(practice: Practice) -> None:
    practice.make_lock("openstack-i18n", host="web")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        practice.command("clear-lock", "--gone", "web"),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"n\n")
    _, asked = child.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert child.returncode == 2
    assert "Is the host web really gone? Remove 1 lock of web?" in asked
    assert "openstack-i18n.lock" in practice.names()


def test_saves_that_were_cut_short(practice: Practice) -> None:
    folder = practice.site.site_dir("openstack") / "lists" / "openstack-i18n"
    left = folder / f"config.pck.tmp.{HOST}.{NOBODY}"
    kept = [
        folder / f"config.pck.tmp.{HOST}.{os.getpid()}",
        folder / f"config.pck.tmp.web.{NOBODY}",
        folder / f"config.pck.tmp.{HOST}.{NOBODY}x",
    ]
    try:
        for path in (left, *kept):
            path.write_bytes(b"half a state")
        dry = practice.run("clear-lock", "--stale", "--dry-run")
        assert dry.returncode == 0
        assert f"openstack-i18n/{left.name}" in dry.stdout
        assert f"a save that was not finished by process {NOBODY} on {HOST}" in dry.stdout
        assert dry.stdout.count("config.pck.tmp") == 1
        assert left.exists()
        status, told = practice.objects("clear-lock", "--stale", "--yes")
        assert status == 0
        assert [one["outcome"] for one in told if "save" in one] == ["cleared"]
        assert not left.exists()
        _, runs = practice.objects("history", "--limit", "1")
        assert runs[0]["counts"] == {"cleared": 2}
        assert all(path.exists() for path in kept)
        gone = practice.run("clear-lock", "--gone", "web", "--yes")
        assert "1 file left behind removed and read back" in gone.stdout
        assert [path.exists() for path in kept] == [True, False, True]
    finally:
        for path in (left, *kept):
            path.unlink(missing_ok=True)


def test_the_site_can_be_chosen(practice: Practice) -> None:
    practice.make_lock("zuul-jobs", site="zuul")
    done = practice.run("clear-lock", "--stale", "--yes", "--site", "zuul")
    assert done.returncode == 0
    assert practice.names("zuul") == []
    assert len(practice.names("openstack")) == 2


def test_a_claim_that_cannot_be_removed(practice: Practice) -> None:
    """Also where the reason is the system's: the lock is reported, and nothing is half done."""
    if os.geteuid() == 0:
        subprocess.run(["chattr", "+i", str(practice.locks())], check=False, capture_output=True)
        try:
            (practice.locks() / "x").write_text("")
        except OSError:
            pass
        else:
            (practice.locks() / "x").unlink()
            pytest.skip("nothing keeps root from writing here")
    else:
        practice.locks().chmod(0o555)
    try:
        before = practice.names()
        done = practice.run("clear-lock", STALE_LIST, "--yes")
        assert done.returncode == 1
        assert "1 not removed" in done.stdout
        assert "cannot be" in done.stdout
        assert practice.names() == before
    finally:
        subprocess.run(["chattr", "-i", str(practice.locks())], check=False, capture_output=True)


def test_an_interrupted_report_does_not_say_that_nothing_was_changed(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*anything: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runbooks.clear_lock.command.show_report", interrupt)
    status = cli.run(["clear-lock", STALE_LIST, "--yes", "--host", practice.spec])
    assert (status, practice.names()) == (1, [])
    assert f"runbook history --host {practice.spec}" in capsys.readouterr().err


@pytest.mark.parametrize("end", [KeyboardInterrupt(), LostError("the connection was lost")])
def test_a_removal_that_was_not_heard_to_end_sends_to_the_journal(
    practice: Practice,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: BaseException,
) -> None:
    practice.make_lock("openstack-i18n")
    call = Installation.call

    def cut_off(self: Installation, modules: Any, parameters: Any, on_event: Any = None) -> Any:
        def hear(event: Event) -> None:
            on_event(event)
            if isinstance(event, Removal):
                raise end

        return call(self, modules, parameters, hear)

    monkeypatch.setattr(Installation, "call", cut_off)
    status = cli.run(["clear-lock", "--stale", "--yes", "--host", practice.spec])
    shown = capsys.readouterr()
    assert (status, shown.err) == (1, "")
    assert STALE_LIST in shown.out or "openstack-i18n" in shown.out
    assert "not touched" not in shown.out
    history = re.search(r"'(runbook history \S+ --host \S+)' shows what became of", shown.out)
    assert history, shown.out
    # The host ends what it has in hand, and that is on record.
    words = history[1].split()
    deadline = time.monotonic() + 20
    while "cleared, 2 lists" not in (told := practice.run(*words[1:3]).stdout):
        assert time.monotonic() < deadline, told


# -- locks --------------------------------------------------------------------------------


def test_the_table(practice: Practice) -> None:
    practice.make_lock("openstack-i18n", os.getpid())
    practice.make_claim("openstack-i18n", os.getppid())
    done = practice.run("locks")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[1] == ["LIST", "SITE", "VERDICT", "HOLDER", "SINCE", "EXPIRES", "WAITING"]
    assert lines[2][:3] == [STALE_LIST, "openstack", "stale"]
    assert lines[3][:3] == ["openstack-i18n", "openstack", "held"]
    assert lines[3][-5:-2] == ["process", str(os.getppid()), "since"]
    assert lines[4][:4] == ["→", "runbook", "clear-lock", STALE_LIST]


def test_json_of_every_lock(practice: Practice) -> None:
    practice.make_lock("openstack-i18n", os.getpid())
    practice.make_claim("zuul-jobs", site="zuul")
    status, shown = practice.objects("locks")
    assert status == 1
    assert [(one["site"], one["lock"], one["verdict"]) for one in shown[:-1]] == [
        ("openstack", f"{STALE_LIST}.lock", "stale"),
        ("openstack", "openstack-i18n.lock", "held"),
        ("zuul", "zuul-jobs.lock", "debris"),
    ]
    assert shown[-1] == {"summary": {"stale": 1, "held": 1, "debris": 1}}
    status, shown = practice.objects("locks", "--site", "zuul")
    assert status == 0
    assert len(shown) == 2


def test_a_folder_that_is_not_there(practice: Practice) -> None:
    folder = practice.locks("zuul")
    folder.rename(folder.with_name("moved"))
    try:
        done = practice.run("locks", "--site", "zuul")
        assert done.returncode == 1
        assert "the locks of zuul cannot be seen" in done.stdout
        assert practice.run("clear-lock", "--stale", "--site", "zuul").returncode == 1
        cleared = practice.run("clear-lock", "--stale", "--yes")
        assert cleared.returncode == 1
        assert "1 stale lock removed" in cleared.stdout
    finally:
        folder.with_name("moved").rename(folder)


def test_watching_ends_with_ctrl_c(practice: Practice) -> None:
    child = subprocess.Popen(
        practice.command("locks", "--watch"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    seen: list[str] = []
    while sum("stale" in line for line in seen) < 2:
        seen.append(child.stdout.readline())
        assert seen[-1]
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, err) == (1, "")
    assert "interrupted" not in out


def test_watching_on_a_terminal(practice: Practice) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        practice.command("locks", "--watch"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "50"},
        start_new_session=True,
    )
    os.close(theirs)

    def read_until(text: str, times: int = 1) -> str:
        shown, deadline = "", time.monotonic() + 20
        while shown.count(text) < times:
            assert time.monotonic() < deadline, shown
            shown += os.read(ours, 65536).decode("utf-8", "replace")
        return shown

    read_until("Ctrl-C ends it")
    practice.make_lock("openstack-i18n", os.getpid())
    # Each picture is shown once, in place of the one before.
    pictures = read_until("Ctrl-C ends it", 3)
    assert "held" in pictures
    assert pictures.count(" · Mailman ") == 3
    os.kill(child.pid, signal.SIGINT)
    # The end is what can be copied: no line of it is cut or folded.
    read_until(f"→ runbook clear-lock {STALE_LIST} --site openstack --host {practice.spec}")
    assert child.wait(timeout=10) == 1
    os.close(ours)


# -- by hand ------------------------------------------------------------------------------


def test_the_steps_show_what_they_say(practice: Practice) -> None:
    installation = discover(Host(practice.spec))
    steps = clear_lock.steps(installation, clear_lock.PROCEDURE.example)
    assert [step.name for step in steps] == [
        "see-lock",
        "read-lock",
        "find-holder",
        "remove-lock",
        "lock-again",
    ]

    def run(step: Step) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", paste(step)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (step.name, done.stderr)
        return done.stdout + done.stderr

    assert not faults(installation, here, steps, run)
    assert practice.names() == []


def test_explain_prints_them(practice: Practice) -> None:
    before = practice.names()
    done = practice.run("clear-lock", STALE_LIST, "--explain")
    assert done.returncode == 0
    script = subprocess.run(
        ["/bin/sh", "-c", done.stdout], capture_output=True, text=True, check=False
    )
    assert script.stdout.splitlines()[-2:] == ["removed", f"{STALE_LIST}: can be locked"]
    assert before
    assert practice.names() == []


def test_by_hand_a_busy_list_is_seen_to_be_busy(practice: Practice) -> None:
    """The last step is no formality: it fails where the list cannot be locked."""
    installation = discover(Host(practice.spec))
    last = clear_lock.steps(installation, clear_lock.PROCEDURE.example)[-1]
    quick = last.command.replace("timeout=10", "timeout=1")
    assert quick != last.command
    done = subprocess.run(["/bin/sh", "-c", quick], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert faults(installation, here, [last], lambda step: done.stdout + done.stderr)


def test_the_procedure_is_documented() -> None:
    assert clear_lock.PROCEDURE in all_procedures()
    assert clear_lock.PROCEDURE.example.list == STALE_LIST
