"""Removing the stale locks that are in the way of another command, before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbooks.mailman.installation import Installation
from runbooks.mailman.work import Answer
from runbooks.terminal import options
from runbooks.terminal.console import Screen, Task

if TYPE_CHECKING:
    from runbooks.clear_lock.run import Plan


@dataclass
class StaleLocks:
    """What ``--clear-stale`` asks for, and what is offered without it."""

    screen: Screen
    installation: Installation
    #: that it was asked for
    wanted: bool
    #: that nobody is to be asked
    yes: bool
    _plan: Plan | None = None

    def look(self, lists: Sequence[Answer]) -> Task | None:
        """Look at the locks of these lists; what to ask before they are removed, if anything.

        Shows the evidence. Where it was not asked for, somebody at a terminal is asked now.
        """
        offered = not self.yes and self.screen.can_offer
        if not lists or not (self.wanted or offered):
            return None
        # Where nothing is in the way, this is not imported either.
        from runbooks.clear_lock import run
        from runbooks.clear_lock.shown import show_plan, what

        sites = {site.name: site for site in self.installation.sites}
        chosen = [sites[name] for name in dict.fromkeys(answer.site for answer in lists)]
        seen = run.look(self.installation, chosen)
        found = run.plan_lists(seen, ((sites[one.site], str(one.list)) for one in lists))
        # Of the others, the command itself says why they are in the way.
        if not found.remove:
            return None
        self._plan = run.Plan(remove=found.remove)
        show_plan(self.screen, self.installation, self._plan)
        task = Task("Remove", what(found.remove))
        if self.wanted:
            return task
        try:
            is_agreed = self.screen.ask(f"{task} first?")
        except EOFError:  # the next question ends it
            is_agreed = False
        if not is_agreed:
            self._plan = None
        return None

    def clear(self) -> None:
        """Remove them, and say so. They have a record of their own."""
        if self._plan:
            from runbooks.clear_lock import run
            from runbooks.clear_lock.shown import show_report

            with self.screen.busy("removing stale locks"):
                report = run.clear(self.installation, self._plan, options.typed())
            show_report(self.screen, self.installation, report)
