"""Options that several subcommands have, and what they mean."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from runbooks.book.whose import whose
from runbooks.errors import BadInputError, LostError
from runbooks.terminal import byhand
from runbooks.terminal.console import Screen

if TYPE_CHECKING:
    from runbooks.host.host import Host
    from runbooks.mailman.installation import Installation
    from runbooks.mailman.target import Target

F = TypeVar("F", bound=Callable[..., object])


def completing(what: str) -> Callable[..., list[CompletionItem]]:
    """What completes an argument: "lists", "sites", "runs", "procedures", "files" or "folders"."""

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from runbooks.terminal import completion

        function: Callable[..., list[CompletionItem]] = getattr(completion, what)
        return function(ctx, param, incomplete)

    return complete


host = click.option(
    "--host",
    "host_spec",
    metavar="SPEC",
    envvar="RUNBOOK_HOST",
    default="local://",
    show_default=True,
    show_envvar=True,
    help=f"The list server: {whose().server.spec}, docker://ID, local:// or practice:DIR.",
)
json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs."
)
dry_run = click.option("--dry-run", "-n", is_flag=True, help="Show the plan and change nothing.")
quiet = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    help="Print only what was not done, warnings and errors. The exit status says the rest."
    " A question is still asked, with its plan; --json still prints every object.",
)
yes = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
sites = click.option(
    "--site",
    "sites",
    metavar="SITE",
    multiple=True,
    help="Only this site. May be repeated.",
    shell_complete=completing("sites"),
)
lists = click.option(
    "--list",
    "lists",
    metavar="NAME",
    multiple=True,
    help="Only this list. May be repeated.",
    shell_complete=completing("lists"),
)


class Seconds(click.FloatRange):
    """A number of seconds, as messages call it."""

    name = "number of seconds"


class Number(click.IntRange):
    """A whole number, as messages call it."""

    name = "number"


def _number(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which is in every range, as it is neither below nor above
        raise click.BadParameter("nan is not a number of seconds.")
    return value


timeout = click.option(
    "--timeout",
    metavar="SECONDS",
    type=Seconds(0, 3600),
    callback=_number,
    default=10.0,
    show_default=True,
    help="How long to wait for locked lists, in total.",
)
jobs = click.option(
    "--jobs",
    metavar="N",
    type=Number(1, 64),
    help="Lists to work on at a time.  [default: twice the host's processors, at most 4]",
)

clear_stale = click.option(
    "--clear-stale",
    is_flag=True,
    help="First remove stale locks of these lists (see clear-lock).",
)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


#: Of a command that changes lists.
change_lists = together(
    lists, sites, host, timeout, jobs, dry_run, yes, quiet, byhand.options, json
)  # fmt: skip


def reach(host_spec: str) -> Host:
    """The host that was named. Begins to connect; what is imported meanwhile costs no time."""
    from runbooks.host.host import Host
    from runbooks.mailman.installation import connect

    host = Host(host_spec)
    click.get_current_context().call_on_close(host.close)
    connect(host)
    return host


def installation(host: str | Host, screen: Screen) -> Installation:
    """The Mailman 2 on a host, named or reached already."""
    from runbooks.mailman.installation import discover

    asked = reach(host) if isinstance(host, str) else host
    # A spinner would overwrite what ssh asks.
    with nullcontext() if asked.uses_terminal else screen.busy(f"asking {asked.name}"):
        return discover(asked)


def target(
    found: Installation,
    sites: tuple[str, ...],
    lists: tuple[str, ...],
    timeout: float,
    jobs: int | None,
) -> Target:
    """The lists that a command is about."""
    from runbooks.mailman.installation import list_name
    from runbooks.mailman.target import MOST_JOBS, Target

    found.check_user()
    return Target.of(
        found,
        sites,
        tuple(dict.fromkeys(list_name(name) for name in lists)),
        # While one waits for the disk, which each save does, another can work.
        jobs=jobs or min(2 * found.processors, MOST_JOBS),
        timeout=timeout,
    )


def begin(
    host_spec: str | Host,
    as_json: bool,
    sites: tuple[str, ...] = (),
    lists: tuple[str, ...] = (),
    timeout: float = 0,
    jobs: int | None = None,
    quiet: bool = False,
) -> tuple[Screen, Target]:
    """Where a command writes, and the lists that it is about."""
    screen = Screen(as_json, quiet)
    return screen, target(installation(host_spec, screen), sites, lists, timeout, jobs)


def typed() -> tuple[str, ...]:
    """The command line, without ``runbook``, for the journal."""
    return tuple(click.get_current_context().find_root().obj or ())


def permission(screen: Screen, question: str, yes: bool) -> None:
    """Ask on a terminal; raise BadInputError when the answer is no, or when nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInputError("standard input is not a terminal, so nobody can be asked: add --yes")
    try:
        confirmed = screen.ask(question)
    except EOFError:
        confirmed = False
    if not confirmed:
        raise BadInputError("not confirmed; nothing was changed")


@contextmanager
def changing() -> Iterator[None]:
    """Around what changes the host, and the report of it: Ctrl-C is not 'nothing was changed'."""
    from runbooks.host.host import Host
    from runbooks.terminal import completion

    host = Host(click.get_current_context().params["host_spec"])
    try:
        yield
    except KeyboardInterrupt:
        history = host.command(("history",))
        raise LostError(
            f"interrupted; '{history}' shows what was done, and the same command run"
            " again completes it"
        ) from None
    finally:
        completion.forget(host)
