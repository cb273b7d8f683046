"""The installation that the pages are about.

It is what a container with the site layout ``multi`` really has, so that every command on a
page runs there as it is printed; a test compares the two.
"""

from __future__ import annotations

from runbooks.host.host import Host
from runbooks.mailman.clock import Clock
from runbooks.mailman.installation import Installation, Site

#: Where the readers of the pages log in.
SERVER = "lists.openstack.org"

#: How ``runbook`` reaches it from where they are.
REACHED = f"ssh://root@{SERVER}"

#: The address and the list that the commands are about until a reader types others.
TARGET = "target@example.com"
LISTED = "openstack-foo"

#: The lists of each site. The outputs on the pages are those of a server that has them.
LISTS = {
    "openstack": ("mailman", "openstack-announce", "openstack-discuss", "openstack-infra"),
    "zuul": ("mailman", "zuul-announce", "zuul-discuss"),
}


def _site(name: str) -> Site:
    prefix = f"/srv/mailman/{name}"
    return Site(
        name=name,
        site_dir=prefix,
        mail_domain="lists.example.org",
        url_domain="lists.example.org",
        prefix=prefix,
        list_dir=f"{prefix}/lists",
        lock_dir=f"{prefix}/locks",
        name_characters="[-+_.=a-z0-9]",
        lock_lifetime=5 * 60 * 60,
        user="list",
        group="list",
        uid=38,
        site_list="mailman",
        lists=len(LISTS[name]),
        first_list=next(one for one in LISTS[name] if one != "mailman"),
    )


INSTALLATION = Installation(
    host=Host("local://"),
    hostname="lists",
    version="2.1.39",
    note="",
    bin="/usr/lib/mailman/bin",
    interpreter="/usr/bin/python2.7",
    python="2.7.18",
    clock=Clock(0),
    processors=2,
    uid=0,
    sites=tuple(_site(name) for name in LISTS),
)
