"""What a terminal shows of ``runbook`` on the server that the pages are about.

Of the parts that several commands share. The names, the numbers and the widths of the columns are
those of the sites and lists in `runbooks.book.whose`; see `runbooks.book.expected`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runbooks.book import expected
from runbooks.book.expected import placeholder
from runbooks.book.whose import WrittenSite, whose
from runbooks.terminal.console import columns, many

_RUN = "20261122-052801-4f9a1c"


def counted(shown: str, number: int, noun: str) -> str:
    """``{MEMBERSHIPS a@b.org:2} lists``: what stands for a number, and what there is of it."""
    return f"{shown} {many(number, noun).partition(' ')[2]}"


def lists(site: WrittenSite | None = None) -> str:
    """How many lists a site has, or all sites together."""
    if site is None:
        return placeholder("LISTS", shown=f"{whose().number_of_lists:,}")
    return placeholder("LISTS", site.name, shown=f"{len(site.all_lists):,}")


def heading(new: int = 0) -> str:
    """The installation. `new`: lists that have been made since."""
    found = whose()
    sites, number = many(len(found.sites), "site"), found.number_of_lists + new
    return (
        f"{{HOST:{found.server.hostname}}} · Mailman {{MAILMAN:2.1.39}}"
        f" · {sites}, {{LISTS:{number:,}}} lists"
    )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns, each as wide as what the page shows in its widest cell."""
    lines = columns(rows, size=lambda cell: len(expected.as_shown(cell)))
    return "\n".join(line for row in lines for line in row)


def by_site(cell: Callable[[WrittenSite], str] | None = None) -> str:
    """A row for each site: how many lists it has, and what else is said of them."""
    return table(
        [
            (
                site.name,
                f"{lists(site)} lists",
                *((cell(site),) if cell else ()),
            )
            for site in whose().sites
        ]
    )


def first_list() -> str:
    """The first list of the first site, as it is told from those of the other sites."""
    first = whose().first
    others = [site for site in whose().sites if site is not first]
    is_shared = any(first.first_list in site.lists for site in others)
    return f"{first.first_list} ({first.name})" if is_shared else first.first_list


def progress() -> str:
    """The bar, when all lists are done."""
    return f"{{BAR:━━━━━━━━━━━━━━━━━━━━}} {lists()}/{lists()} {{ELAPSED:0:00:01}}"


def recorded(run: str = _RUN) -> str:
    found = whose()
    journal = f"{found.folder(found.first)}/runbook/journal.jsonl"
    return f"recorded as {{RUN:{run}}} in {found.server.hostname}:{journal}"


def host_option() -> str:
    """By what a command that is suggested reaches the host."""
    return placeholder("HOST_OPTION", shown=f" --host {whose().server.spec}")


def undo() -> str:
    return f"to take it back: runbook undo {{RUN:{_RUN}}}{host_option()}"


def restore() -> str:
    return f"to put them back: runbook withlist --restore {{RUN:{_RUN}}}{host_option()}"


def script(call: str, line: str, *changed: str) -> str:
    """``runbook withlist`` with a script that comes along.

    `call`: of its function. `line`: what it prints of each list. `changed`: the attributes that it
    changes on all of them.
    """
    return "\n".join(
        (
            heading(),
            by_site(),
            f"  {call}, which comes with runbook, compiles under Python {{PYTHON:2.7.18}} there",
            f"Run {call.partition('(')[0]} on {lists()} lists? [y/N] {{ANSWER:y}}",
            line,
            expected.MORE,
            progress(),
            f"{lists()} lists: {lists()} {'changed' if changed else 'unchanged'}",
            *([f"changed attributes: {', '.join(changed)}"] if changed else ()),
            recorded(),
            *([restore()] if changed else ()),
        )
    )
