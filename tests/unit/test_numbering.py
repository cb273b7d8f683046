"""Numbers on their way from the host: what is told is what is heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.mailman.numbering import heard
from runbooks.onhost.numbering import told


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([0], "0"), ([0, 1, 2], "0-2"), ([0, 2, 3, 7], "0,2-3,7")],
)
def test_neighbours_are_told_as_one(numbers, text):
    assert told(numbers) == text
    assert heard(text) == tuple(numbers)


@given(st.sets(st.integers(0, 500)))
def test_what_is_told_is_what_is_heard(numbers):
    assert heard(told(sorted(numbers))) == tuple(sorted(numbers))


def test_ten_thousand_that_follow_each_other_take_seven_characters():
    assert told(range(10_000)) == "0-9999"


@pytest.mark.parametrize("text", ["x", "1-", "-1", "1,,2"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="invalid literal"):
        heard(text)
