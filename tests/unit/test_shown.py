"""What the pages show of a terminal: columns, numbers and names of whose page it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runbooks.book import expected
from runbooks.book.whose import VARIABLE
from runbooks.terminal import shown

ANOTHER = Path(__file__).resolve().parents[1] / "page" / "another.toml"

#: Prints what the page shows of ``runbook unsubscribe``, whose outputs have all the parts.
PRINT = """\
from runbooks.book import expected
from runbooks.scripted_change.page import VICTIMS
from runbooks.unsubscribe.page import PROCEDURE
print(expected.as_shown(PROCEDURE.shows), expected.as_shown(VICTIMS.shows), sep="\\n\\n")
"""

SHOWN = """\
mx-7 · Mailman 2.1.39 · 3 sites, 11 lists
  gamma-rays  5 lists  5 to unsubscribe from
  be          2 lists  2 to unsubscribe from
  acme        4 lists  4 to unsubscribe from
  target@example.com  member of 8 lists, 6 confirmations and 6 held requests waiting
Unsubscribe target@example.com from 11 lists? [y/N] y
━━━━━━━━━━━━━━━━━━━━ 11/11 0:00:01
unsubscribed from 11 lists and read back
recorded as 20261122-052801-4f9a1c in mx-7:/srv/mailman/gamma-rays/runbook/journal.jsonl
to take it back: runbook undo 20261122-052801-4f9a1c --host ssh://root@lists.acme.example

mx-7 · Mailman 2.1.39 · 3 sites, 11 lists
  gamma-rays  5 lists
  be          2 lists
  acme        4 lists
  waiting.who(m), which comes with runbook, compiles under Python 2.7.18 there
Run waiting.who on 11 lists? [y/N] y
all (gamma-rays): target@example.com
…
━━━━━━━━━━━━━━━━━━━━ 11/11 0:00:01
11 lists: 11 unchanged
recorded as 20261122-052801-4f9a1c in mx-7:/srv/mailman/gamma-rays/runbook/journal.jsonl
"""


def test_the_outputs_are_those_of_the_sites_and_lists_of_the_file():
    done = subprocess.run(
        [sys.executable, "-c", PRINT],
        env={**os.environ, VARIABLE: str(ANOTHER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (SHOWN, "")


def test_columns_are_as_wide_as_what_is_shown_of_them():
    text = shown.table(
        [
            ("a", expected.placeholder("LISTS", "somewhere", shown="4"), "x"),
            ("bcd", "1,000 lists", "y"),
        ]
    )
    assert expected.as_shown(text) == "  a    4            x\n  bcd  1,000 lists  y"


def test_a_number_has_the_noun_that_fits_it():
    assert shown.counted("{MEMBERSHIPS a@b.org:1}", 1, "list") == "{MEMBERSHIPS a@b.org:1} list"
    assert shown.counted("{MEMBERSHIPS a@b.org:2}", 2, "list") == "{MEMBERSHIPS a@b.org:2} lists"
