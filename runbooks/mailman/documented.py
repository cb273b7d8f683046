"""The installation that the pages are about: the one of `runbooks.book.whose`.

It is what a container with the site layout ``multi`` really has, so that every command on a
page runs there as it is printed; a test compares the two.
"""

from __future__ import annotations

from runbooks.book.whose import SITE_LIST, WrittenSite, whose
from runbooks.host.host import Host
from runbooks.mailman.clock import Clock
from runbooks.mailman.installation import Installation, Site

#: Where the readers of the pages log in.
SERVER = whose().server.name

#: How ``runbook`` reaches it from where they are.
REACHED = whose().server.spec

#: The address and the list that the commands are about until a reader types others.
TARGET = "target@example.com"
LISTED = whose().examples.list

#: The lists of each site. The outputs on the pages are those of a server that has them.
LISTS = {site.name: site.all_lists for site in whose().sites}


def _site(site: WrittenSite) -> Site:
    prefix = whose().folder(site)
    return Site(
        name=site.name,
        site_dir=prefix,
        mail_domain=site.domain,
        url_domain=site.domain,
        prefix=prefix,
        list_dir=f"{prefix}/lists",
        lock_dir=f"{prefix}/locks",
        name_characters="[-+_.=a-z0-9]",
        lock_lifetime=5 * 60 * 60,
        user="list",
        group="list",
        uid=38,
        site_list=SITE_LIST,
        lists=len(site.all_lists),
        first_list=site.first_list,
    )


INSTALLATION = Installation(
    host=Host("local://"),
    hostname=whose().server.hostname,
    version="2.1.39",
    note="",
    bin=whose().mailman.programs,
    interpreter="/usr/bin/python2.7",
    python="2.7.18",
    clock=Clock(0),
    processors=2,
    uid=0,
    sites=tuple(map(_site, whose().sites)),
)
