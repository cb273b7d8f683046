"""Which file is a script, and which function of it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.errors import BadInputError
from runbooks.onhost import source
from runbooks.scripted_change import run as withlist
from runbooks.scripted_change.run import OWN_SCRIPTS, read


def test_the_function_is_called_like_the_script(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def mine(m): pass\n")
    script = read(str(path), None, ["a b"])
    assert (script.module, script.function, script.is_own) == ("mine", "mine", False)
    assert str(script) == "mine.mine(m, 'a b')"
    assert read(str(path), "other").function == "other"


@pytest.mark.parametrize("name", OWN_SCRIPTS)
def test_a_script_that_comes_along_is_meant_where_no_file_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = read(name)
    assert script.is_own
    assert script.text.decode() == source(Path(name).stem)
    (tmp_path / name).write_text("x = 1\n")
    assert not read(name).is_own
    assert read(name).text == b"x = 1\n"


def test_what_is_no_script_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, named, large = tmp_path / "empty.py", tmp_path / "close-it.py", tmp_path / "large.py"
    empty.write_text(" \n")
    named.write_text("def close(m): pass\n")
    large.write_bytes(b"#" * (withlist.LARGEST + 1))
    for path, why in (
        (empty, "is empty"),
        (named, "'close-it' cannot be the name of a function; name it with --function"),
        (large, "has more than 1,000,000 bytes"),
        (tmp_path, "Is a directory"),
        (
            tmp_path / "absent.py",
            "No such file or directory (those that come with runbook: closing.py",
        ),
    ):
        with pytest.raises(BadInputError) as raised:
            read(str(path))
        assert why in str(raised.value)
        assert "\n" not in str(raised.value)
    assert read(str(named), "close").function == "close"
    with pytest.raises(BadInputError, match="does not end"):
        read("/dev/zero")
