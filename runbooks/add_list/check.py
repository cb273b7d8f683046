"""A list as it is on the host, compared with how it is to be."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from runbooks.add_list import rules as new_list
from runbooks.add_list.manifest.insertion import Value
from runbooks.errors import BadInputError, HostError
from runbooks.mailman.events import Aliases, Looked
from runbooks.mailman.installation import Installation, Site

#: Where a mail server and Puppet have the aliases.
ALIASES_FILE = "/etc/aliases"


@dataclass(frozen=True)
class Wanted:
    """How a list is to be. None: nothing was said of it.

    A `Value` without a text stands in a manifest as something that only Puppet can tell.
    """

    name: str
    admin: str | Value | None = None
    description: str | Value | None = None
    mail_host: str | Value | None = None
    web_host: str | Value | None = None
    #: a manifest declares it as `maillist`, for which Puppet writes mail aliases
    by_maillist: bool = False


#: What became of one point of the check.
GOOD, MISSING, UNKNOWN = "good", "missing", "unknown"


@dataclass(frozen=True)
class Finding:
    """One point of the check."""

    what: str
    #: `GOOD`, `MISSING`, or `UNKNOWN`: there is nothing to compare it with
    state: str
    detail: str
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A list as it was seen on the host."""

    site: Site
    wanted: Wanted
    #: the on-host program's answer
    said: Looked
    #: its answers about files of aliases
    aliases: tuple[Aliases, ...] = ()
    #: Mailman's
    version: str = ""

    @property
    def exists(self) -> bool:
        return self.said.exists and self.said.unreadable is None

    @property
    def description(self) -> str | None:
        """The description that is to be set, or None when it is as it should be."""
        wanted = self.wanted.description
        if not self.exists or not isinstance(wanted, str):
            return None
        return wanted if self.said.description != wanted else None

    @property
    def lacking(self) -> list[str]:
        """What every other list of the site refuses, and this one does not."""
        return list(self.said.lacking) if self.exists else []

    @property
    def findings(self) -> list[Finding]:
        """The check, point by point."""
        if not self.said.exists:
            return [Finding("list", MISSING, f"{self.wanted.name} is not on {self.site.name}")]
        if not self.exists:
            return [Finding("list", MISSING, f"it cannot be read: {self.said.unreadable}")]
        return [
            Finding("list", GOOD, self.said.note or f"it is on {self.site.name}"),
            self._owner(),
            self._host("mail host", self.wanted.mail_host, self.said.mail_host, "mail"),
            self._host(
                "web host",
                self.wanted.web_host,
                urlsplit(self.said.web_page_url).hostname or "",
                "url",
            ),
            self._described(),
            self._aliases(),
            self._bans(),
        ]

    @property
    def is_good(self) -> bool:
        return all(finding.state != MISSING for finding in self.findings)

    def _owner(self) -> Finding:
        owners, wanted = self.said.owner, self.wanted.admin
        shown = ", ".join(owners) or "nobody"
        if wanted is None:
            return Finding("owner", UNKNOWN, f"{shown}; nothing says who it should be")
        if isinstance(wanted, Value):
            return Finding("owner", UNKNOWN, f"{shown}; the manifest says {wanted.source}")
        if wanted.lower() in [owner.lower() for owner in owners]:
            return Finding("owner", GOOD, shown)
        return Finding(
            "owner",
            MISSING,
            f"it is {shown} and should be {wanted}; Puppet no longer changes it: change it on"
            " the list's own page, or with config_list",
        )

    def _host(self, what: str, wanted: str | Value | None, is_now: str, kind: str) -> Finding:
        default = self.site.mail_domain if kind == "mail" else self.site.url_domain
        if isinstance(wanted, Value):
            if is_now.lower() == default.lower():
                text = f"{is_now}, the installation's own; the manifest says {wanted.source}"
                return Finding(what, GOOD, text)
            text = f"{is_now}; the manifest says {wanted.source}, the installation {default}"
            return Finding(what, UNKNOWN, text)
        if wanted is None:
            if is_now.lower() == default.lower():
                return Finding(what, GOOD, f"{is_now}, the installation's own")
            text = f"{is_now}; nothing says what it should be, the installation has {default}"
            return Finding(what, UNKNOWN, text)
        if is_now.lower() == wanted.lower():
            return Finding(what, GOOD, is_now)
        return Finding(
            what,
            MISSING,
            f"it is {is_now or 'empty'} and should be {wanted}; Puppet no longer changes"
            " it: change it with config_list and fix_url",
        )

    def _described(self) -> Finding:
        is_now, wanted = self.said.description, self.wanted.description
        shown = repr(is_now) if is_now else "empty"
        if wanted is None:
            return Finding("description", UNKNOWN, f"{shown}; nothing says what it should be")
        if isinstance(wanted, Value):
            return Finding("description", UNKNOWN, f"{shown}; the manifest says {wanted.source}")
        if self.description is None:
            return Finding("description", GOOD, is_now)
        return Finding(
            "description",
            MISSING,
            f"it is {shown} and should be {wanted!r}: Puppet sets none",
            self._fix,
        )

    @property
    def _fix(self) -> tuple[str, ...]:
        return ("add-list", self.wanted.name, "--fix")

    def _aliases(self) -> Finding:
        readable = [a for a in self.aliases if a.why is None]
        has_some = [a for a in readable if len(a.missing) < len(aliases_of(self.wanted.name))]
        if not has_some:
            return self._no_aliases(readable)
        best = min(has_some, key=lambda a: len(a.missing) + len(a.elsewhere))
        if best.missing:
            absent = ", ".join(best.missing)
            return Finding("aliases", MISSING, f"{best.path} lacks {absent}")
        if best.elsewhere:
            alias, value = sorted(best.elsewhere.items())[0]
            return Finding("aliases", MISSING, f"{best.path} has {alias} for {value}")
        if best.stale:
            return Finding(
                "aliases",
                MISSING,
                f"{best.stale} is older than {best.path}, and the mail server reads that:"
                " run newaliases",
            )
        count = len(aliases_of(self.wanted.name))
        return Finding("aliases", GOOD, f"all {count} are in {best.path}")

    def _no_aliases(self, readable: list[Aliases]) -> Finding:
        others = [a for a in readable if a.others]
        if others:
            text = f"{others[0].path} has those of other lists and none of this one: "
            if self.wanted.by_maillist:
                return Finding("aliases", MISSING, text + self._puppet_again)
            text += (
                "add them as they are there for another list, and run newaliases if the mail server"
                " wants that"
            )
            return Finding("aliases", MISSING, text)
        closed = [a for a in self.aliases if a.why is not None and not a.absent]
        if closed:
            hint = ": look as root" if closed[0].why == os.strerror(errno.EACCES) else ""
            text = f"{closed[0].path} cannot be read ({closed[0].why}){hint}"
            return Finding("aliases", UNKNOWN, text)
        looked = " and ".join(a.path for a in self.aliases)
        if self.wanted.by_maillist:
            text = f"Puppet writes them to {ALIASES_FILE}, and there is none: "
            return Finding("aliases", MISSING, text + self._puppet_again)
        return Finding(
            "aliases",
            UNKNOWN,
            f"no list of {self.site.name} has any in {looked}: the mail server finds lists in"
            " another way, which is not checked here",
        )

    @property
    def _puppet_again(self) -> str:
        """What has Puppet write the aliases of a list that is there.

        Its newlist ends with an error under Mailman 2.2, after it made the list (recording
        `puppet_maillist`); what depends on the list is then left for the next run.
        """
        if self.version.startswith("2.2"):
            return (
                "under Mailman 2.2, Puppet's first run makes the list and fails;"
                " run Puppet again, and it writes them"
            )
        return "run Puppet here"

    def _bans(self) -> Finding:
        lacking, others = self.said.lacking, self.said.others
        left_out = self.said.left_out
        without = f" ({', '.join(left_out)} could not be read)" if left_out else ""
        if self.said.as_new:
            without += f" ({', '.join(self.said.as_new)}: as new as this one, and not asked)"
        if not others:
            return Finding(
                "bans", GOOD, f"{self.site.name} has no other list to take bans from{without}"
            )
        if not lacking:
            text = f"it refuses everything that all {others} other lists refuse{without}"
            return Finding("bans", GOOD, text)
        shown = ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")
        return Finding(
            "bans",
            MISSING,
            f"all {others} other lists refuse {shown}, and this one does not{without}",
            self._fix,
        )


def aliases_of(name: str) -> dict[str, str]:
    """The addresses of a list: the alias, and what Mailman is asked to do with its mail."""
    return {name: "post", **{f"{name}-{suffix}": suffix for suffix in new_list.SUFFIXES}}


def names(installation: Installation, sites: Iterable[Site]) -> dict[str, list[str]]:
    """The names of the lists of each site. One command; changes nothing. Raises HostError."""
    found, failed = installation.names(sites)
    for site, why in failed.items():
        raise HostError(f"{installation.hostname}: the lists of {site} cannot be listed: {why}")
    return found


def site_of(
    installation: Installation, name: str, sites: Sequence[Site], lists: Mapping[str, list[str]]
) -> Site | None:
    """The one of `sites` that has the list, or that would have it; None when no site has it.

    Raises BadInputError when several have it.
    """
    if len(sites) == 1:
        return sites[0]
    having = [site for site in sites if name in lists[site.name]]
    if len(having) > 1:
        raise BadInputError(
            f"{installation.hostname} has the list {name} on the sites"
            f" {', '.join(site.name for site in having)}: name one with --site"
        )
    return having[0] if having else None


def look(installation: Installation, site: Site, wanted: Wanted) -> Seen:
    """See how a list is. Changes nothing on the host."""
    parameters: dict[str, object] = {
        "action": "look",
        "site": site.on_host(installation, None),
        "list": wanted.name,
    }
    for event in installation.call("adding", parameters):
        if isinstance(event, Looked):
            seen = Seen(site, wanted, event, version=installation.version)
            return with_aliases(installation, seen)
    raise HostError(f"{installation.hostname}: {wanted.name} was not looked at")


def with_aliases(installation: Installation, seen: Seen) -> Seen:
    """What files of aliases have.

    /etc/aliases is read by whoever logged in: it may be root's alone. A file in a folder of
    Mailman's user is read as that user, who may have put anything there.
    """
    if not seen.exists:
        return seen
    practice = installation.host.practice_dir or ""
    others = [n for n in names(installation, [seen.site])[seen.site.name] if n != seen.wanted.name]
    wanted: dict[str, object] = {"aliases": aliases_of(seen.wanted.name), "others": others}
    own = {**wanted, "files": [f"{practice}{ALIASES_FILE}"]}
    answers = installation.call("aliases", own, as_login=True)
    if seen.said.alias_files:
        answers += installation.call("aliases", {**wanted, "files": seen.said.alias_files})
    return replace(seen, aliases=tuple(a for a in answers if isinstance(a, Aliases)))
