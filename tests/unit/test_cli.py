"""The command line: bad input is one line with exit status 2, and help costs nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runbooks import cli
from runbooks.errors import BadInputError, HostError, LostError
from tests.support import preloaded

RUNBOOK = [sys.executable, "-m", "runbooks"]


def runbook(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess:
    return preloaded.run(
        list(arguments),
        input=stdin,
        errors="replace",
        timeout=60,
        env={**os.environ, **environment},
    )


def on_terminal(
    *arguments: str, answer: str | tuple[str, ...] = "", columns: int = 0
) -> tuple[int, str]:
    """Run the command on a terminal; its exit status and what was shown.

    `answer`: to its question, or to each.
    """
    answers = [answer] if isinstance(answer, str) else list(answer)
    pid, fd = pty.fork()
    if pid == 0:
        if columns:
            os.environ["COLUMNS"] = str(columns)
        os.environ["TERM"] = "xterm-256color"
        os.execv(RUNBOOK[0], [*RUNBOOK, *arguments])
    shown, answered = b"", 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.5)[0]:
            try:
                more = os.read(fd, 65536)
            except OSError:
                break
            if not more:
                break
            shown += more
        if answered < min(len(answers), shown.count(b"[y/N]")):
            # Python misses an interrupt between its last look for one and the read that waits:
            # nobody types that fast.
            time.sleep(0.2)
            os.write(fd, answers[answered].encode())
            answered += 1
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


# -- help -----------------------------------------------------------------------------------


def test_help_loads_nothing_that_only_work_needs():
    code = (
        "import sys; sys.argv = ['runbook', '--help']\n"
        "from runbooks import cli\n"
        "status = cli.run()\n"
        "slow = {'rich', 'testinfra', 'docker', 'pytest', 'runbooks.host'}\n"
        "print(status, sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.strip() == "0 []"
    for name, (_, line) in cli.subcommands().items():
        assert re.search(rf"^  {name} +{re.escape(line[:30])}", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", cli.subcommands())
def test_every_subcommand_has_help_with_examples(name):
    done = runbook(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^ +runbook {name}\b", done.stdout, re.MULTILINE)
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


@pytest.mark.parametrize("name", cli.subcommands())
def test_a_shell_completes_subcommands_with_the_lines_of_the_help(name):
    words = f"runbook {name[:-1]}"
    done = runbook(_RUNBOOK_COMPLETE="zsh_complete", COMP_WORDS=words, COMP_CWORD="1")
    lines = done.stdout.splitlines()
    assert lines[lines.index(name) + 1] == cli.subcommands()[name][1]


def test_no_arguments_show_the_help():
    done = runbook()
    assert done.returncode == 2
    assert "Commands:" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("path", [[], ["ban"], ["practice"], ["practice", "new"], ["help"]])
def test_help_says_what_the_option_says(path):
    assert runbook("help", *path).stdout == runbook(*path, "--help").stdout != ""


# -- history --------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 120, 160])
def test_the_history_fits_a_terminal(any_sites, columns, monkeypatch):
    any_sites.unlock()
    monkeypatch.setenv("RUNBOOK_HOST", any_sites.spec)
    address = f"{'a' * 60}@example.com"
    for words in (["ban", address], ["unban", address], ["ban", "evil@example.com"]):
        assert runbook(*words, "--yes").returncode == 0
    _, shown = on_terminal("history", columns=columns)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown).replace("\r", "\n").splitlines()
    begin = next(i for i, line in enumerate(plain) if "2 sites" in line)
    runs = [line for line in plain[begin + 1 :] if line.strip()]
    assert max(len(line) for line in runs) <= columns
    # A line for each where there is room for the longest, and two where there is not.
    assert len(runs) == (3 if columns == 160 else 6)
    assert "ban evil@example.com --yes" in runs[0 if columns == 160 else 1]
    assert ("…" in "".join(runs)) == (columns == 80)
    piped = runbook("history").stdout.splitlines()
    assert [line.endswith(" --yes") for line in piped] == [False, *[True] * 3]


# -- what was perhaps meant -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bann", "a@b.org"], "runbook: there is no command 'bann'; did you mean ban?"),
        (["help", "bann"], "runbook: there is no command 'bann'; did you mean ban?"),
        (["practice", "nwe"], "runbook practice: there is no command 'nwe'; did you mean new?"),
        (["ban", "--dryrun"], "there is no option '--dryrun'; did you mean --dry-run?"),
        (["--versoin"], "there is no option '--versoin'; did you mean --version?"),
        (["frobnicate"], "runbook: there is no command 'frobnicate' (see runbook --help)"),
        (["ban", "-Z"], "runbook ban: there is no option '-Z' (see runbook ban --help)"),
        (["ban", "--timeout", "soon"], "'soon' is not a valid number of seconds."),
        (["ban", "--jobs", "many"], "'many' is not a valid number."),
        (["help", "ban", "new"], "runbook ban: there is no command 'new' (see runbook ban --help)"),
    ],
)
def test_a_word_that_is_mistyped(words, said):
    done = runbook(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--list", "zuul-job"], "there is no list 'zuul-job'; did you mean zuul-jobs?"),
        (["--site", "openstak"], "; did you mean openstack?"),
        (["--site", "frobnicate"], "; it has: openstack, zuul"),
    ],
)
def test_a_name_that_is_mistyped(any_sites, options, said):
    done = runbook("ban", "evil@example.com", "--yes", *options, "--host", any_sites.spec)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_n_is_short_for_dry_run(any_sites):
    any_sites.unlock()
    short, long = (
        runbook("ban", "evil@example.com", option, "--host", any_sites.spec)
        for option in ("-n", "--dry-run")
    )
    assert (short.returncode, short.stdout) == (0, long.stdout)
    assert short.stdout.endswith("dry run: nothing was changed\n")
    assert any_sites.bans("zuul", "zuul-jobs") == []


# -- quiet ----------------------------------------------------------------------------------


def test_quiet_says_nothing_where_all_is_done(any_sites):
    any_sites.unlock()
    for words in (["ban"], ["ban"], ["unban", "--dry-run"], ["unban"], ["unsubscribe"]):
        done = runbook(*words, "evil@example.com", "-q", "--yes", "--host", any_sites.spec)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    run = runbook("history", "--host", any_sites.spec).stdout.split()
    runs = [word for word in run if re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", word)]
    done = runbook("undo", runs[-1], "--quiet", "--yes", "--host", any_sites.spec)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_quiet_names_what_is_not_done_and_what_helps(any_sites, option):
    words = ["ban", "evil@example.com", "--timeout", "0", "--host", any_sites.spec]
    shown = runbook(*words, "-q", option)
    assert (shown.returncode, shown.stderr) == (1 if option == "--yes" else 0, "")
    if option == "--yes":
        first, second, third = shown.stdout.splitlines()
        assert first == "10 lists banned and read back, 1 not done:"
        assert second.startswith("  openstack-foo (openstack)  locked since ")
        assert third.lstrip().startswith("→ runbook clear-lock openstack-foo")


def test_quiet_clears_a_lock_without_a_word_and_refuses_with_one(any_sites):
    host = ("--host", any_sites.spec)
    holder = any_sites.hold("zuul", "zuul-jobs")
    refused = runbook("clear-lock", "zuul-jobs", "-q", "--yes", *host)
    assert refused.returncode == 1
    assert f"process {holder.pid}" in refused.stdout
    done = runbook("clear-lock", "openstack-foo", "-q", "--yes", *host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert any_sites.locks("openstack") == []


def test_quiet_changes_nothing_for_programs_nor_of_what_is_asked_for(any_sites):
    any_sites.unlock()
    host = ("--host", any_sites.spec)
    quiet, loud = (
        runbook("ban", "evil@example.com", "--json", "-n", *more, *host) for more in (["-q"], [])
    )
    assert (quiet.returncode, quiet.stdout) == (0, loud.stdout)
    assert quiet.stdout
    explained = runbook("ban", "evil@example.com", "--explain", "-q", *host)
    assert explained.stdout == runbook("ban", "evil@example.com", "--explain", *host).stdout != ""
    script = any_sites.folder / "hello.py"
    script.write_text("def hello(m):\n    print('hello')\n")
    ran = runbook("withlist", str(script), "-q", "--yes", "--list", "zuul-jobs", *host)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "zuul-jobs: hello\n", "")


def test_a_question_comes_with_its_plan_when_quiet(any_sites):
    any_sites.unlock()
    words = ("ban", "evil@example.com", "--host", any_sites.spec, "-q")
    status, shown = on_terminal(*words, answer="y\n")
    assert status == 0
    before, _, after = shown.partition("[y/N]")
    assert "openstack  7 lists  7 to ban" in before
    assert re.fullmatch(r" y\s*", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", after))


def test_the_version_is_told():
    assert re.fullmatch(r"runbook, version \d+\.\d+\.\d+\n", runbook("--version").stdout)


# -- bad input ------------------------------------------------------------------------------

BAD = [
    ["nosuch"],
    ["--nosuch"],
    ["ban"],
    ["ban", ""],
    ["ban", "evil@example.com", "--nosuch"],
    ["ban", "evil@example.com", "another@example"],
    ["ban", "--from", "/nonexistent/victims.txt"],
    ["ban", "evil@example.com", "--suffixes", "^evil"],
    ["banned"],
    ["unban", "--from", "."],
    ["ban", "-evil@example.com"],
    ["ban", "--", "-evil@example.com"],
    ["ban", ".*@example.com"],
    ["ban", "^"],
    ["ban", "^[bad"],
    ["ban", " evil@example.com"],
    ["ban", "evil@example.com\nother@example.com"],
    ["ban", "'; touch /tmp/never'@example.com"],
    ["ban", "$(touch /tmp/never)@example.com"],
    ["ban", "x" * 10_000],
    ["ban", "é@example.com"],
    ["ban", os.fsdecode(b"\xff\xfe@example.com")],
    ["ban", "evil@example.com", "--timeout", "soon"],
    ["ban", "evil@example.com", "--timeout", "-1"],
    ["ban", "evil@example.com", "--timeout", "nan"],
    ["ban", "evil@example.com", "--jobs", "0"],
    ["ban", "evil@example.com", "--jobs", "1e3"],
    ["unban", ""],
    ["unban", "evil\n@example.com"],
    ["unban", "x" * 20_000],
    ["banned", "\x1b[31mred"],
    ["sites", "--host", ""],
    ["sites", "--host", "lists.example.org"],
    ["sites", "--host", "ssh://-oProxyCommand=touch$IFS/tmp/never"],
    ["sites", "--host", "ssh://%2doProxyCommand=touch$IFS/tmp/never"],
    ["sites", "--host", "ssh://a;touch${IFS}/tmp/never"],
    ["sites", "--host", "ssh://" + "x" * 10_000 + "\n"],
    ["practice", "new"],
    ["practice", "new", "/proc/nowhere"],
    ["practice", "new", "a\nb"],
    ["practice", "nosuch"],
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda arguments: repr(" ".join(arguments))[:60])
def test_bad_input_is_one_line_and_exit_status_2(arguments):
    done = runbook(*arguments)
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("runbook")
    assert done.stderr.strip().isprintable()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not Path("/tmp/never").exists()


@pytest.mark.parametrize("text", ["evil\0@example.com", "\0", "^\0"])
def test_nul_is_one_line_too(text, capsys):
    """No shell can pass it; a program that calls this one can."""
    assert cli.run(["ban", text]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInputError("a\nb"), 2),
        (HostError("h"), 3),
        (LostError("l"), 1),
        (KeyboardInterrupt(), 2),
    ],
)
def test_an_error_is_one_line_and_its_exit_status(error, status, monkeypatch, capsys):
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "cli", fail)
    assert cli.run([]) == status
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ("practice:/nonexistent", 3),
        ("docker://no-such-container-at-all", 3),
        ("ssh://nobody@localhost.invalid?timeout=2", 3),
        ("nosuch://host", 3),
    ],
)
def test_a_host_that_cannot_be_reached_is_one_line_and_exit_status_3(spec, status):
    done = runbook("ban", "evil@example.com", "--yes", "--host", spec)
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("runbook: ")


# -- output ---------------------------------------------------------------------------------


def test_without_a_terminal_there_is_no_colour_and_no_question(any_sites):
    done = runbook(
        "ban", "evil@example.com", "--host", any_sites.spec, FORCE_COLOR="1", TERM="xterm-256color"
    )
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert any_sites.bans("zuul", "zuul-jobs") == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_of_the_output_is_a_reason_to_fail(any_sites, encoding):
    done = runbook("sites", "--host", any_sites.spec, PYTHONIOENCODING=encoding, LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 sites" in done.stdout


def test_whoever_reads_the_output_may_go_away(any_sites):
    command = f"{' '.join(RUNBOOK)} sites --json --host {any_sites.spec} 2>&1 | head -c 1"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "{"


@pytest.mark.parametrize(
    "words",
    [
        ["ban", "evil@example.com"],
        ["clear-lock", "openstack-foo"],
        ["withlist", "owners.py"],
        ["add-list", "x", "--admin", "a@b.org", "--description", "x", "--direct", "--site", "zuul"],
    ],
    ids=lambda words: words[0],
)
def test_the_steps_by_hand_are_objects_for_a_program(any_sites, words):
    words = [*words, "--explain", "--host", any_sites.spec]
    done = runbook(*words, "--json")
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(step) == {"step", "title", "command"} for step in steps)
    printed = runbook(*words).stdout
    assert steps
    assert all(step["command"] in printed for step in steps)


def test_output_that_cannot_be_written_is_one_line(any_sites):
    command = f"{' '.join(RUNBOOK)} sites --host {any_sites.spec} > /dev/full"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"runbook: .*No space left on device; 'runbook history' .*\n", done.stderr)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_does_its_work(any_sites, closed):
    any_sites.unlock()
    words = f"ban evil@example.com --list zuul-jobs --yes --host {any_sites.spec}"
    command = f"{' '.join(RUNBOOK)} {words} {closed}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert any_sites.bans("zuul", "zuul-jobs") == ["evil@example.com"]


def test_the_host_may_come_from_the_environment(any_sites):
    assert runbook("sites", RUNBOOK_HOST=any_sites.spec).returncode == 0


@pytest.mark.parametrize("answer", ["n\n", "\n", "x\n", "\x04"])
def test_anything_but_yes_is_no(any_sites, answer):
    any_sites.unlock()
    status, shown = on_terminal("ban", "evil@example.com", "--host", any_sites.spec, answer=answer)
    assert status == 2
    assert "not confirmed; nothing was changed" in shown
    assert "Traceback" not in shown
    assert any_sites.bans("zuul", "zuul-jobs") == []


def bytes_of_locks(sites) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sites.folder.glob("srv/mailman/*/locks/*")}


@pytest.mark.parametrize("answers", [("y\n", "n\n"), ("y\n", "\x04"), ("\x04", "\x04")])
def test_without_a_yes_at_the_end_the_stale_lock_stays(any_sites, answers):
    before = bytes_of_locks(any_sites)
    status, shown = on_terminal("ban", "evil@example.com", "--host", any_sites.spec, answer=answers)
    assert status == 2
    assert "not confirmed; nothing was changed" in shown
    assert bytes_of_locks(any_sites) == before != {}
    assert any_sites.bans("zuul", "zuul-jobs") == []


@pytest.mark.parametrize(
    ("answers", "banned"), [(("y\n", "y\n"), 11), (("n\n", "y\n"), 10), (("x\n", "y\n"), 10)]
)
def test_the_plan_offers_to_remove_a_stale_lock_first(any_sites, answers, banned):
    began = time.monotonic()
    status, shown = on_terminal("ban", "evil@example.com", "--host", any_sites.spec, answer=answers)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"openstack-foo \(openstack\)  locked since .*, which no longer runs", plain)
    assert "Remove 1 stale lock first? [y/N]" in plain
    assert "Ban evil@example.com from 11 lists? [y/N]" in plain
    assert f"{banned} lists banned and read back" in plain
    assert (status, "1 stale lock removed and read back" in plain) == (
        (0, True) if banned == 11 else (1, False)
    )
    assert (any_sites.bans("openstack", "openstack-foo") == []) == (banned == 10)
    # The lock alone would have cost ten seconds.
    assert time.monotonic() - began < 30


def test_a_stale_lock_is_removed_first_where_nobody_is_asked(any_sites):
    words = ("ban", "evil@example.com", "--host", any_sites.spec, "--clear-stale")
    before = bytes_of_locks(any_sites)
    planned = runbook(*words, "--dry-run")
    assert planned.returncode == 0
    assert "which no longer runs" in planned.stdout
    assert bytes_of_locks(any_sites) == before != {}
    done = runbook(*words, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 stale lock removed and read back" in done.stdout
    assert "11 lists banned and read back" in done.stdout
    assert bytes_of_locks(any_sites) == {}
    assert any_sites.bans("openstack", "openstack-foo") == ["evil@example.com"]


def test_clear_lock_says_which_ban_its_lock_had_stopped(any_sites):
    host = ("--yes", "--host", any_sites.spec)
    for address in ("evil@example.com", "other@example.com"):
        assert runbook("ban", address, *host).returncode == 1
    some = ("--list", "openstack-foo")
    assert runbook("unban", "other@example.com", *some, *host).returncode == 0
    done = runbook("clear-lock", "openstack-foo", *host)
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if "now repeat it: " in line]
    words = [line.split("now repeat it: runbook ")[1].split() for line in lines]
    option = ["--list", "openstack-foo", "--site", "openstack", "--host", any_sites.spec]
    assert words == [["ban", f"{name}@example.com", *option] for name in ("other", "evil")]
    for one in words:
        assert runbook(*one, "--yes").returncode == 0
    assert any_sites.bans("openstack", "openstack-foo") == [
        "other@example.com",
        "evil@example.com",
    ]
    # What was repeated is not named again.
    holder = any_sites.hold("openstack", "openstack-foo")
    holder.kill()
    holder.wait()
    cleared = runbook("clear-lock", "openstack-foo", *host)
    assert "removed and read back" in cleared.stdout
    assert "now repeat" not in cleared.stdout


def test_a_lock_that_is_held_is_never_removed_first(any_sites):
    any_sites.unlock()
    any_sites.hold("zuul", "zuul-jobs")
    before = bytes_of_locks(any_sites)
    words = ("ban", "evil@example.com", "--host", any_sites.spec, "--timeout", "1")
    done = runbook(*words, "--clear-stale", "--yes")
    assert done.returncode == 1
    assert "10 lists banned and read back, 1 not done" in done.stdout
    assert "removed" not in done.stdout
    assert bytes_of_locks(any_sites) == before


def test_many_addresses_have_one_question_and_a_row_each(any_sites, tmp_path):
    any_sites.unlock()
    victims = tmp_path / "victims.txt"
    victims.write_text("# mail of 04:10\r\nAnn <a@example.com>\r\nevil@example.com\r\n")
    words = ("--from", str(victims), "^c(\\+.*)?@example\\.com$", "--host", any_sites.spec)
    status, shown = on_terminal("ban", *words, answer="y\n")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert status == 0
    assert "Ban 3 entries from 11 lists? [y/N]" in plain
    assert re.search(r"a@example\.com +no list +no list\r\n", plain)
    assert re.search(r"evil@example\.com +11 lists\r\n", plain)
    assert "to take it back: runbook undo 2" in plain
    again = runbook("banned", *words, "--json").stdout.splitlines()
    assert [json.loads(line) for line in again] == [
        *(
            {"address": a, "refuses": 11, "accepts": 0, "by": {a: 11}}
            for a in ("^c(\\+.*)?@example\\.com$", "a@example.com", "evil@example.com")
        ),
        {"summary": {"refuses": 33, "accepts": 0}},
    ]
    run = re.search(r"runbook undo (\S+)", plain)[1]
    undone = runbook("undo", run, "--yes", "--host", any_sites.spec)
    assert "taken back on 11 lists" in undone.stdout
    assert any_sites.bans("zuul", "zuul-jobs") == []


def test_a_ban_can_unsubscribe_in_the_same_run(any_sites):
    any_sites.unlock()
    words = ("ban", "Target@example.com", "nobody@example.com", "--host", any_sites.spec)
    left = runbook(*words, "--dry-run")
    assert "nothing was changed" in left.stdout
    members = re.search(r"Target@example\.com +no list +(\d+) list", left.stdout)[1]
    status, shown = on_terminal(*words, "--unsubscribe", answer="y\n")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert status == 0
    question = f"Ban 2 addresses from 11 lists and unsubscribe 2 addresses from {members} list"
    assert question in plain
    assert plain.count("[y/N]") == 1
    assert f"unsubscribed from {members} list" in plain
    assert "to unsubscribe" not in plain.split("[y/N]")[1]
    after = runbook(*words, "--unsubscribe", "--yes")
    assert "11 lists already refused them" in after.stdout
    assert "11 lists did not have them" in after.stdout
    # Each of the two has a record, and what takes it back.
    runs = re.findall(r"to take it back: runbook undo (\S+)", plain)
    for run in reversed(runs):
        assert runbook("undo", run, "--yes", "--host", any_sites.spec).returncode == 0
    again = runbook(*words, "--dry-run")
    assert again.stdout == left.stdout
    assert len(runs) == 2


def test_patterns_alone_unsubscribe_nobody(any_sites):
    done = runbook("ban", "^t@example\\.com$", "--unsubscribe", "--yes", "--host", any_sites.spec)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--unsubscribe is for addresses" in done.stderr


def test_bad_lines_are_left_out_where_that_is_asked_for(any_sites, tmp_path):
    any_sites.unlock()
    victims = tmp_path / "victims.txt"
    victims.write_text("a@example.com\nfoo\n\nb@example.com\n@example.com\n")
    words = ("ban", "--from", str(victims), "--list", "zuul-jobs", "--yes", "--host")
    refused = runbook(*words, any_sites.spec)
    assert refused.returncode == 2
    assert "line 2: 'foo' is not an address" in refused.stderr
    assert "1 more is bad (line 5), --skip-bad leaves them out" in refused.stderr
    assert any_sites.bans("zuul", "zuul-jobs") == []
    done = runbook(*words, any_sites.spec, "--skip-bad")
    assert done.returncode == 0
    assert len([line for line in done.stderr.splitlines() if "left out: " in line]) == 2
    assert any_sites.bans("zuul", "zuul-jobs") == ["a@example.com", "b@example.com"]


def test_what_nobody_can_be_is_not_asked_about(any_sites):
    for text, said in [("foo", "'foo' is not an address"), ("^zzz", "no list bans by the pattern")]:
        done = runbook("banned", text, "--host", any_sites.spec)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_an_interrupt_at_the_question_changes_nothing(any_sites):
    status, shown = on_terminal("ban", "evil@example.com", "--host", any_sites.spec, answer="\x03")
    assert status == 2
    assert "nothing was changed" in shown
    assert any_sites.bans("zuul", "zuul-jobs") == []


def test_on_a_terminal_there_are_plan_question_bar_and_result(any_sites):
    any_sites.unlock()
    status, shown = on_terminal("ban", "evil@example.com", "--host", any_sites.spec, answer="y\n")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert status == 0
    assert plain != shown  # with colours
    assert "Ban evil@example.com from 11 lists? [y/N]" in plain
    assert "11/11" in plain
    assert "11 lists banned and read back" in plain
    assert any_sites.bans("zuul", "zuul-jobs") == ["evil@example.com"]


def test_json_is_one_object_a_line_and_nothing_else(any_sites):
    any_sites.unlock()
    done = runbook("ban", "evil@example.com", "--yes", "--json", "--host", any_sites.spec)
    recorded, *objects, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert list(recorded) == ["recorded"]
    assert last == {"summary": {"banned": 11}}
    assert len(objects) == 11
    assert objects[0] == {
        "host": any_sites.spec,
        "site": "openstack",
        "list": "openstack-announce",
        "outcome": "banned",
        "detail": "",
    }
