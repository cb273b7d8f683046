"""What was printed, line by line, beside what has to be."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from runbooks.book.expected import Line, Part, Untrue, fault, judged


class Server:
    """Three lists, of which nothing is true of the last."""

    def subjects(self, part: Part) -> Sequence[tuple[str, str]]:
        return [(name, name) for name in ("a", "b", "c")]

    def value(self, part: Part, subject: str | None) -> str:
        if subject == "c":
            raise Untrue("c is gone")
        return "2"


def signs(lines: Sequence[Line]) -> str:
    return "".join(line.sign for line in lines)


def test_each_line_is_told_apart() -> None:
    shows = "first\n{LIST:a}: {POLICY:1}\n{MORE}\nlast"
    found = judged(shows, "first\nb: 2\na: 3\nlast\n", Server())
    assert found == [
        Line(" ", "first"),
        Line(" ", "b: 2"),
        Line("+", "a: 3"),
        Line("-", "a: 2"),
        Line("!", "c is gone"),
        Line(" ", "last"),
    ]
    assert fault(shows, "first\nb: 2\na: 3\nlast\n", Server()) == "c is gone"


def test_warnings_may_be_any_number() -> None:
    shows = "{WARNINGS:Warning: …}\nlast"
    assert signs(judged(shows, "Warning: x\nWarning: y\nlast", Server())) == "   "
    assert signs(judged(shows, "last\nWarning: x", Server())) == " +"
    assert signs(judged(shows, "last", Server())) == " "


@given(st.lists(st.sampled_from(["x", "y", "z"]), max_size=6), st.data())
def test_only_what_is_the_same_is_as_it_has_to_be(lines: list[str], data: st.DataObject) -> None:
    printed = data.draw(st.lists(st.sampled_from(["x", "y", "z"]), max_size=6))
    found = judged("\n".join(lines), "\n".join(printed), Server())
    assert (set(signs(found)) <= {" "}) == (lines == printed)
    assert [line.text for line in found if line.sign in " +"] == printed
    assert (fault("\n".join(lines), "\n".join(printed), Server()) == "") == (lines == printed)
