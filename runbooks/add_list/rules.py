"""What a new list may be called, who may run it, and how it may be described and protected.

Mailman's own rules (recording `newlist`), and those that it does not have and that mail needs.
"""

from __future__ import annotations

from collections.abc import Iterable

from runbooks.errors import BadInputError, short
from runbooks.mailman.installation import list_name
from runbooks.refusals import Rule, is_address
from runbooks.terminal import secret

#: ``NAME-SUFFIX`` is an address of the list NAME. newlist takes such a name all the same, and
#: the mail to it then goes to the other list.
SUFFIXES = (
    "admin",
    "bounces",
    "confirm",
    "join",
    "leave",
    "owner",
    "request",
    "subscribe",
    "unsubscribe",
)

#: Of what can name a list.
NOT_AN_OPTION = Rule("^-", "{text} starts with '-', which newlist takes for an option")

#: Before the @ an address has at most 64 characters (RFC 5321, 4.5.3.1.1).
LONGEST_NAME = 64 - len("-unsubscribe")

#: A description stands in the List-Id header of every mail, in a line of at most 998 bytes
#: (RFC 5322, 2.1.1) with the list's address.
LONGEST_DESCRIPTION = 700

#: The environment variable that may hold a new list's password.
PASSWORD_VARIABLE = "RUNBOOK_LIST_PASSWORD"


def name(text: str) -> str:
    """The name of a list that is to be made. Raises BadInputError."""
    if "@" in text:
        raise BadInputError(
            f"{short(text)} has an @, and the name of a list has none: try {text.partition('@')[0]}"
            " (--site names the site)"
        )
    found = list_name(text)
    if NOT_AN_OPTION.is_met_by(found):
        raise BadInputError(NOT_AN_OPTION.told(text))
    if len(found) > LONGEST_NAME:
        raise BadInputError(
            f"{short(text)} has {len(found)} characters: {LONGEST_NAME} at most, since"
            " NAME-unsubscribe is an address of the list"
        )
    owner, suffix = _split(found)
    if suffix:
        raise BadInputError(f"{found} is an address of the list {owner}: -{suffix} is taken")
    return found


def _split(name: str) -> tuple[str, str]:
    """``("openstack-foo", "admin")`` for openstack-foo-admin; no suffix for other names."""
    owner, _, suffix = name.rpartition("-")
    return (owner, suffix) if owner and suffix in SUFFIXES else (name, "")


def check_free(name: str, known: Iterable[str], where: str) -> None:
    """Raise BadInputError when `name`, or an address of that list, is a list of `known` already."""
    for other in known:
        if other.lower() == name:
            spelled = "" if other == name else f", spelled {other}"
            raise BadInputError(f"{where} has the list {name} already{spelled}")
        if _split(other.lower()) in ((name, suffix) for suffix in SUFFIXES):
            raise BadInputError(f"{where} has the list {other}, which is an address of {name}")


def admin(text: str) -> str:
    """The address of a list's administrator. Raises BadInputError."""
    if is_address(text):
        return text
    if not text.strip():
        raise BadInputError("the administrator's address is empty: try --admin admin@example.com")
    if text.count("@") > 1:
        raise BadInputError(
            f"{short(text)} is not one address: name one administrator here, and add the others"
            " on the list's own page"
        )
    raise BadInputError(
        f"{short(text)} is not a full address: the administrator is someone like admin@example.com"
    )


def description(text: str) -> str:
    """A list's description. Raises BadInputError."""
    if not text.strip():
        raise BadInputError("the description is empty: say in a few words what the list is for")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise BadInputError(f"the description {short(text)} is not UTF-8") from None
    if any(not c.isprintable() for c in text):
        raise BadInputError(
            f"the description {short(text)} has a line break or another control character in it:"
            " it is one line"
        )
    if text != text.strip():
        raise BadInputError(f"the description {short(text)} has a blank at its start or end")
    if size > LONGEST_DESCRIPTION:
        raise BadInputError(
            f"the description has {size:,} bytes: it stands in a header of every mail, and"
            f" {LONGEST_DESCRIPTION} are the most"
        )
    return text


def host_name(text: str, option: str) -> str:
    """The name of a host that a list's addresses or pages are on. Raises BadInputError."""
    if not is_address(f"list@{text}"):
        raise BadInputError(f"{option} {short(text)} is not the full name of a host")
    return text


def password(text: str, source: str) -> bytes:
    """A list's password, as newlist reads it. Raises BadInputError, which never shows it."""
    if not text:
        raise BadInputError(f"the password from {source} is empty, which newlist refuses")
    if not text.isascii() or not text.isprintable():
        raise BadInputError(
            f"the password from {source} has a character that is not printable ASCII: a line"
            " break, or a letter that not every browser sends in the same way"
        )
    return text.encode("ascii")


def password_from_file(path: str) -> tuple[bytes, str]:
    """The password in a file, which is its one line, and a warning or "". Raises BadInputError."""
    text, warning = secret.line(path, "password")
    return password(text, path), warning
