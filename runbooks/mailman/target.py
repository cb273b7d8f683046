"""Which lists a command is about, and why one of them could not be had: what every task shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runbooks.mailman.installation import Installation, Site, unknown_list

if TYPE_CHECKING:
    from runbooks.mailman.events import Locks
    from runbooks.mailman.locks import Lock

#: Seconds for which lists that are locked are waited for, unless told otherwise.
TIMEOUT = 10.0

#: Most processes that work on the host at a time, unless told otherwise.
MOST_JOBS = 4

#: So many lists are done in the time that it takes to start one more of them.
WORTH_A_JOB = 25


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
    #: the lists of each site that are meant; all of them when None
    lists: Mapping[str, Sequence[str]] | None = None
    #: lists worked on at a time
    jobs: int = 1
    #: seconds
    timeout: float = TIMEOUT
    #: sites that are meant as well and do not answer, and why
    silent: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        installation: Installation,
        sites: Sequence[str] = (),
        names: Sequence[str] = (),
        *,
        jobs: int | None = None,
        timeout: float = TIMEOUT,
    ) -> Target:
        """The lists called `names` on the sites called `sites`; without names, all.

        `jobs`: how many to work on at a time, if not as many as that is worth.
        Raises BadInputError for a site that is not there or does not answer, and for a list that
        none of the sites has. Where another host may have the list, it is left out here.
        """
        chosen = installation.choose_sites(sites)
        silent = {} if sites else installation.silent
        number = len(names) or sum(site.lists for site in chosen)
        jobs = jobs or _worthwhile(installation.processors, len(chosen), number)
        if not names:
            return cls(installation, chosen, None, jobs, timeout, silent)
        there, failed = installation.names(chosen)
        if not failed:
            known = {name for found in there.values() for name in found}
            missing = {name: unknown_list(name, known) for name in names if name not in known}
            installation.lacks(missing, of=names)
        lists = {
            site.name: [name for name in names if name in there.get(site.name, names)]
            for site in chosen
        }
        return cls(installation, chosen, lists, jobs, timeout, silent)

    def on(self, lists: Mapping[str, Sequence[str]]) -> Target:
        """The same for these lists alone, and for the sites that have any of them."""
        sites = tuple(site for site in self.installation.sites if lists.get(site.name))
        silent = {site: why for site, why in self.installation.silent.items() if lists.get(site)}
        return replace(self, sites=sites, lists=lists, silent=silent)

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves out lists of the installation."""
        return self.lists is not None or len(self.sites) < len(self.installation.sites)

    @property
    def site_names(self) -> tuple[str, ...]:
        """The sites that are meant, those that do not answer last."""
        return (*(site.name for site in self.sites), *self.silent)

    def only(self, site: str, *, several: bool) -> tuple[str, ...]:
        """The option for one site, where the name of a list does not say enough.

        `several`: whether more than one of the sites has a list of that name.
        """
        narrowed = len(self.sites) < len(self.installation.sites)
        return ("--site", site) if narrowed or several else ()

    def parameters(self) -> dict[str, object]:
        """For an on-host program over lists."""
        return {
            "sites": [
                site.on_host(
                    self.installation, None if self.lists is None else list(self.lists[site.name])
                )
                for site in self.sites
            ],
            "jobs": self.jobs,
            "timeout": self.timeout,
        }


def _worthwhile(processors: int, sites: int, lists: int) -> int:
    """How many lists to work on at a time. Each site has to be seen by a process of its own."""
    # More than there are processors take longer: Mailman does not wait for the disk.
    most = min(processors, MOST_JOBS)
    return max(min(sites, most), min(most, 1 + lists // WORTH_A_JOB))


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

    def stale(self, site: str, name: str) -> Lock | None:
        """The lock of a list that keeps everybody out until somebody removes it, or None.

        Mailman itself breaks one whose time is over.
        """
        from runbooks.mailman import locks

        lock = self.lock(site, name)
        is_stale = lock and lock.blocks and not lock.expired and locks.removable(lock)
        return lock if is_stale else None

    def describe(self, site: str, name: str) -> str:
        """``locked since 05:28 UTC by process 83 on lists, which no longer runs``"""
        from runbooks.mailman import locks

        lock = self.lock(site, name)
        if lock is None:
            return "locked by another process, which has released it since"
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
