"""What the tests of the pages are tried with: each mutant applies to the files as they are now."""

from __future__ import annotations

import pytest

from tests.page import mutants
from tests.page.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_leaves_a_file_that_compiles(mutant):
    text = mutant.spoiled(ROOT)
    if mutant.path.endswith(".py"):
        compile(text, mutant.path, "exec")
    assert (ROOT / mutant.tests[0]).is_file()


def test_each_has_a_name_of_its_own():
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("old", "new"), [("nowhere", "there"), ("the", "The"), (":tocdepth:", ":tocdepth:")]
)
def test_one_that_does_not_apply_is_told(old, new):
    with pytest.raises(ValueError, match=r"it changes nothing|times in"):
        Mutant("a name", mutants.PAGE, old, new).spoiled(ROOT)


def test_a_name_that_no_mutant_has_is_an_error(capsys):
    with pytest.raises(SystemExit) as ended:
        mutants.main(["a step remvoed"])
    assert ended.value.code == 2
    assert "there is no mutant 'a step remvoed'" in capsys.readouterr().err
