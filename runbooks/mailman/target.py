"""Which lists a command is about, and why one of them could not be had: what every task shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runbooks.mailman.installation import Installation, Site

if TYPE_CHECKING:
    from runbooks.mailman.events import Locks
    from runbooks.mailman.locks import Lock

#: Seconds for which lists that are locked are waited for, unless told otherwise.
TIMEOUT = 10.0

#: Most processes that work on the host at a time, unless told otherwise.
MOST_JOBS = 4


def invocation(command: str, *arguments: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """What to write after ``runbook``. An argument that looks like an option comes after ``--``."""
    if any(argument.startswith("-") for argument in arguments):
        return (command, *options, "--", *arguments)
    return (command, *arguments, *options)


@dataclass(frozen=True)
class Target:
    """Which lists of an installation a command is about."""

    installation: Installation
    sites: tuple[Site, ...]
    #: names of lists, as Mailman spells them; all lists when empty
    names: tuple[str, ...] = ()
    #: lists worked on at a time
    jobs: int = 1
    #: seconds
    timeout: float = TIMEOUT

    def only(self, site: str, *, several: bool) -> tuple[str, ...]:
        """The option for one site, where the name of a list does not say enough.

        `several`: whether more than one of the sites has a list of that name.
        """
        narrowed = len(self.sites) < len(self.installation.sites)
        return ("--site", site) if narrowed or several else ()

    def parameters(self, lists: dict[str, list[str]] | None = None) -> dict[str, object]:
        """For an on-host program over lists. `lists`: by site, where not all are meant."""
        return {
            "sites": [
                site.on_host(self.installation, None if lists is None else lists[site.name])
                for site in self.sites
            ],
            "jobs": self.jobs,
            "timeout": self.timeout,
        }


@dataclass
class LockEvidence:
    """The locks of sites with locked lists, as the on-host program saw them at its end."""

    sites: dict[str, list[Lock]] = field(default_factory=dict)

    def hear(self, event: Locks) -> None:
        """Take the event ``locks`` of a program over lists."""
        # Where nothing is locked, nothing of this is needed.
        from runbooks.mailman import locks

        self.sites[event.site] = locks.examine(event.observation)

    def lock(self, site: str, name: str) -> Lock | None:
        from runbooks.mailman import locks

        return locks.find(self.sites.get(site, ()), name)

    def describe(self, site: str, name: str) -> str:
        """``locked since 05:28 by process 83 on lists, which no longer runs``"""
        from runbooks.mailman import locks

        lock = self.lock(site, name)
        if lock is None:
            return "locked by another process, which has let go of it by now"
        return locks.describe(lock)

    def help(
        self, site: str, name: str, again: tuple[str, ...], only: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """The arguments of ``runbook`` that help. `again`: those that repeat the command.

        `only`: the option for the site, where the name alone may mean several lists.
        """
        from runbooks.mailman import locks

        lock = self.lock(site, name)
        if lock is None or not lock.blocks:
            return again
        if locks.removable(lock):
            return invocation("clear-lock", name, options=only)
        return ("locks",)
