"""What a text must not be, written as data.

The command applies these rules, and so does a page in the reader's browser: a rule is an
expression that Python and JavaScript (with its flag ``u``) understand alike, and the reason that a
reader is told. JavaScript has no ``\\Z``, and ``$`` means two things: `END` is the end of the text.
Letters are spelled out in both cases, since the two do not agree on what a case is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from runbooks.errors import BadInputError, short

END = r"(?![\s\S])"

#: What Python's str.strip() takes off.
BLANK = r"[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"

CONTROL = r"[\x00-\x1f\x7f]"


@dataclass(frozen=True)
class Rule:
    """A text in which `refuses` is found will not do."""

    refuses: str
    #: ``{text}`` is the text as a message shows it, ``{given}`` as it is, ``{length}`` the number
    #: of its characters, ``{scheme}`` what stands before its first ``://``
    reason: str

    def is_met_by(self, text: str) -> bool:
        return re.search(self.refuses, text) is not None

    def told(self, text: str) -> str:
        """The reason, for this text."""
        return self.reason.format(
            text=short(text),
            given=text,
            length=f"{len(text):,}",
            scheme=text.partition("://")[0],
        )


def first(text: str, rules: Iterable[Rule]) -> Rule | None:
    """The first of the rules that refuses `text`."""
    return next((rule for rule in rules if rule.is_met_by(text)), None)


def check(text: str, rules: Iterable[Rule]) -> None:
    """Raise BadInputError with the reason of the first rule that refuses `text`."""
    rule = first(text, rules)
    if rule is not None:
        raise BadInputError(rule.told(text))


#: What Mailman 2 lets a list name consist of, once it is lower-cased and stripped (recording
#: `newlist`).
LIST_RULES = (
    Rule(
        rf"^(?![-a-z0-9_+=][-a-z0-9_.+=]{{0,199}}{END})",
        "{text} cannot be the name of a list: names are letters, digits and - _ . + =",
    ),
)

#: Longer ones are no addresses (RFC 5321: 64 for the local part, 255 for the domain).
LONGEST_ADDRESS = 254

#: One full address that Mailman would subscribe. Before the @ there is nothing that Mailman refuses
#: in a member's address, and so hardly anything that a shell would make something of (recording
#: `banned_subscribe` shows one of them).
ADDRESS = (
    rf"^(?!-)(?=[\s\S]{{3,{LONGEST_ADDRESS}}}{END})[!#%&'*+./0-9=?A-Z_a-z{{}}~-]+@"
    rf"(?=[\s\S]{{1,253}}{END})(?:[A-Za-z0-9](?:[-A-Za-z0-9]{{0,61}}[A-Za-z0-9])?\.)+"
    rf"[A-Za-z0-9][-A-Za-z0-9]{{0,61}}[A-Za-z0-9]{END}"
)


def is_address(text: str) -> bool:
    """Whether `text` is one full address that Mailman would subscribe."""
    return re.search(ADDRESS, text) is not None
