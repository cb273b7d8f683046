"""``runbook unsubscribe``."""

from __future__ import annotations

from typing import Any

import click

from runbooks.book.whose import whose
from runbooks.clear_lock.first import StaleLocks
from runbooks.mailman.target import Target
from runbooks.terminal import explained, given, options
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Screen
from runbooks.terminal.report import carry_out
from runbooks.unsubscribe import run
from runbooks.unsubscribe.shown import change


@click.command(
    epilog=f"""\b
Examples:
  runbook unsubscribe target@example.com
  runbook unsubscribe --from victims.txt --host {whose().server.spec} --dry-run
  runbook unsubscribe target@example.com --list {whose().examples.list} --tell
"""
)
@given.arguments
@options.change_lists
@options.clear_stale
@click.option(
    "--tell",
    is_flag=True,
    help="Send the member a goodbye, and tell the owners, if the list is set to do so.",
)
def unsubscribe(
    addresses: tuple[str, ...],
    from_file: str | None,
    skip_bad: bool,
    dry_run: bool,
    yes: bool,
    by_hand: ByHand | None,
    clear_stale: bool,
    tell: bool,
    **chosen: Any,
) -> int:
    """Unsubscribe each ADDRESS from every list of every site on the host.

    Case does not matter, and digests are included. Subscriptions of the address that wait for a
    confirmation or for a moderator are discarded. Nobody is told. 'runbook undo' puts everything
    back, with the member's settings. To keep an address out, ban it with 'runbook ban'.
    """
    found = given.chosen(addresses, from_file, skip_bad, run.address)
    naming = given.naming(from_file, skip_bad)

    def before(screen: Screen) -> None:
        if not by_hand:
            found.tell(screen)

    def on_lists(screen: Screen, target: Target) -> int:
        if by_hand:
            from runbooks.unsubscribe import page

            asked = page.UnsubscribeArguments(found.good, tell, target.sites, target.lists)
            steps = page.steps(target.installation, asked)
            printed = PrintedSteps.of(page.PROCEDURE, steps)
            return explained.show(screen, target.installation, by_hand, printed, yes)
        with screen.busy("looking at the lists"):
            plan = run.look(target, found.good, tell=tell, typed=addresses, naming=naming)
        first = StaleLocks(screen, target.installation, clear_stale, yes or dry_run)
        return carry_out(screen, change(plan), dry_run=dry_run, yes=yes, first=first)

    return options.on_lists(on_lists, before, **chosen)
