"""``runbook moderate``."""

from __future__ import annotations

from typing import Any

import click

from runbooks.mailman.edit import Edit
from runbooks.mailman.target import Target
from runbooks.moderation import page
from runbooks.terminal import explained, options
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Screen
from runbooks.terminal.report import Change, Words, carry_out

WORDS = {
    "on": ("Hold every post to", ("is held already", "are held already", "were held already")),
    "off": ("Let posts through on", ("lets them through", "let them through", "let them through")),
}


@click.command(epilog="\b\nExamples:\n  runbook moderate on\n  runbook moderate off --dry-run")
@click.argument("state", type=click.Choice(["on", "off"]))
@options.change_lists
def moderate(state: str, dry_run: bool, yes: bool, by_hand: ByHand | None, **chosen: Any) -> int:
    """Turn emergency moderation on, or off: while it is on, every post waits for a moderator."""

    def on_lists(screen: Screen, target: Target) -> int:
        if by_hand:
            steps = page.steps(target.installation, page.Arguments(state))
            printed = PrintedSteps.of(page.PROCEDURE, steps)
            return explained.show(screen, target.installation, by_hand, printed, yes)
        with screen.busy("looking at the lists"):
            plan = Edit.look(target, "moderating", {"on": state == "on"}, ("moderate", state))
        question, done = WORDS[state]
        words = Words(question, f"to turn {state}", "changed", done)
        return carry_out(screen, Change(plan, words), dry_run=dry_run, yes=yes)

    return options.on_lists(on_lists, **chosen)
