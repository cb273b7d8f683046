"""Addresses and ban patterns: what Mailman would take and not do what was meant.

Mailman accepts anything as an entry of a ban list. An entry that starts with ``^`` is
a regular expression, searched without regard to case; every other entry is compared
as a whole address (recording `patterns`). So ``.*@example.com`` bans nobody, ``^`` bans
everybody, and ``^evil.*@example.com`` bans strangers at ``example.com.evil.org``.
"""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.errors import BadInputError, short
from runbooks.limits import TooLongError, limited
from runbooks.refusals import (
    ADDRESS,
    BLANK,
    CONTROL,
    END,
    LONGEST_ADDRESS,
    Rule,
    first,
    is_address,
)

LONGEST_PATTERN = 500

#: Seconds of processor time for matching a pattern with all addresses that are tried.
PATIENCE = 2.0

_BLANK_BEFORE, _BLANK_BEHIND = (
    Rule(
        expression,
        f"{{text}} has a blank at its {end}: Mailman would take that for part of it",
    )
    for expression, end in ((rf"^{BLANK}", "start"), (rf"{BLANK}{END}", "end"))
)

_EMPTY = Rule(rf"^{BLANK}*{END}", "there is no address to ban: try target@example.com")

#: What no entry of a ban list is.
ENTRY_RULES = (
    _EMPTY,
    _BLANK_BEFORE,
    _BLANK_BEHIND,
    Rule(CONTROL, "{text} has a control character in it, and no address has"),
    Rule(
        r"[^\x00-\x7f]",
        "{text} is not ASCII: Mailman 2 knows no such addresses"
        " (a domain is written in its xn-- form)",
    ),
)

#: What nobody writes in an address and many write in a pattern.
_LIKE_A_PATTERN = Rule(
    r"[*|\\$()\[\]]|\.[+?]|^@", "{text} would ban nobody: a pattern starts with ^"
)

#: What no address is, of what is no pattern.
ADDRESS_RULES = (
    _LIKE_A_PATTERN,
    Rule(
        rf"^[\s\S]{{{LONGEST_ADDRESS + 1}}}",
        "{text} is not an address: it has {length} characters,"
        f" and addresses have at most {LONGEST_ADDRESS}",
    ),
    Rule(r"^-", "{text} is not an address that Mailman accepts: it starts with '-'"),
    Rule(f"^(?!{ADDRESS})", "{text} is not an address: try target@example.com"),
)

#: What cannot be anything but a pattern without its ``^``: nobody has such an address.
_MEANS_ANYBODY = re.compile(r"\A[.*+?]*@")

#: What the Pythons of Mailman 2.2 understand and Python 2.7, that of Mailman 2.1, does not.
_NOT_IN_PYTHON_2 = {
    r"\(\?>": "the atomic group (?>",
    r"\(\?[aiLmsux]*-[imsx]+:": "the flags switched off within (?-…:)",
    r"\(\?[aiLmsux]+:": "the flags for a part only (?i:…)",
    r"\(\?[iLmsux]*a[iLmsux]*\)": "the flag (?a)",
    r"(?<!\\)(?:[*+?]|\{\d*,?\d*\})\+": "the possessive repeat with a second +",
    r"(?<!\\)(?:\\\\)*\\N\{": r"the named character \N{",
    r"(?<!\\)(?:\\\\)*\\[uU][0-9a-fA-F]": r"the escape \u",
}

#: Addresses that nothing but a pattern for everybody has in common.
_STRANGERS = tuple(
    f"{local}@{domain}"
    for local, domain in zip(
        ["a", "zoe.quux", "0x7f", "_", "bob+list", "X-Y", "9", "q", "o'brien", "m_n", "fred"],
        ["b.co", "mail.xn--p1ai", "9.io", "a-b.example", "sub.domain.org", "q.net", "z.de"] * 2,
        strict=False,
    )
)


class EntryError(BadInputError):
    """Says, in one line, why something may not be banned.

    `bans`: whom it bans where it is in a ban list all the same: "nobody", "everybody", or "" where
    that is not known. `why`: what is wrong with it, in the words for an entry that is there.
    """

    def __init__(self, text: str, wrong: str, *, bans: str = "", why: str = "") -> None:
        super().__init__(f"{short(text)} {wrong}")
        self.bans = bans
        self.why = why or wrong


@dataclass(frozen=True)
class Entry:
    """An entry for a ban list that does what it says."""

    text: str
    warnings: tuple[str, ...] = ()
    #: the pattern that was probably meant, where `warnings` is not empty
    probably: str | None = None
    #: an address that the pattern matches, to ask a list about; None for a plain address
    sample: str | None = None
    #: the address that it is about; None for a pattern that somebody typed
    address: str | None = None

    @property
    def is_pattern(self) -> bool:
        return self.text.startswith("^")


def entry(text: str, *, force: bool = False) -> Entry:
    """Examine what is to be banned.

    Raises EntryError, with one line, for what Mailman would take and ban nobody or
    everybody. `force` lets a pattern pass that bans everybody, and one of which no matching
    address is found, which is a judgement. It never lets pass what Mailman cannot do.
    """
    rule = first(text, ENTRY_RULES)
    if rule is _EMPTY:
        raise BadInputError(rule.told(text))
    if rule in (_BLANK_BEFORE, _BLANK_BEHIND):
        meant = text.strip()
        raise EntryError(
            text,
            f"{_wrong(rule, text)}; did you mean {short(meant)}?",
            bans="nobody" if meant.startswith("^") and rule is _BLANK_BEFORE else "",
        )
    if rule is not None:
        nobody = "" if text.startswith("^") else "nobody"
        raise EntryError(text, _wrong(rule, text), bans=nobody)
    return _pattern(text, force) if text.startswith("^") else _address(text, force)


def with_suffixes(text: str) -> str:
    """The pattern for an address and every ``+suffix`` of it. Raises BadInputError."""
    local, _, domain = text.rpartition("@")
    base = local.partition("+")[0]
    if text.startswith("^") or not is_address(text) or not base:
        raise BadInputError(
            f"{short(text)} is not an address whose suffixes could be banned:"
            " try --suffixes target@example.com"
        )
    return rf"^{re.escape(base)}(\+.*)?@{re.escape(domain)}$"


def _address(text: str, force: bool) -> Entry:
    may_be_meant = force and is_address(text) and not _MEANS_ANYBODY.match(text)
    rule = first(text, ADDRESS_RULES)
    if rule is None or (rule is _LIKE_A_PATTERN and may_be_meant):
        return Entry(text, address=text)
    meant = _did_you_mean(text) if rule is _LIKE_A_PATTERN else ""
    wrong = f"{_wrong(rule, text)}{meant}"
    why = wrong.removeprefix("would ban nobody: ").removesuffix(": try target@example.com")
    raise EntryError(text, wrong, bans="nobody", why=why)


def _wrong(rule: Rule, text: str) -> str:
    """What is wrong with a text, without the text itself."""
    return rule.told(text).removeprefix(f"{short(text)} ")


def _meant(text: str) -> str:
    """The pattern that somebody meant who left out the ``^``, or the ``@``."""
    if domain := _BARE_DOMAIN.fullmatch(text):
        return _tightened(f"^.*@{domain[1]}$")
    text = re.sub(r"^\*", ".*", text.lstrip("^ "))
    if text.startswith("@"):
        text = ".*" + text
    return _tightened("^" + text)


def _pattern(text: str, force: bool) -> Entry:
    if len(text) > LONGEST_PATTERN:
        raise EntryError(
            text,
            f"is too long for a pattern: it has {len(text):,} characters, and"
            f" {LONGEST_PATTERN} are the most",
        )
    if re.search(r".\(\?[aiLmsux]+\)", text):
        raise EntryError(
            text,
            "sets flags within the pattern, which Python 3.11 and later refuse;"
            " leave them out: Mailman ignores case anyway",
        )
    unescaped = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "[]", text)
    for construct, name in _NOT_IN_PYTHON_2.items():
        if re.search(construct, unescaped):
            raise EntryError(
                text,
                f"has {name}, which Python 2.7 does not know: on Mailman 2.1 it would ban nobody",
            )
    if re.search(r"\{(?:\d*,)?\d{4,}\}|\{\d{4,},", unescaped):
        raise EntryError(
            text, "repeats something a thousand times or more, and no address is as long"
        )
    try:
        compiled = _compiled(text)
    except ValueError as e:
        # What stands in a ban list is for the Python of its host to judge.
        here = "under Python {}.{}".format(*sys.version_info)
        raise EntryError(
            text,
            f"does not compile ({e}): Mailman would skip it and ban nobody",
            why=f"does not compile {here} ({e})",
        ) from None
    if re.match(r"\^+(?:\\?@|\[@\])", text):
        why = f"nothing stands before the @{_did_you_mean(text)}"
        raise EntryError(text, f"would ban nobody: {why}", bans="nobody", why=why)
    try:
        with limited(PATIENCE, of_processor=True):
            spared = _spared(text, compiled)
            sample = _sample(text, compiled)
            for tried in _drawn_out(sample or ""):
                compiled.search(tried)
    except TooLongError:
        raise EntryError(
            text,
            "takes too long to match some addresses: it would hold up Mailman,"
            " which searches with it at each subscription; repeat nothing that repeats",
        ) from None
    if spared is None and not force:
        why = "matches every address"
        wrong = f"{why}: it would ban everybody (--force bans it anyway)"
        raise EntryError(text, wrong, bans="everybody", why=why)
    if sample is None and not force:
        why = "matches no address that could be found"
        meant = _did_you_mean(text)
        wrong = f"{why}: it would ban nobody{meant} (--force bans it anyway)"
        raise EntryError(text, wrong, bans="nobody", why=why + meant)
    found = []
    if spared is None:
        found.append("it matches every address, and bans everybody")
    elif spared:
        found.append(f"it matches every address except those like {spared}")
    elif _BARE_DOMAIN.fullmatch(text):
        found.append("it has no @, so it is about what stands before one, not about a domain")
        return Entry(text, tuple(found), _meant(text), sample)
    elif _domain_at(text) == len(text):
        found.append("it names no domain, so strangers everywhere may match")
    elif not _anchored(text):
        found.append("it is not anchored at the end, so longer domains match as well")
    if _unescaped_dot(text):
        found.append("an unescaped dot in the domain stands for any character")
    return Entry(text, tuple(found), _probably(text) if found else None, sample)


#: A domain, or its beginning, where a pattern for addresses is meant.
_BARE_DOMAIN = re.compile(r"\^((?:[-a-z0-9]+\\?\.)+[a-z]{2,})\$?", re.IGNORECASE)

#: What looks like an address or a domain within a pattern.
_LITERAL = re.compile(r"(?:[-\w+]+@)?(?:[-a-z0-9]+\\?\.)+[a-z]{2,}", re.IGNORECASE)


def _spared(text: str, compiled: re.Pattern[str]) -> str | None:
    """Whom a pattern that matches every stranger leaves out; None when that is nobody.

    "" for a pattern that some stranger does not match. "Only our domain", with a look-ahead
    (``^.+@(?!(?:.+\\.)?example\\.org$)``), is the most copied pattern there is: whom it spares
    is to be found in its own text.
    """
    if not all(compiled.search(stranger) for stranger in _STRANGERS):
        return ""
    for literal in _LITERAL.findall(text):
        plain = literal.replace("\\", "")
        for address in (plain, f"someone@{plain}"):
            if is_address(address) and not compiled.search(address):
                return address
    return None


def _drawn_out(sample: str) -> Iterator[str]:
    """Addresses on which a pattern that can repeat in several ways at once takes for ever."""
    local = sample.partition("@")[0]
    for part in dict.fromkeys([*local, local, *(local[-n:] for n in (2, 3)), "a", "ab1"]):
        if part:
            many = (part * 40)[:40]
            yield f"{many}!@{many}!"
            yield many + "!"


def _did_you_mean(text: str) -> str:
    meant = _meant(text)
    return f"; did you mean {shlex.quote(meant)}?" if meant != text and _works(meant) else ""


def _probably(text: str) -> str | None:
    """The pattern that was probably meant, when making `text` strict leaves one that matches."""
    tightened = _tightened(text)
    return tightened if tightened != text and _works(tightened) else None


def _works(text: str) -> bool:
    try:
        with limited(PATIENCE, of_processor=True):
            return _sample(text, _compiled(text)) is not None
    except (ValueError, TooLongError):
        return False


def _compiled(text: str) -> re.Pattern[str]:
    """The pattern as Mailman searches with it. Raises ValueError, with the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(text, re.IGNORECASE)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (re.error, OverflowError) as e:
        raise ValueError(str(e)) from None


def _anchored(text: str) -> bool:
    return bool(re.search(r"(?<!\\)(?:\\\\)*(?:\$|\\Z)\)*\Z", text))


def _domain_at(text: str) -> int:
    """Where the domain begins: behind the last ``@`` outside brackets, or the end."""
    place, depth, at = 0, 0, -1
    while place < len(text):
        c = text[place]
        if c == "\\":
            if text[place + 1 : place + 2] == "@":
                at = place + 1
            place += 2
            continue
        if c == "[":
            depth = 1
        elif c == "]":
            depth = 0
        elif c == "@" and not depth:
            at = place
        place += 1
    return at + 1 if at >= 0 else len(text)


#: A dot that stands alone, as the dot of a domain does: not escaped, not repeated, not in brackets.
_DOMAIN_DOT = re.compile(r"(\\.|\[(?:\\.|[^\]\\])*\])|\.(?![*+?{])")


def _unescaped_dot(text: str) -> bool:
    return any(m.group(1) is None for m in _DOMAIN_DOT.finditer(text[_domain_at(text) :]))


def _tightened(text: str) -> str:
    """`text` with the dots of the domain escaped, and anchored at the end."""
    start = _domain_at(text)
    domain = _DOMAIN_DOT.sub(lambda m: m.group(1) or r"\.", text[start:])
    return text[:start] + domain + ("" if _anchored(text) or not domain else "$")


def _sample(text: str, compiled: re.Pattern[str]) -> str | None:
    """An address that the pattern matches, or None when none was found."""
    import random

    import rstr

    makers = rstr.Rstr(random.Random(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(40):
            try:
                made = makers.xeger(text)
            # A construct that rstr cannot make an example of (a look-ahead, say).
            except (KeyError, ValueError, TypeError, IndexError, RuntimeError):
                break
            for candidate in _completed(made):
                if is_address(candidate) and compiled.search(candidate):
                    return candidate
    for candidate in _completed(re.sub(r"\\(.)|\(\?[^)]*\)|[\^$()\[\]?*+]", r"\1", text)):
        if is_address(candidate) and compiled.search(candidate):
            return candidate
    # A pattern that says whom it does not mean matches anybody else.
    return next((stranger for stranger in _STRANGERS if compiled.search(stranger)), None)


def _completed(made: str) -> list[str]:
    """Addresses that begin as `made` does: a pattern that is not anchored leaves the end open."""
    made = re.sub(r"[^-A-Za-z0-9!#%&'*+/=?_{}~.@]", "x", made)
    head, at, tail = made.partition("@")
    tail = tail.replace("@", "x")
    ends = ("", "m", ".example.com", "example.com", "x.example.com")
    made_whole = [f"{head}{at or '@'}{tail}{end}" for end in ends] + [f"{made}x@example.com"]
    if not at:
        # The @ may be hidden in a "matches anything": try it early in what was made.
        domain = re.sub(r"[^-A-Za-z0-9.]", "x", made)
        made_whole += [f"{made[:place]}@{domain[place:]}" for place in range(1, 6)]
        made_whole += [f"{made[:place]}@x{domain[place:].lstrip('.-')[-40:]}" for place in (1, 3)]
        made_whole += [f"{made[:1]}@x{domain[-n:]}" for n in range(2, 12)]
    return made_whole
