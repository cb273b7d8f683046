"""``runbook practice``: a site that nobody depends on, and a walk through the procedures on it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from runbooks.practice.site import TARGET, create
from runbooks.practice.walk import walk
from runbooks.terminal import options
from runbooks.terminal.commands import Commands
from runbooks.terminal.console import Screen


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog="""\b
Examples:
  runbook practice                       walk through the procedures, in a temporary folder
  runbook practice new ~/practice        make a site to try things on
  runbook ban target@example.com --host practice:~/practice
""",
)
@click.pass_context
def practice(ctx: click.Context) -> int | None:
    """Practise on a site of your own: no root, no container.

    Without a subcommand, this makes a site in a temporary folder, walks through the procedures
    on it, by hand and by command, shows what changed, and removes it. Its Mailman is the
    stand-in, a small re-implementation, and not GNU Mailman.
    """
    if ctx.invoked_subcommand is not None:
        return None

    return walk(Screen())


@practice.command(epilog="\b\nExample:\n  runbook practice new ~/practice")
@click.argument("folder", shell_complete=options.completing("folders"))
def new(folder: str) -> int:
    """Make a practice site in FOLDER, which must be new or empty.

    It has the sites of the page, each with some lists and members, an address that a script has
    subscribed everywhere, and a stale lock. Remove the folder when you are done.
    """
    screen = Screen()
    with screen.busy("making a practice site"):
        site = create(Path(folder).expanduser())
    spec = shlex.quote(site.spec)
    screen.say(f"A practice site is in {site.folder}. Try:")
    screen.say(f"  runbook sites --host {spec}", style="cyan")
    screen.say(f"  runbook ban {TARGET} --host {spec}", style="cyan")
    screen.say(f"or once for all commands: export RUNBOOK_HOST={spec}")
    return 0
