"""reStructuredText of the pages as a terminal shows it."""

from __future__ import annotations

import re

_TITLED = re.compile(r":ref:`([^`<]+?)\s*<([^`>]+)>`")
_REF = re.compile(r":ref:`([^`<]+)`")
_MARKUP = re.compile(r"``|:\w+:(?=`)|`|\*\*?(?=\S)|(?<=\S)\*\*?")


def plain(text: str) -> str:
    """`text` without its markup; a reference with the anchor that it leads to."""
    text = _TITLED.sub(r"\1 (#\2)", text)
    return _MARKUP.sub("", _REF.sub(r"#\1", text))
