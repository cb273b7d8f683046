"""Whose page it is: what ``doc/site.toml`` says of the host, the sites, the lists and the paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from runbooks.book.tables import MisfitError, load, misfit
from runbooks.errors import BadInputError
from runbooks.refusals import CONTROL, END, LIST_RULES, Rule

#: Names another file.
VARIABLE = "RUNBOOK_SITE_TOML"

#: The list that every site has.
SITE_LIST = "mailman"

_LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_PUPPET = "[a-z][a-z0-9_]*"


def _only(expression: str, reason: str) -> tuple[Rule, ...]:
    """The rule that refuses all that does not consist of `expression`."""
    return (Rule(rf"^(?!(?:{expression}){END})", reason),)


Text = Annotated[
    str,
    (
        Rule(CONTROL, "{text} has a line break or another control character in it"),
        Rule(rf"^\s|\s{END}|^{END}", "{text} is empty, or has a blank at its start or end"),
    ),
]
ListName = Annotated[str, LIST_RULES]
SiteName = Annotated[
    str, _only("[a-z0-9][-a-z0-9]*", "{text} cannot be a site: its name is letters, digits and -")
]
Domain = Annotated[
    str, _only(rf"{_LABEL}(?:\.{_LABEL})+", "{text} is not a full domain name, like lists.acme.org")
]
Hostname = Annotated[
    str, _only(rf"{_LABEL}(?:\.{_LABEL})*", "{text} cannot be what a host calls itself")
]
Address = Annotated[
    str, _only(rf"[-+.\w]+@{_LABEL}(?:\.{_LABEL})+", "{text} is not a full address")
]
#: It stands in scripts, and is quoted in none of them.
Folder = Annotated[
    str, _only("(?:/[-+.A-Za-z0-9_]+)+", "{text} is not the full path of a folder, like /srv/lists")
]
ManifestFile = Annotated[
    str,
    _only(
        rf"modules/{_PUPPET}/manifests/(?:{_PUPPET}/)*{_PUPPET}\.pp",
        "{text} is no class of a module, like modules/acme/manifests/lists.pp",
    ),
]
#: A folder of this package, or a module of another one.
ProcedureName = Annotated[
    str,
    _only(
        r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*",
        "{text} is neither a folder of procedures nor a module, like clear_lock or acme.freeze",
    ),
]
Url = Annotated[str, _only(r"https?://[^\s<>`\"]+", "{text} is no address of a web page")]


def zone(name: str) -> tzinfo:
    """Raises KeyError, ValueError or OSError for a time zone that there is not."""
    return timezone.utc if name == "UTC" else ZoneInfo(name)


@dataclass(frozen=True)
class Server:
    """The host that readers log in to."""

    name: Domain
    #: as outputs show it
    hostname: Hostname
    #: of its clock
    time_zone: Text
    #: "the mailing lists of …"
    serves: Text

    @property
    def spec(self) -> str:
        """What ``--host`` is told."""
        return f"ssh://root@{self.name}"

    @property
    def zone(self) -> tzinfo:
        """Raises KeyError, ValueError or OSError for a zone that there is not."""
        return zone(self.time_zone)


@dataclass(frozen=True)
class Paths:
    """Where Mailman is on it."""

    programs: Folder
    #: has a folder for each site
    sites: Folder


@dataclass(frozen=True)
class WrittenSite:
    """A site, as the pages know it."""

    name: SiteName
    #: of the lists' addresses and web pages
    domain: Domain
    #: without the list that every site has
    lists: tuple[ListName, ...]

    @property
    def all_lists(self) -> tuple[str, ...]:
        return (SITE_LIST, *self.lists)

    @property
    def first_list(self) -> str:
        """The one that stands for all of them."""
        return min(self.lists)


@dataclass(frozen=True)
class Examples:
    """What the commands are about until a reader types something else."""

    #: one that the first site does not have
    list: ListName
    description: Text
    administrator: Address


@dataclass(frozen=True)
class Manifest:
    """The Puppet manifest that declares the lists."""

    #: in its repository
    file: ManifestFile
    repository: Text
    url: Url
    #: where the list server has the repository
    checkout: Folder

    @property
    def class_name(self) -> str:
        """The class that Puppet looks for in that file."""
        _, module, _, *rest = self.file.removesuffix(".pp").split("/")
        return "::".join([module, *rest])


@dataclass(frozen=True)
class Project:
    """Where the code is."""

    #: of the command
    repository: Url
    #: of the pages, for a link from each to its source; "" where it is not said
    pages: Url = ""
    #: where the pages are published, for links to them from elsewhere; "" where it is not said
    published: Url = ""


@dataclass(frozen=True)
class Links:
    """The text of each link of *At a Glance*, and where it leads."""

    puppet: Mapping[str, Url]
    projects: Mapping[str, Url]
    bugs: Mapping[str, Url]
    resources: Mapping[str, Url]


@dataclass(frozen=True)
class Whose:
    """All of the file."""

    server: Server
    mailman: Paths
    sites: tuple[WrittenSite, ...]
    examples: Examples
    manifest: Manifest
    project: Project
    links: Links
    #: what the page has, in its order; all that the package has where the file does not say
    procedures: tuple[ProcedureName, ...] = ()

    def folder(self, site: WrittenSite) -> str:
        """What MAILMAN_SITE_DIR is for a site."""
        return f"{self.mailman.sites}/{site.name}"

    @property
    def first(self) -> WrittenSite:
        """The site that examples for a single site are about."""
        return self.sites[0]

    @property
    def number_of_lists(self) -> int:
        """On all sites."""
        return sum(len(site.all_lists) for site in self.sites)


def path() -> Path:
    """The file: that of the package, unless the environment names another."""
    named = os.environ.get(VARIABLE)
    return Path(named).absolute() if named else Path(__file__).resolve().parents[1] / "site.toml"


@cache
def whose() -> Whose:
    """Whose page it is. Raises BadInputError."""
    # In a checkout the package's file is a link to the one that people edit.
    return load(Whose, path().resolve(), check_together)


def wrong_procedure(number: int, why: str) -> BadInputError:
    """The error for one of the procedures that the file names, counted from 0."""
    return misfit(path().resolve(), ("procedures", number), f"procedures: {why}")


def check_together(found: Whose) -> None:
    """Raises MisfitError for what does not fit together."""
    for number, name in enumerate(found.procedures):
        if name in found.procedures[:number]:
            raise MisfitError(("procedures", number), f"procedures: {name!r} is there twice")
    for what in ("name", "domain"):
        seen: set[str] = set()
        for number, site in enumerate(found.sites):
            value = getattr(site, what)
            if value in seen:
                key = ("sites", number, what)
                raise MisfitError(key, f"sites.{what}: another site has {value!r} as well")
            seen.add(value)
    for number, site in enumerate(found.sites):
        twice = [name for name in site.all_lists if site.all_lists.count(name) > 1]
        if twice:
            why = f"every site has {SITE_LIST!r}" if twice[0] == SITE_LIST else "it is there twice"
            raise MisfitError(("sites", number, "lists"), f"sites.lists: {twice[0]!r}: {why}")
        if found.examples.list in site.all_lists:
            why = f"examples.list: the site {site.name} has {found.examples.list!r} already"
            raise MisfitError(("examples", "list"), why)
    try:
        found.server.zone  # noqa: B018
    except (KeyError, ValueError, OSError):
        why = f"server.time_zone: there is no time zone {found.server.time_zone!r}"
        raise MisfitError(("server", "time_zone"), why) from None
