# Reads and sets a list's description as text, in whatever form its state keeps it.
#
# Python 2.7 and 3, standard library alone.
from __future__ import print_function

import sys

PYTHON2 = sys.version_info[0] == 2


def description(m):
    """The description of a list, as text."""
    return as_text(m.description, charset_of(m))


def describe(m, text):
    """Set the description, unless it is `text` already. Why Mailman may show it wrongly, or ""."""
    charset = charset_of(m)
    value, shown = as_stored(text, charset)
    if as_text(value, charset) != as_text(m.description, charset):
        m.description = value
    if shown:
        return ""
    return ("the description is stored as UTF-8, and the list's language has the character set"
            " %s: Mailman may show it wrongly" % charset)


def given(text):
    """A parameter of the program, as text."""
    return text.decode("utf-8") if PYTHON2 else text


def as_text(value, charset):
    """The description that a list's state holds, as text.

    Python 2 keeps bytes: in the character set of the list's language, or in that of a file
    that somebody gave to config_list.
    """
    if not isinstance(value, bytes):
        try:
            value = value.encode("latin-1")  # written by Python 2, read by Python 3
        except UnicodeEncodeError:
            return value
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    for name in ("utf-8", charset, "latin-1"):
        try:
            return value.decode(name)
        except (UnicodeDecodeError, LookupError):
            pass


def as_stored(text, charset):
    """(what to store as description, whether the list's language can show it)."""
    if not PYTHON2:
        return text, True
    text = given(text)
    try:
        return text.encode(charset), True
    except (UnicodeEncodeError, LookupError):
        return text.encode("utf-8"), False


def charset_of(m):
    """The character set of the list's language, in which Mailman 2.1 keeps its texts."""
    from Mailman import Utils
    ask = getattr(Utils, "GetCharSet", None)
    return ask(m.preferred_language) if ask else "us-ascii"
