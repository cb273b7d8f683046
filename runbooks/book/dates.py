"""Sentences with dates in them, as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

#: A sentence, or a part of one, with dates in it; those that have a time of day have a zone too.
Words = tuple[str | date, ...]


def written(moment: date) -> str:
    """``26 November 2026``, or ``26 November 2026, 08:09 UTC``"""
    day = f"{moment.day} {moment:%B %Y}"
    return f"{day}, {moment:%H:%M} {moment.tzname()}" if isinstance(moment, datetime) else day


def plain(words: Words) -> str:
    """The words as text."""
    return "".join(word if isinstance(word, str) else written(word) for word in words)


def joined(parts: Sequence[Words], between: str) -> Words:
    """Several as one."""
    found: list[str | date] = []
    for part in parts:
        found += [between, *part] if found else part
    return tuple(found)
