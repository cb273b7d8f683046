"""Builds a practice site: sites of the stand-in in a folder, with something wrong on them.

No root, no container. The lists, their members and the stale lock are made by the
stand-in's own programs, as on a server.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runbooks.book.whose import WrittenSite, whose
from runbooks.clear_lock import page as clear_lock
from runbooks.errors import BadInputError, short
from runbooks.host.host import Host
from runbooks.mailman.installation import SITES_FILE, discover
from runbooks.standin.install import install, make_site

#: Lists that there are only here, so that there is something to choose from.
_MORE = (("i18n", "operators", "security"), ("jobs", "security"))


def _lists(site: WrittenSite) -> tuple[str, ...]:
    """A few that the page knows, on the first site the one that it adds, and more."""
    is_first = site is whose().first
    added = (whose().examples.list,) if is_first else ()
    more = [f"{site.name}-{word}" for word in _MORE[0 if is_first else 1]]
    apart = ("release-team",) if is_first else ()
    known = (site.first_list, *site.lists[:2])
    return tuple(dict.fromkeys((*known, *added, *more, *apart)))


SITES = {site.name: _lists(site) for site in whose().sites}

#: Whom a script has subscribed to every list.
TARGET = "target@example.com"

#: The list that a process locked and died.
STALE_LIST = whose().examples.list

_MM_CFG = """\
# Several sites, one tree each: MAILMAN_SITE_DIR says which.
from __future__ import print_function
import os
import sys
from Mailman.Defaults import *

if 'MAILMAN_SITE_DIR' not in os.environ:
    print('Please set MAILMAN_SITE_DIR')
    sys.exit(0)

VAR_PREFIX = os.environ['MAILMAN_SITE_DIR']
LIST_DATA_DIR = os.path.join(VAR_PREFIX, 'lists')
LOCK_DIR = os.path.join(VAR_PREFIX, 'locks')
LOG_DIR = os.path.join(VAR_PREFIX, 'logs')
DATA_DIR = os.path.join(VAR_PREFIX, 'data')
QUEUE_DIR = os.path.join(VAR_PREFIX, 'qfiles')
PUBLIC_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, 'archives', 'public')
PRIVATE_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, 'archives', 'private')
MAILMAN_USER = {user!r}
MAILMAN_GROUP = {group!r}
DEFAULT_EMAIL_HOST = DEFAULT_URL_HOST = {domains!r}.get(
    os.path.basename(VAR_PREFIX), 'lists.example.org')
MTA = None
"""


@dataclass(frozen=True)
class PracticeSite:
    """A practice site in a folder."""

    folder: Path

    @property
    def spec(self) -> str:
        return f"practice:{self.folder}"

    def site_dir(self, site: str) -> Path:
        return self.folder / "srv" / "mailman" / site

    def run(self, site: str, *argv: str, stdin: str = "") -> str:
        """Run one of the stand-in's programs on a site; its output. Raises CalledProcessError."""
        return subprocess.run(
            [str(self.folder / "bin" / argv[0]), *argv[1:]],
            env={**os.environ, "MAILMAN_SITE_DIR": str(self.site_dir(site))},
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def befall(self, script: str) -> None:
        """Run the script of an event. Raises CalledProcessError when it did not come to it."""
        subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)


def create(folder: Path, python: str = sys.executable) -> PracticeSite:
    """Make a practice site in `folder`, which is created or empty, for the interpreter `python`.

    Raises BadInputError when the folder is in use, or cannot be one.
    """
    folder = folder.absolute()
    if not str(folder).isprintable() or "#" in str(folder):
        # Neither can be written into the file of the sites.
        raise BadInputError(f"{short(str(folder))} has a character that cannot be used")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInputError(f"{folder} is not empty: name a folder that does not exist yet")
    except OSError as e:
        raise BadInputError(f"{folder} cannot be made: {e.strerror}") from e
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        raise BadInputError(
            "you have no user name or group name here, and Mailman's user must have both"
        ) from None
    # Not the link in a virtual environment, whose path may have blanks in it.
    interpreter = os.path.realpath(python)
    domains = {one.name: one.domain for one in whose().sites}
    install(
        str(folder),
        python=interpreter,
        mm_cfg=_MM_CFG.format(user=user, group=group, domains=domains),
    )
    site = PracticeSite(folder)
    sites_file = Path(f"{folder}{SITES_FILE}")
    sites_file.parent.mkdir(parents=True)
    sites_file.write_text(
        "".join(f"{one.domain}: {site.site_dir(one.name)}\n" for one in whose().sites)
    )
    for name, lists in SITES.items():
        make_site(str(site.site_dir(name)))
        for number, one in enumerate(lists):
            site.run(name, "newlist", "-q", one, whose().examples.administrator, "practice")
            members = [f"member{n}@example.org" for n in range(number * 5, number * 5 + 12)]
            site.run(
                name,
                *("add_members", "-r", "-", "-w", "n", "-a", "n", one),
                stdin="\n".join([*members, TARGET, ""]),
            )
    host = Host(site.spec)
    locked = clear_lock.ClearArguments(STALE_LIST, whose().first.name)
    site.befall(clear_lock.befalls(discover(host), locked).script)
    host.close()
    return site
