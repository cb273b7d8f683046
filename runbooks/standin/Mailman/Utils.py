"""Names of lists, mail addresses, and what a ban matches."""

import os
import re

from Mailman import Errors, StateFile, mm_cfg
from Mailman.Logging.Syslog import syslog


def list_exists(name):
    """Whether the installation has a list with this name. Capitals are not in the name of any."""
    if not _acceptable(name):
        return False
    folder = os.path.join(mm_cfg.LIST_DATA_DIR, name)
    return any(os.path.exists(os.path.join(folder, file)) for file in StateFile.NAMES)


def list_names():
    """The names of all lists, in the order of the directory."""
    return [name for name in os.listdir(mm_cfg.LIST_DATA_DIR) if list_exists(name)]


def check_list_name(name):
    """Raise BadListNameError unless a new list may be called `name`."""
    if not name or not _acceptable(name) or name.startswith("."):
        raise Errors.BadListNameError(name)


def _acceptable(name):
    return re.match("(%s)*\\Z" % mm_cfg.ACCEPTABLE_LISTNAME_CHARACTERS, name) is not None


def matching_pattern(address, patterns):
    """What in `patterns` matches `address`: the regular expression, or the address itself, or None.

    An entry that starts with `^` is a regular expression, searched without regard to case. One
    that does not compile matches nobody. Every other entry is a whole address, compared without
    regard to case after blanks around it are stripped.
    """
    for pattern in patterns:
        if pattern.startswith("^"):
            try:
                if re.search(pattern, address, re.IGNORECASE):
                    return pattern
            except re.error:
                syslog("error", "ban_list: bad regular expression: %s", pattern)
        elif pattern.strip().lower() == address.lower():
            return address
    return None


def ParseEmail(address):
    """`(user, [domain, parts])`, or `(address, None)` when there is no domain."""
    user, at, domain = address.partition("@")
    return (user, domain.split(".")) if at else (address, None)


def LCDomain(address):
    """The address with its domain in lower case; the part before it may be case sensitive."""
    user, at, domain = address.partition("@")
    return user + at + domain.lower()


def ValidateEmail(address):
    """Raise an EmailAddressError unless `address` is one full address and nothing else.

    Without an argument for what is no address at all (empty, or with blanks), else with the
    address, as newlist shows it.
    """
    if not address or re.search(r"\s", address):
        raise Errors.MMBadEmailError()
    user, domain = ParseEmail(address)
    if not domain or not user or not all(domain):
        raise Errors.MMBadEmailError(address)
    if re.search(r"[][()<>|:;,\\\"^@\x00-\x1f\x7f]", user) or not re.match(
        r"[-0-9a-z.]+\Z", ".".join(domain), re.IGNORECASE
    ):
        raise Errors.MMHostileAddress(address)


def sha_hexdigest(password):
    """A password as a list's state keeps it."""
    import hashlib

    if not isinstance(password, bytes):
        password = password.encode("utf-8", "surrogateescape")
    return hashlib.sha1(password).hexdigest()


def get_domain():
    """The mail host of a list that names none."""
    return mm_cfg.DEFAULT_EMAIL_HOST
