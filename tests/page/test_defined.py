"""What is printed knows where it is defined, and is what it is wherever that is."""

from __future__ import annotations

import re
from dataclasses import replace

from runbooks.book.defined import Defined
from runbooks.book.records import text_hash
from runbooks.mailman.printed import by_command, steps_of
from runbooks.procedures import all_procedures
from tests.page.conftest import ROOT


def test_every_step_and_every_procedure_knows_its_line():
    for procedure in all_procedures():
        for one in (*by_command(procedure), *steps_of(procedure)):
            path, _, number = str(one.defined).partition(":")
            line = (ROOT / path).read_text(encoding="utf-8").splitlines()[int(number) - 1]
            assert re.search(r"\b(Step|Procedure)\($", line), f"{one.defined}: {line}"
        assert by_command(procedure)[0].defined == procedure.defined


def test_no_record_changes_with_the_line():
    steps = steps_of(all_procedures()[0])
    moved = [replace(step, defined=Defined("/elsewhere.py", 7)) for step in steps]
    assert text_hash(moved, moved) == text_hash(steps, steps)
