"""Reads which of many things are meant, as `onhost/numbering.py` says it: ``0-3,7``."""

from __future__ import annotations


def heard(text: str) -> tuple[int, ...]:
    """The numbers, in rising order. Raises ValueError."""
    found: list[int] = []
    for span in text.split(",") if text else ():
        first, dash, last = span.partition("-")
        found.extend(range(int(first), int(last if dash else first) + 1))
    return tuple(found)
