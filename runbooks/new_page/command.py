"""``runbook new-page``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import click

from runbooks.book.whose import Domain, Hostname, ManifestFile, Text, WrittenSite
from runbooks.errors import BadInputError
from runbooks.new_page import given as asked
from runbooks.new_page import project, requirement
from runbooks.new_page.given import Given
from runbooks.procedures import FOLDERS, procedures_of
from runbooks.terminal import options
from runbooks.terminal.console import Screen


@click.command(
    "new-page",
    epilog="""\b
Examples:
  runbook new-page acme                                   asks for everything
  runbook new-page acme --host ssh://root@lists.acme.example
  runbook new-page acme --server lists.acme.example --serves "Acme and its neighbours" \\
      --site acme=lists.acme.example:announce,users --site beta=lists.beta.example:beta-users \\
      --repository https://git.acme.example/acme/hosts --manifest modules/acme/manifests/lists.pp
""",
)
@click.argument("folder", metavar="DIR", shell_complete=options.completing("folders"))
@click.option("--host", "host_spec", metavar="SPEC", help="Take sites, lists and paths from there.")
@click.option("--server", metavar="NAME", help="The host that readers log in to.")
@click.option(
    "--hostname", metavar="NAME", help="What it calls itself, if not the first part of it."
)
@click.option("--time-zone", metavar="ZONE", help="Of its clock, like UTC or Europe/Berlin.")
@click.option("--serves", metavar="TEXT", help="Whose lists these are, for the first sentence.")
@click.option(
    "--site",
    "sites",
    metavar="NAME=DOMAIN:LIST,LIST…",
    multiple=True,
    help="A site and its lists, in the order of the page. May be repeated.",
)
@click.option("--repository", metavar="URL", help="Where the Puppet manifest with the lists is.")
@click.option("--manifest", metavar="FILE", help="The manifest in it.")
@click.option(
    "--procedure",
    "procedures",
    metavar="NAME",
    multiple=True,
    help=f"Of {', '.join(FOLDERS)}, or a module of an installed package. May be repeated."
    "  [default: all of these]",
)
@click.option(
    "--package",
    metavar="SPEC",
    help="What the page depends on: a path, a URL or a requirement.  [default: what is installed]",
)
def new_page(
    folder: str,
    host_spec: str | None,
    server: str | None,
    hostname: str | None,
    time_zone: str | None,
    serves: str | None,
    sites: tuple[str, ...],
    repository: str | None,
    manifest: str | None,
    procedures: tuple[str, ...],
    package: str | None,
) -> int:
    """Write a documentation project for a page of your own into DIR.

    The project depends on this package and copies nothing of it. Its names are in one file,
    'doc/site.toml', which can be edited later. With tox in DIR the pages are built and every
    command on them is run. What no option says is asked for, if there is a terminal. A server that
    --host names is looked at, and not changed.
    """
    screen = Screen()
    path = Path(folder).expanduser()
    project.refuse(path)
    if host_spec is not None and sites:
        raise BadInputError("--host and --site cannot be combined: the sites are those of the host")
    procedures_of(procedures)
    requirements = [requirement.of_package(package)]
    requirements += [requirement.of_module(one) for one in procedures if one not in FOLDERS]
    given = Given(
        server=_taken("--server", server, asked.text(Domain)),
        serves=_taken("--serves", serves, asked.text(Text)),
        sites=tuple(_site(one) for one in sites),
        repository=_taken("--repository", repository, asked.repository),
        manifest=_taken("--manifest", manifest, asked.text(ManifestFile)),
        hostname=_taken("--hostname", hostname, asked.text(Hostname)),
        time_zone=_taken("--time-zone", time_zone, asked.zone),
        procedures=procedures,
    )
    if host_spec is not None:
        given.take_from(options.on_one(host_spec, screen))
    elif given.time_zone is None:
        given.time_zone = "UTC"
    asked.ask(screen, given)
    texts = project.files(asked.whose(given), list(dict.fromkeys(requirements)))
    project.write(path, texts)
    screen.say(f"{path} has", style="bold")
    for name in texts:
        screen.say(f"  {name}")
    screen.say("Its names are in doc/site.toml. To build the pages and run what is on them:")
    screen.say(f"  cd {shlex.quote(str(path))} && tox", style="cyan")
    return 0


def _taken(option: str, typed: str | None, take: Callable[[str], str]) -> str | None:
    try:
        return None if typed is None else take(typed)
    except BadInputError as problem:
        raise BadInputError(f"{option}: {problem}") from None


def _site(typed: str) -> WrittenSite:
    try:
        return asked.site(typed)
    except BadInputError as problem:
        raise BadInputError(f"--site: {problem}") from None
