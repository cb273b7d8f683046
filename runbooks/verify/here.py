"""The server that a page is held against, and what there is on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from runbooks.mailman import events
from runbooks.mailman.events import Event, Outcome
from runbooks.mailman.installation import Installation, Site
from runbooks.mailman.target import Target
from runbooks.mailman.truth import ATTRIBUTES, Listing
from runbooks.mailman.work import Work, over_lists


@dataclass(frozen=True)
class Here:
    """What there is on the server, and what the page says that there is."""

    found: Installation
    page: Installation
    #: every list that loads, by site and name
    lists: Mapping[tuple[str, str], Listing]
    #: by site: a list that Mailman could not load without changing it, and why
    broken: Mapping[str, tuple[str, str]]

    def site(self, folder: str) -> Site | None:
        """The site that a value of MAILMAN_SITE_DIR means."""
        return next((site for site in self.found.sites if site.site_dir == folder), None)

    def of(self, site: Site) -> list[Listing]:
        """The lists of a site."""
        return [one for one in self.lists.values() if one.site == site.name]


def look(target: Target, page: Installation, addresses: Collection[str]) -> Here:
    """See which lists there are, and what they have. Changes nothing.

    `addresses`: those of which each list says whether it refuses them.
    """
    seen: dict[tuple[str, str], Listing] = {}

    def hear(event: Event) -> None:
        if isinstance(event, events.Seen):
            seen[event.site, event.list] = Listing(event.site, event.list, event.has)

    parameters = {"attributes": ATTRIBUTES, "addresses": sorted(addresses)}
    work = over_lists(target, "loading", parameters, (Outcome.LOOKED,), on_event=hear)
    check(work)
    broken: dict[str, tuple[str, str]] = {}
    for answer in work.left:
        broken.setdefault(answer.site, (answer.list or "", answer.detail))
    return Here(target.installation, page, dict(sorted(seen.items())), broken)


def check(work: Work) -> None:
    """Raise KeyboardInterrupt unless a run over lists came to its end: it would prove nothing."""
    if work.ended_early:
        raise KeyboardInterrupt
