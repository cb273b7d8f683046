"""Whose page is to be written: as options, a host, and a person at a terminal say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import metadata
from pathlib import PurePosixPath
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

from runbooks.book import whose as book
from runbooks.book.tables import MisfitError
from runbooks.book.whose import Whose, WrittenSite
from runbooks.errors import BadInputError, HostError, short
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import Installation
from runbooks.new_page.requirement import PACKAGE
from runbooks.refusals import check
from runbooks.terminal.console import Screen

T = TypeVar("T")

#: What is true of any Mailman 2. Tickets and pages of a team's own are for it to add.
LINKS = book.Links(
    puppet={"puppet-mailman": "https://opendev.org/opendev/puppet-mailman"},
    projects={"GNU Mailman": "https://www.list.org/"},
    bugs={"Mailman's bug tracker": "https://bugs.launchpad.net/mailman"},
    resources={
        "Mailman's documentation": "https://www.list.org/docs.html",
        "Mailman's wiki, with its frequently asked questions": "https://wiki.list.org/",
    },
)

#: Where distributions have it, and where puppet-mailman has the sites.
PATHS = book.Paths("/usr/lib/mailman/bin", "/srv/mailman")

#: What the last part of the name of a list to add may be.
_ADDED = ("foo", "bar", "example")


@dataclass
class Given:
    """What was said. None, or nothing, is what is still missing."""

    server: str | None = None
    serves: str | None = None
    sites: tuple[WrittenSite, ...] = ()
    repository: str | None = None
    manifest: str | None = None
    hostname: str | None = None
    time_zone: str | None = None
    paths: book.Paths = PATHS
    procedures: tuple[str, ...] = ()
    #: what a person is offered
    offered: dict[str, str] = field(default_factory=dict)

    def take_from(self, found: Installation) -> None:
        """Take the sites, their lists and the paths from a server. Raises RunbookError."""
        self.sites, self.paths = read(found)
        self.hostname = self.hostname or found.hostname
        if self.time_zone is None and not found.clock.utc_offset:
            self.time_zone = "UTC"
        if found.host.uses_terminal:
            self.offered["server"] = found.host.name


def read(found: Installation) -> tuple[tuple[WrittenSite, ...], book.Paths]:
    """The sites of a server, and where things are, if a page can be about such a server."""

    def wrong(why: str) -> BadInputError:
        return BadInputError(f"{found.host.spec}: {why}")

    user = INSTALLATION.user
    if found.user != user and found.host.practice_dir is None:
        raise wrong(f"Mailman's user is {found.user}, and the page has commands for {user}")
    folders = [site.site_dir for site in found.sites]
    if None in folders:
        raise wrong("its Mailman has no sites: the commands of the page set MAILMAN_SITE_DIR")
    parents = {str(PurePosixPath(str(folder)).parent) for folder in folders}
    if len(parents) > 1:
        raise wrong(f"its sites are in {' and '.join(sorted(parents))}: the page knows one folder")
    names, failed = found.names(found.sites)
    for name, why in failed.items():
        raise HostError(f"{found.host.spec}: the site {name} does not tell its lists: {why}")
    sites = []
    for site in found.sites:
        lists = tuple(name for name in names[site.name] if name != site.site_list)
        if not lists:
            raise wrong(
                f"the site {site.name} has no list but {site.site_list}: the page needs one"
            )
        sites.append(WrittenSite(site.name, site.mail_domain, lists))
    return tuple(sites), book.Paths(found.bin, parents.pop())


# -- what is typed --------------------------------------------------------------------------


def text(kind: Any) -> Callable[[str], str]:
    """Takes a text of a kind of `runbooks.book.whose`. The result raises BadInputError."""

    def take(typed: str) -> str:
        check(typed, get_args(kind)[1])
        return typed

    return take


def site(typed: str) -> WrittenSite:
    """``NAME=DOMAIN:LIST,LIST``. Raises BadInputError."""
    name, equals, rest = typed.partition("=")
    domain, colon, lists = rest.partition(":")
    if not (equals and colon and lists):
        raise BadInputError(f"{short(typed)} is not like acme=lists.acme.example:announce,users")
    names = tuple(one.strip() for one in lists.split(","))
    for one in names:
        text(book.ListName)(one)
    return WrittenSite(text(book.SiteName)(name.strip()), text(book.Domain)(domain.strip()), names)


def repository(typed: str) -> str:
    """The address of a repository: its last two parts are its name. Raises BadInputError."""
    text(book.Url)(typed)
    if len(PurePosixPath(urlsplit(typed).path).parts) < 2:
        raise BadInputError(f"{short(typed)} names a server and no repository on it")
    return typed.rstrip("/")


def zone(typed: str) -> str:
    """A time zone. Raises BadInputError."""
    try:
        book.zone(text(book.Text)(typed))
    except (KeyError, ValueError, OSError):
        raise BadInputError(f"there is no time zone {short(typed)}") from None
    return typed


@dataclass(frozen=True)
class Question:
    """Something that has to be said: in an option, or at a terminal."""

    member: str
    option: str
    question: str
    take: Callable[[str], str]
    default: Callable[[Given], str] = lambda given: ""


QUESTIONS = (
    Question(
        "server",
        "--server",
        "The host that readers log in to, like lists.acme.example",
        text(book.Domain),
        lambda given: given.offered.get("server", ""),
    ),
    Question(
        "serves",
        "--serves",
        "Whose lists these are, like Acme and its neighbours",
        text(book.Text),
    ),
    Question(
        "repository",
        "--repository",
        "The address of the repository with the Puppet manifest that declares the lists",
        repository,
    ),
    Question(
        "manifest",
        "--manifest",
        "The manifest in it",
        text(book.ManifestFile),
        lambda given: f"modules/{given.sites[0].name.replace('-', '_')}/manifests/lists.pp",
    ),
    Question("time_zone", "--time-zone", "The time zone of the host", zone, lambda given: "UTC"),
)

_SITE = "A site, like acme=lists.acme.example:announce,users"


def ask(screen: Screen, given: Given) -> None:
    """Have a person say what is missing. Raises BadInputError without a terminal."""
    missing = [one for one in QUESTIONS if getattr(given, one.member) is None]
    if not sys.stdin.isatty():
        options = [one.option for one in missing] + ([] if given.sites else ["--site"])
        if options:
            raise BadInputError(
                "standard input is not a terminal, so nobody can be asked: add"
                f" {', '.join(options)}"
            )
        return
    if not given.sites:
        given.sites = tuple(_sites(screen))
    for one in missing:
        setattr(given, one.member, _answer(screen, one.question, one.take, one.default(given)))


def _sites(screen: Screen) -> Iterator[WrittenSite]:
    first = _answer(screen, _SITE, site)
    yield first
    while (another := _answer(screen, "Another one, or nothing", _site_or_none, " ")) is not None:
        yield another


def _site_or_none(typed: str) -> WrittenSite | None:
    return site(typed) if typed.strip() else None


def _answer(screen: Screen, question: str, take: Callable[[str], T], default: str = "") -> T:
    offer = f" [{default}]" if default.strip() else ""
    while True:
        try:
            typed = screen.answer(f"{question}{offer}: ").strip() or default
        except EOFError:
            raise BadInputError("not answered; nothing was written") from None
        try:
            return take(typed)
        except BadInputError as problem:
            screen.warn(str(problem))


# -- all of it ------------------------------------------------------------------------------


def whose(given: Given) -> Whose:
    """The whole of what the file of the page says. Raises BadInputError."""
    server, serves, repository, manifest = (
        str(getattr(given, name)) for name in ("server", "serves", "repository", "manifest")
    )
    path = PurePosixPath(urlsplit(repository).path.removesuffix(".git"))
    first, lists = given.sites[0], given.sites[0].all_lists
    added = next(name for name in _names(first.name) if name not in lists)
    made = Whose(
        server=book.Server(
            server,
            given.hostname or server.partition(".")[0],
            given.time_zone or "UTC",
            serves,
        ),
        mailman=given.paths,
        sites=given.sites,
        examples=book.Examples(
            added, f"Discussion of {added.replace('-', ' ').title()}", "admin@example.com"
        ),
        manifest=book.Manifest(
            manifest,
            "/".join(path.parts[1:][-2:]),
            repository,
            f"/opt/{path.name}",
        ),
        project=book.Project(_repository()),
        links=LINKS,
        procedures=given.procedures,
    )
    try:
        book.check_together(made)
    except MisfitError as problem:
        raise BadInputError(problem.why) from None
    return made


def _names(site: str) -> Sequence[str]:
    return [f"{site}-{word}" for word in _ADDED] + [f"{site}-{number}" for number in range(9)]


def _repository() -> str:
    """Where this package says that its code is."""
    told: list[str] = metadata(PACKAGE).get_all("Project-URL") or []
    return next(one.split(", ")[1] for one in told if one.startswith("Repository, "))
