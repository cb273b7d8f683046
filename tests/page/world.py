"""The list server that the page speaks of, made in a container: its lists, and what befell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runbooks.sphinxext.documented import LISTS
from tests.support.box import PROGRAMS, Box

ADMIN = "admin@example.com"


def make(box: Box) -> None:
    """The lists of the documented installation."""
    for site, lists in LISTS.items():
        for name in lists:
            mailman(box, site, ["newlist", "-q", name, ADMIN, "page"])
    for site, lists in LISTS.items():
        found = mailman(box, site, ["list_lists", "-b"]).split()
        assert sorted(found) == sorted(lists), f"{site} has {found}"


def mailman(box: Box, site: str, argv: list[str], stdin: str | None = None) -> str:
    """Run one of Mailman's programs on a site, as Mailman's user; what it prints."""
    done = box.run(
        [f"{PROGRAMS}/{argv[0]}", *argv[1:]], user="list", env=box.environment(site), stdin=stdin
    )
    assert done.rc == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def die_holding(box: Box, arguments: Mapping[str, Any]) -> None:
    """A process locks the list, and is killed while it does."""
    site, name = arguments["site"], arguments["list"]
    if name not in mailman(box, site, ["list_lists", "-b"]).split():
        mailman(box, site, ["newlist", "-q", name, ADMIN, "page"])
    box.put("/tmp/page_hold.py", "import time\ndef hold(m):\n    m.Lock()\n    time.sleep(600)\n")
    lock = f"{box.prefix(site)}/locks/{name}.lock"
    done = box.sh(
        "cd /tmp\n"
        f"{PROGRAMS}/withlist -q -r page_hold.hold {name} & holder=$!\n"
        f"for try in $(seq 100); do [ -e {lock} ] && break; sleep 0.1; done\n"
        f"kill -KILL $holder; wait $holder; [ -e {lock} ]; status=$?\n"
        "rm -f /tmp/page_hold.py\n"
        "exit $status",
        user="list",
        env={**box.environment(site), "PYTHONPATH": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.rc == 0, f"no lock was left: {done.stdout}{done.stderr}"


#: What has happened before a reader turns to a procedure, by the procedure's name. A procedure
#: that is not here begins where the one before it on the page ended.
BEFORE: dict[str, Callable[[Box, Mapping[str, Any]], None]] = {"clear-lock": die_holding}


def befall(box: Box, procedure: str, arguments: Mapping[str, Any]) -> None:
    """Bring about what `procedure` is there for."""
    if procedure in BEFORE:
        BEFORE[procedure](box, arguments)
