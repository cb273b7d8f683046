"""The page on practising: its commands, one after the other, as a newcomer types them."""

from __future__ import annotations

import os

import pytest

from runbooks.procedures import all_procedures
from runbooks.testing.page import reader
from runbooks.testing.page.pages import Page

#: What the page tells a newcomer to answer: yes, and any password.
ANSWERS = {r"\[y/N\] ": "y", r"(Password [^:]*|Repeat for confirmation): ": "practice"}


@pytest.mark.timeout(900)
def test_every_command_of_the_page_works(built, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(reader, "PATIENCE", 600)
    blocks = Page(built, "practice").blocks
    commands = [block.text for block in blocks if block.kind == "command"]
    assert len(commands) > 5
    temporary = tmp_path_factory.mktemp("temporary")
    environment = {"HOME": str(tmp_path), "TMPDIR": str(temporary)}
    exports = []
    for command in commands:
        if command.startswith("export "):
            exports.append(command)
            continue
        printed = reader.by_command(
            "\n".join([*exports, command]), "", environment, tmp_path, always=ANSWERS
        )
        # A list that is locked is named with the command that helps, and the status is 1.
        assert printed.status == 0 or (printed.status == 1 and "→ runbook" in printed.text), (
            f"{command}: exit status {printed.status}\n{printed.text}"
        )
        assert "Traceback" not in printed.text
        if command == "runbook practice":
            assert printed.status == 0
            shows_each_procedure_both_ways(printed.text)
            assert not os.listdir(temporary)
        if command.startswith("runbook practice new"):
            assert (tmp_path / "practice" / "bin" / "withlist").is_file()
    assert not os.listdir(tmp_path), "the page has the reader remove what it had them make"


def shows_each_procedure_both_ways(text):
    for number, procedure in enumerate(all_procedures(), 1):
        assert f"\n{number}. {procedure.title}\n" in text
    # A ban on every list of both sites.
    assert "11 lists banned and read back" in text
    assert "11 lists: ban_list + target@example.com" in text
    assert "not done" not in text
    assert "each procedure ended in the same state" in text


def test_every_block_of_the_page_is_run(built):
    """What installs the command is on another page, and run by tests/page/test_installing.py."""
    assert {block.kind for block in Page(built, "practice").blocks} == {"command"}
