"""catch_up.py, the file that the page has its readers create, on the stand-in of every Python."""

from __future__ import annotations

import json

import pytest

from runbooks.onhost import source

SHOW = "print(repr(sorted(MailList.MailList(sys.argv[1], lock=0).ban_list)))"
SET = """
m = MailList.MailList(sys.argv[1], lock=0)
m.Lock()
m.ban_list = [str(e) for e in __import__('json').loads(sys.argv[2])]
m.created_at -= float(sys.argv[3])
m.Save()
m.Unlock()
"""


@pytest.fixture
def program(site):
    (site.installation / "bin" / "catch_up.py").write_text(source("catch_up"))
    return site


def make(site, bans: dict[str, list[str]], older: float = 0) -> None:
    for name, entries in bans.items():
        site.new_list(name)
        site.code(SET, name, json.dumps(entries), str(older))


def catch_up(site, function: str = "catch_up") -> str:
    return site.run("withlist", "-q", "-r", function, "new")


def test_what_all_others_refuse(program):
    make(
        program,
        {
            "a": ["t@example.com", "only-a@example.com", "^p@x$", "S@example.com"],
            "b": ["^p@x$", "T@Example.com ", "^s@example\\.com$"],
        },
    )
    program.new_list("new")
    assert catch_up(program, "catch_up.missing") == "new: lacks t@example.com ^p@x$ S@example.com\n"
    assert program.code(SHOW, "new") == "[]\n"
    assert catch_up(program) == "new: banned t@example.com ^p@x$ S@example.com\n"
    assert program.code(SHOW, "new") == "['S@example.com', '^p@x$', 't@example.com']\n"
    assert catch_up(program) == "new: nothing to ban\n"
    # The other lists are as they were.
    assert program.code(SHOW, "b") == "['T@Example.com ', '^p@x$', '^s@example\\\\.com$']\n"


def test_what_the_list_refuses_already_is_left_alone(program):
    entries = ["t@example.com", "s@example.com", "global@example.com"]
    make(program, {"a": entries, "new": ["^t@", "S@Example.Com"]})
    assert catch_up(program) == "new: nothing to ban\n"


def test_one_list_that_does_not_is_enough(program):
    make(program, {"a": ["t@example.com"], "b": ["x@example.com"]})
    program.new_list("new")
    assert catch_up(program) == "new: nothing to ban\n"


def test_lists_of_one_go_do_not_count(program):
    """Two lists that Puppet makes in one run must not keep each other from catching up."""
    make(program, {"a": ["t@example.com"]})
    program.new_list("new")
    program.new_list("twin")
    assert catch_up(program) == "new: banned t@example.com\n"


def test_an_older_list_without_bans_counts(program):
    make(program, {"a": ["t@example.com"]})
    make(program, {"old": []}, older=25 * 60 * 60)
    program.new_list("new")
    assert catch_up(program) == "new: nothing to ban\n"


def test_a_list_of_its_own(program):
    program.new_list("new")
    assert catch_up(program) == "new: nothing to ban\n"


def test_a_corrupt_list_is_named_and_left_out(program):
    make(program, {"a": ["t@example.com"]})
    program.new_list("new")
    program.new_list("zz")
    (program.folder("zz") / "config.pck").write_bytes(b"nonsense")
    assert catch_up(program).splitlines()[0].startswith("zz: corrupt, left out: ")
    assert program.code(SHOW, "new") == "['t@example.com']\n"


def test_a_list_that_has_just_been_removed_is_left_out(program):
    make(program, {"a": ["t@example.com"]})
    program.new_list("new")
    called = (
        "import catch_up\ncatch_up.Utils.list_names = lambda: ['a', 'gone', 'new']\n"
        "catch_up.catch_up(MailList.MailList('new', lock=0))"
    )
    assert program.code(called) == "new: banned t@example.com\n"


def test_an_unknown_list(program):
    process = program.start(
        str(program.installation / "bin" / "withlist"), "-q", "-r", "catch_up", "nosuch"
    )
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.strip() == "Unknown list: nosuch"


def test_a_locked_list(program):
    make(program, {"a": ["t@example.com"]})
    program.new_list("new")
    hold = program.start_code(
        "m = MailList.MailList('new', lock=1); print('held'); sys.stdout.flush(); time.sleep(60)"
    )
    assert hold.stdout is not None
    assert hold.stdout.readline() == "held\n"
    called = "import catch_up\ncatch_up.catch_up(MailList.MailList('new', lock=0), 0.5)"
    assert program.code(called) == "new: locked by another process, not changed\n"
    assert program.code(SHOW, "new") == "[]\n"
