"""Options that several subcommands have, and what they mean."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from runbooks.book.whose import whose
from runbooks.errors import LostError
from runbooks.terminal import byhand, hosts
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


class Seconds(click.FloatRange):
    """A number of seconds, as messages call it."""

    name = "number of seconds"


class Number(click.IntRange):
    """A whole number, as messages call it."""

    name = "number"


class Spec(click.ParamType[str]):
    """What names a host, or the hosts of an inventory."""

    name = "host"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Several in one variable, with blanks between them. The name of a folder may have some."""
        return re.split(r"\s+(?=[A-Za-z][-+.A-Za-z0-9]*:)", rv.strip())


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _hosts(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Every host that is meant."""
    if len(given) == 1 and not given[0].startswith("ansible://"):
        return given
    from runbooks.host import inventory  # needed for several alone

    return inventory.hosts(given)


def _one(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> str:
    """The only host that is meant."""
    found = _hosts(ctx, param, given)
    if len(found) > 1:
        raise click.UsageError("this works on one server at a time: name one host.", ctx)
    return found[0]


def _host(name: str, check: Callable[..., object], more: str = "") -> Callable[[F], F]:
    return click.option(
        "--host",
        name,
        metavar="SPEC",
        type=Spec(),
        multiple=True,
        callback=check,
        envvar="RUNBOOK_HOST",
        default=["local://"],
        show_default="local://",
        show_envvar=True,
        help=f"The list server: {whose().server.spec}, docker://ID, local:// or practice:DIR."
        f"{more}",
    )


#: Of a command that is about one server.
one_host = _host("host_spec", _one)

#: Of a command that may be about several.
host = together(
    _host(
        "host_specs",
        _hosts,
        " May be repeated; ansible://GROUP?ansible_inventory=FILE is every host of a group.",
    ),
    click.option(
        "--at-once",
        metavar="N",
        type=Number(1, 64),
        default=hosts.AT_ONCE,
        show_default=True,
        help="Hosts to work on at a time, of several.",
    ),
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
    help="Lists to work on at a time.  [default: one a processor, at most 4]",
)

clear_stale = click.option(
    "--clear-stale",
    is_flag=True,
    help="First remove stale locks of these lists (see clear-lock).",
)


#: Of a command that changes lists.
change_lists = together(
    lists, sites, host, timeout, jobs, dry_run, yes, quiet, byhand.options, json
)  # fmt: skip


def installation(host: Host, screen: Screen) -> Installation:
    """The Mailman 2 on a host that a command is about."""
    from runbooks.mailman.installation import discover

    # A spinner would overwrite what ssh asks.
    asks = host.uses_terminal and not host.unattended
    with nullcontext() if asks else screen.busy(f"asking {host.name}"):
        return replace(discover(host), share=screen.share)


def on_one(host_spec: str, screen: Screen) -> Installation:
    """The Mailman 2 on the only host that a command is about."""
    (host,) = hosts.opened([host_spec])
    hosts.reach(host)
    return installation(host, screen)


def target(
    found: Installation,
    sites: tuple[str, ...],
    lists: tuple[str, ...],
    timeout: float,
    jobs: int | None,
) -> Target:
    """The lists that a command is about."""
    from runbooks.mailman.installation import list_name
    from runbooks.mailman.target import Target

    found.check_user()
    return Target.of(
        found,
        sites,
        tuple(dict.fromkeys(list_name(name) for name in lists)),
        jobs=jobs,
        timeout=timeout,
    )


def on_installations(
    work: Callable[[Screen, Installation], int],
    tell: Callable[[Screen], None] = lambda screen: None,
    *,
    host_specs: tuple[str, ...],
    at_once: int,
    as_json: bool,
    quiet: bool = False,
) -> int:
    """Do `work` with the Mailman 2 on each host; the exit status. See `hosts.on_each`.

    `tell`: says what there is to say before, once for all hosts.
    """
    screen = Screen(as_json, quiet)
    tell(screen)
    return hosts.on_each(
        screen, host_specs, at_once, lambda part, host: work(part, installation(host, part))
    )


def on_lists(
    work: Callable[[Screen, Target], int],
    tell: Callable[[Screen], None] = lambda screen: None,
    *,
    sites: tuple[str, ...] = (),
    lists: tuple[str, ...] = (),
    timeout: float = 0,
    jobs: int | None = None,
    **chosen: Any,
) -> int:
    """Do `work` with the lists that a command is about, on each host; the exit status."""

    def begin(screen: Screen, found: Installation) -> int:
        return work(screen, target(found, sites, lists, timeout, jobs))

    return on_installations(begin, tell, **chosen)


def typed() -> tuple[str, ...]:
    """The command line, without ``runbook``, for the journal."""
    return tuple(click.get_current_context().find_root().obj or ())


@contextmanager
def changing(host: Host) -> Iterator[None]:
    """Around what changes the host, and the report of it: Ctrl-C is not 'nothing was changed'."""
    from runbooks.terminal import completion

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
