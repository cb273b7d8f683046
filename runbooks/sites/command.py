"""``runbook sites``."""

from __future__ import annotations

from typing import Any

import click

from runbooks.book.whose import whose
from runbooks.mailman.installation import Installation
from runbooks.terminal import options
from runbooks.terminal.console import Screen, many


@click.command(epilog=f"\b\nExample:\n  runbook sites --host {whose().server.spec}")
@options.together(options.host, options.json)
def sites(**chosen: Any) -> int:
    """Show the Mailman 2 on a host, and what is wrong with it.

    Everything comes from the installation itself: version, Python, user, sites, folders.
    The exit status is 1 if something is wrong with it.
    """
    return options.on_installations(_show, **chosen)


def _show(screen: Screen, found: Installation) -> int:
    screen.say(found.title, style="bold")
    screen.table(
        [
            ("programs", found.bin),
            ("Python", f"{found.python}  {found.interpreter}"),
            ("user", f"{found.user}, group {found.group}"),
        ]
    )
    for site in found.sites:
        screen.say()
        screen.say(f"  {site.name}", style="bold")
        rows = [
            ("lists", f"{many(site.lists, 'list')} in {site.list_dir}"),
            ("locks", f"{site.lock_dir}, for {site.lock_lifetime / 3600:g} hours"),
            ("mail", f"NAME@{site.mail_domain}"),
        ]
        if site.site_dir is not None:
            rows.append(("variable", f"MAILMAN_SITE_DIR={site.site_dir}"))
        screen.table(rows, indent=4)
        for problem in site.problems:
            screen.say(f"    wrong: {problem}", style="red")
        screen.object(
            host=found.host.spec,
            site=site.name,
            site_dir=site.site_dir,
            lists=site.lists,
            list_dir=site.list_dir,
            lock_dir=site.lock_dir,
            lock_lifetime=site.lock_lifetime,
            mail_domain=site.mail_domain,
            problems=list(site.problems),
        )
    for problem in found.problems:
        screen.say(f"  wrong: {problem}", style="red")
    screen.object(
        host=found.host.spec,
        hostname=found.hostname,
        mailman=found.version,
        note=found.note,
        python=found.python,
        programs=found.bin,
        user=found.user,
        problems=list(found.problems),
    )
    return 1 if found.problems or any(site.problems for site in found.sites) else 0
