"""What a text must not be: the data that the command and the page share."""

from __future__ import annotations

import re
import sys

import pytest

from runbooks.errors import BadInputError
from runbooks.host.host import Host
from runbooks.refusals import BLANK, Rule, check, first


def test_a_blank_is_what_python_strips():
    everything = [chr(code) for code in range(sys.maxunicode + 1)]
    assert [one for one in everything if re.fullmatch(BLANK, one)] == [
        one for one in everything if one.isspace()
    ]


def test_the_first_rule_that_refuses_a_text_gives_the_reason():
    rules = (Rule("b", "{text} has a b"), Rule("a", "{length} characters, {given}, {scheme}"))
    assert first("c", rules) is None
    check("c", rules)
    with pytest.raises(BadInputError, match=r"^'ab' has a b$"):
        check("ab", rules)
    with pytest.raises(BadInputError, match=r"^1,006 characters, x://a{1002}, x$"):
        check("x://" + "a" * 1002, rules)


@pytest.mark.parametrize("given", ["lists", "root@lists.example.org"])
def test_what_is_the_name_of_a_machine_is_suggested_with_ssh(given):
    with pytest.raises(BadInputError, match=f"try ssh://{given}, docker://ID, local://"):
        Host(given)


@pytest.mark.parametrize("given", ["a b", "-oProxyCommand=id", "$(id)", "root@"])
def test_nothing_else_is(given):
    with pytest.raises(BadInputError, match="try ssh://NAME, local://"):
        Host(given)
