"""`runbook verify`: what a step needs, how it is found out, and how the result is told."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runbooks.book.shell import split
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.printed import steps_of, text_of
from runbooks.mailman.truth import Listing
from runbooks.procedures import all_procedures, find
from runbooks.sphinxext import held
from runbooks.verify.here import Here
from runbooks.verify.needs import Answer, Cause, Findings, Need, fact
from runbooks.verify.rehearsal import call_of, scripts_of
from runbooks.verify.result import StepResult, junit
from runbooks.verify.table import UnknownError, needs_of
from tests.support.steps import here as in_shell

LISTS = {
    (site.name, name): Listing(site.name, name, {"members": []})
    for site in INSTALLATION.sites
    for name in ("mailman", site.first_list)
}
HERE = Here(INSTALLATION, INSTALLATION, LISTS, {})


def needs(command: str, here: Here = HERE) -> list[Need]:
    return [need for simple in split(command) for need in needs_of(simple, here, [])]


# What a step needs


@pytest.mark.parametrize("version", ["2.1.39", "2.2.0"])
@pytest.mark.parametrize("procedure", all_procedures(), ids=lambda procedure: procedure.name)
def test_there_is_a_probe_for_every_command_on_the_page(procedure, version):
    """A new program, option or form of a command on the page is not passed over."""
    for step in steps_of(procedure, version):
        for simple in split(step.command):
            found = list(needs_of(simple, HERE, []))
            assert len(found) > 1 or not simple.words, f"{step.name}: {simple.texts}"


@pytest.mark.parametrize(
    "command",
    [
        *("frobnicate", "ls -la /", "stat -c %h /", "stat -f /", "ps aux", "ps -o ppid= -p $pid"),
        *("touch /a", "sed -i s/a/b/ /a", "sed -E s/a/b/ /a", "grep -E a", "tee -a /a", "cat -v"),
        *("rm -rf /a", "uname -a", "echo -n a", "[ -nt a ]", "[ a", "puppet agent --test"),
        *("sudo -i", "sudo -u list", "sudo -u list frobnicate", "$(cat /a) -m this"),
    ],
)
def test_what_nobody_can_probe_is_an_error(command):
    with pytest.raises((UnknownError, ValueError)):
        needs(command)


def test_each_probe_is_a_command_that_a_shell_takes_and_can_fail():
    found = {
        need.probe: need
        for procedure in all_procedures()
        for step in steps_of(procedure)
        for need in needs(step.command)
        if need.probe
    }
    for probe, need in found.items():
        done = subprocess.run(["/bin/sh", "-n", "-c", probe], capture_output=True, check=False)
        assert done.returncode == 0, probe
        assert need.judge(Answer("nonsense", 1)), probe


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sites": INSTALLATION.sites[:1]}, r"/srv/mailman/zuul is no site here"),
        (
            {"sites": INSTALLATION.sites[:1], "silent": {"zuul": "no disk"}},
            r"the site /srv/mailman/zuul does not answer: no disk",
        ),
        (
            {"sites": tuple(replace(site, lists=0) for site in INSTALLATION.sites)},
            r"the site zuul has no list: its lines on the page stand for none",
        ),
        (
            {"sites": tuple(replace(site, user="mailman") for site in INSTALLATION.sites)},
            r"Mailman's user here is mailman, and the page says list",
        ),
    ],
)
def test_what_the_installation_says_is_held_against_the_page(change, why):
    found = replace(HERE, found=replace(INSTALLATION, **change))
    command = "sudo -u list MAILMAN_SITE_DIR=/srv/mailman/zuul /usr/lib/mailman/bin/list_lists"
    for here, expected in ((found, {why}), (HERE, set())):
        facts = [need for need in needs(command, here) if not need.probe]
        assert {said for need in facts if (said := need.judge(Answer("", 0)))} == expected


def judged(command: str, answer: Answer, probe: str) -> list[str]:
    """What is said of the answer to the probes that are like `probe`."""
    found = [need for need in needs(command) if re.search(probe, need.probe)]
    assert found
    return [why for need in found if (why := need.judge(answer))]


WITHLIST = (
    "sudo -u list MAILMAN_SITE_DIR=/srv/mailman/zuul /usr/lib/mailman/bin/withlist -q -a -r ban"
    " '^a b$' c"
)


@pytest.mark.parametrize(
    ("printed", "status", "holds"),
    [
        ("{mailman} ^a b$ c\n{zuul-announce} ^a b$ c\n", 0, True),
        ("{zuul-announce} ^a b$ c\n{mailman} ^a b$ c\n", 0, True),
        ("{zuul-announce} ^a b$ c\n", 0, False),
        ("{mailman} ^a b$ c\n{zuul-announce} ^a b$ c\n", 1, False),
        ("{mailman} ^a b$\n{zuul-announce} ^a b$ c\n", 0, False),
        ("{mailman} ^a b$ c\n{zuul-announce} ^a b$ c\n{other} ^a b$ c\n", 0, False),
        ("Please set MAILMAN_SITE_DIR\n", 0, False),
    ],
)
def test_withlist_has_to_give_every_list_and_every_argument(printed, status, holds):
    text = re.sub(r"\{(.*?)\}", r'<mailing list "\1" (unlocked) at 7f8cf9>', printed)
    assert (judged(WITHLIST, Answer(text, status), r"\.print") == []) is holds


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("sudo: no", "withlist calls no function: it says sudo: no"),
        ("{zuul-announce} ^a b$ c", "withlist calls no function for the list mailman"),
        (
            "{mailman}\n{zuul-announce} ^a b$ c",
            "withlist does not give a function each list once, and what follows it",
        ),
    ],
)
def test_the_same_fault_of_withlist_has_the_same_words(printed, why):
    """Each command of the page is tried, and one cause is told once."""
    text = re.sub(r"\{(.*?)\}", r'<mailing list "\1" (unlocked) at 7f8cf9>', printed)
    assert judged(WITHLIST, Answer(text, 0), r"\.print") == [why]


def test_withlist_is_run_as_it_is_printed_but_for_the_function():
    (probe,) = [need.probe for need in needs(WITHLIST) if ".print" in need.probe]
    assert split(probe)[0].texts == tuple(
        {"sudo": "sudo", "ban": "__builtin__.print"}.get(word, word)
        for word in ("sudo", "-n", *split(WITHLIST)[0].texts[1:])
    )


def test_no_program_of_mailmans_loads_a_list_that_it_would_change():
    broken = replace(HERE, broken={"zuul": ("zuul-announce", "it is damaged")})
    asked: list[str] = []

    def ask(script: str) -> str:
        asked.append(script)
        marks = re.findall(r"printf '\\n(@@\w+) %d\\n' \$\?$", script, re.MULTILINE)
        return "".join(f"-a -q -r\n{mark} 0\n" for mark in marks)

    for here in (broken, HERE):
        asked.clear()
        findings = Findings()
        wanted = needs(WITHLIST, here)
        findings.find_out(wanted, ask)
        assert any(".print" in script for script in asked) is (here is HERE)
    why = "the list zuul-announce of zuul cannot be loaded as it is: it is damaged"
    findings = Findings()
    wanted = needs(WITHLIST, broken)
    findings.find_out(wanted, ask)
    assert [cause.why for cause in findings.causes(wanted)] == [why]


# Finding out


def status(answer: Answer) -> str:
    return f"status {answer.status}" if answer.status else ""


def found_out(*wanted: Need) -> tuple[list[str], int]:
    findings, number = Findings(), 0

    def ask(script: str) -> str:
        nonlocal number
        number += len(re.findall(r"^printf '\\n@@\w+ %d", script, re.MULTILINE))
        return in_shell(script)

    findings.find_out(wanted, ask)
    return [cause.why for cause in findings.causes(wanted)], number


def test_each_probe_is_asked_once(tmp_path):
    probe = f"echo >> {tmp_path}/asked"
    assert found_out(Need(probe, status), Need(probe, status)) == ([], 1)
    assert (tmp_path / "asked").read_text() == "\n"


@pytest.mark.parametrize("probe", [r" -l ", "--help"])
def test_a_password_that_sudo_asks_for_is_the_same_cause_wherever_it_shows(probe):
    why = "sudo asks for a password before it runs a program as list"
    answer = Answer("sudo: a password is required\n", 1)
    assert judged(WITHLIST, answer, probe) == [why]


def test_what_hangs_on_what_is_not_there_is_neither_asked_nor_told(tmp_path):
    first, known = Need("exit 3", status), fact("it is not so")
    later = Need(f"touch {tmp_path}/a; exit 4", status, "", (first,))
    also = Need(f"touch {tmp_path}/b; exit 5", status, "", (known,))
    last = Need(f"touch {tmp_path}/c; exit 6", status, "", (later, also))
    assert found_out(last) == (["status 3", "it is not so"], 1)
    assert list(tmp_path.iterdir()) == []


def test_what_hangs_on_what_is_there_is_asked_and_told():
    first = Need("true", status)
    assert found_out(Need("exit 4", status, "", (first, fact("")))) == (["status 4"], 2)


def test_many_answers_are_told_apart():
    texts = ["", "a", "a\n", "\n", "@@ 0", "x" * 100_000, "ä"]
    wanted = [
        Need(f"cat <<'EOF'\n{text}\nEOF\nexit {n}", lambda answer: f"{answer}", "")
        for n, text in enumerate(texts * 2)
    ]
    whys, number = found_out(*wanted)
    assert whys == [str(Answer(f"{text}\n", n)) for n, text in enumerate(texts * 2)]
    assert number == len(wanted)


def test_answers_that_are_lost_are_no_answers():
    with pytest.raises(ValueError, match="2 probes gave 0 answers"):
        Findings().find_out([Need("a", status), Need("b", status)], lambda script: "")


# Which function of a script is called


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("withlist -q -a -r ban a b", (None, "ban", "ban", ("a", "b"))),
        ("withlist -q -a -r ban.banned -- -a", (None, "ban", "banned", ("-a",))),
        ("withlist -q -r ban.unban one a", ("one", "ban", "unban", ("a",))),
    ],
)
def test_a_call_is_read_from_the_command(command, expected):
    (simple,) = split(f"sudo -u list MAILMAN_SITE_DIR=/srv/a /usr/lib/mailman/bin/{command}")
    call = call_of(simple, ["ban"])
    assert call
    assert (call.site_dir, call.list, call.module, call.function, call.arguments) == (
        "/srv/a",
        *expected,
    )
    assert call_of(simple, ["other"]) is None


def test_every_call_of_a_script_that_the_page_has_pasted_is_rehearsed():
    for procedure in all_procedures():
        steps = steps_of(procedure)
        for step in steps:
            calls = [call_of(simple, scripts_of(steps)) for simple in split(step.command)]
            assert any(calls) == ("/withlist -q" in step.command), step.name


# The result


RESULTS = [
    StepResult("ban", "ban-a", "do < a", ()),
    StepResult("ban", "ban-b", "do b", (Cause("no b & c", "get it"), Cause("no d", ""))),
    StepResult("unban", "unban-a", "do a", (), "there is no a"),
]


def test_junit_has_a_suite_for_each_procedure_and_a_case_for_each_step():
    root = ElementTree.fromstring(junit(RESULTS, "lists").encode())
    suites = {suite.get("name"): suite for suite in root}
    assert {name: [case.get("name") for case in suite] for name, suite in suites.items()} == {
        "ban": ["ban-a", "ban-b"],
        "unban": ["unban-a"],
    }
    ban = suites["ban"]
    assert (ban.get("tests"), ban.get("failures"), ban.get("skipped")) == ("2", "1", "0")
    assert suites["unban"].get("skipped") == "1"
    assert [child.tag for child in ban[0]] == []
    (failure,) = ban[1]
    assert (failure.tag, failure.get("message")) == ("failure", "no b & c; no d")
    assert failure.text == "$ do b\nno b & c; no d\nget it"
    (skipped,) = suites["unban"][0]
    assert (skipped.tag, skipped.get("message")) == (
        "skipped",
        "checked, not run: there is no a",
    )


# On a page

BAN = find("scripted-change")
ANCHORS = ["a", "b"]


def write(path: Path, *, cut: bool = False, **changes: object) -> Path:
    steps = [
        {"procedure": BAN.name, "anchor": anchor, "state": "holds", "why": ""} for anchor in ANCHORS
    ]
    steps[0].update({key: str(changes.pop(key)) for key in ("state", "why") if key in changes})
    summary = {
        "server": "lists.example.org",
        "mailman": "2.1.39",
        "note": "",
        "when": "2026-11-26T13:00:00+00:00",
        "steps": 2,
        "holding": 2,
        "texts": {BAN.name: text_of(BAN)},
        **changes,
    }
    lines = [json.dumps(one) for one in (*steps, *(() if cut else (summary,)))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def said(path: Path, text: str = text_of(BAN)) -> tuple[str, bool]:
    found = held.read(path)
    assert found
    words, differs = found.of(BAN.name, ANCHORS, text)
    return "".join(map(str, words)), differs


def test_without_a_file_nothing_is_said(tmp_path):
    assert held.read(tmp_path / "verify.json") is None


def test_what_held_is_said_with_its_date(tmp_path):
    path = write(tmp_path / "verify.json")
    assert said(path) == (
        "every step held on lists.example.org, Mailman 2.1.39 (2026-11-26)",
        False,
    )
    found = held.read(path)
    assert found
    assert found.of("ban", ANCHORS, text_of(BAN)) == ((), False)


def test_what_differs_is_said_with_its_reason(tmp_path):
    path = write(tmp_path / "verify.json", state="differs", why="no sed", holding=1)
    assert said(path) == (
        "1 of 2 steps did not hold on lists.example.org, Mailman 2.1.39 (2026-11-26): no sed",
        True,
    )


def test_of_many_reasons_the_first_is_said(tmp_path):
    path = write(tmp_path / "verify.json", state="differs", why="no sed", holding=1)
    lines = path.read_text(encoding="utf-8").replace('"holds"', '"differs"')
    lines = lines.replace('"why": ""', '"why": "no ps"').replace('"holding": 1', '"holding": 0')
    path.write_text(lines, encoding="utf-8")
    text, differs = said(path)
    assert differs
    assert text.endswith(("(2026-11-26): no ps, and 1 more", "(2026-11-26): no sed, and 1 more"))


def test_another_text_is_not_said_to_hold_nor_to_differ(tmp_path):
    path = write(tmp_path / "verify.json", state="differs", why="no sed", holding=1)
    changed = (
        "changed since it was held against lists.example.org, Mailman 2.1.39 (2026-11-26)",
        False,
    )
    assert said(path, "other") == changed


@pytest.mark.parametrize(
    "damage",
    [
        {"cut": True},
        {"steps": 3},
        {"holding": 1},
        {"state": "fine"},
        {"texts": {}},
        {"when": "yesterday"},
        {"when": "2026-11-26T13:00:00"},
        {"mailman": None},
        {"server": 7},
    ],
)
def test_a_damaged_file_is_named_and_not_believed(tmp_path, damage):
    path = write(tmp_path / "verify.json", **damage)
    with pytest.raises(ValueError, match=r"verify\.json is not what runbook verify --json prints"):
        held.read(path)


@pytest.mark.parametrize("text", ["", "{", "[]\n", "null\n", "1\n2\n"])
def test_another_file_is_named_and_not_believed(tmp_path, text):
    path = tmp_path / "verify.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="make it again"):
        held.read(path)
