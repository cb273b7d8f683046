"""The list server that the page speaks of, made in a container: its lists, and what befell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbooks.add_list import CHECKOUT
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


def die_holding(box: Box, folder: Path, arguments: Mapping[str, Any]) -> None:
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


MANIFEST = Path(__file__).with_name("lists.pp")


def ask_for_a_list(box: Box, folder: Path, arguments: Mapping[str, Any]) -> None:
    """An address is banned everywhere; the manifest is as it was, in a clone and on the server."""
    ban_lists(box, ["target@example.com"])
    manifest = folder / arguments["manifest"]
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(MANIFEST.read_bytes())
    site = "class { 'openstack_project::lists': listpassword => 'page' }\n"
    for directory in ("manifests", str(Path(arguments["manifest"]).parent)):
        assert box.run(["mkdir", "-p", f"{CHECKOUT}/{directory}"]).rc == 0
    box.put(f"{CHECKOUT}/manifests/site.pp", site)
    box.put(f"{CHECKOUT}/{arguments['manifest']}", MANIFEST.read_bytes())


def merge(box: Box, folder: Path, arguments: Mapping[str, Any]) -> None:
    """The change of the manifest is reviewed, merged, and comes to the server."""
    manifest = arguments["manifest"]
    box.put(f"{CHECKOUT}/{manifest}", (folder / manifest).read_bytes())


def lift_bans(box: Box, folder: Path, arguments: Mapping[str, Any]) -> None:
    """Nobody is banned yet."""
    ban_lists(box, [])


def ban_lists(box: Box, entries: list[str]) -> None:
    """Make `entries` the ban list of every list there is."""
    box.put("/tmp/page_bans", f"ban_list = {entries!r}\n")
    for site in LISTS:
        for name in mailman(box, site, ["list_lists", "-b"]).split():
            mailman(box, site, ["config_list", "-i", "/tmp/page_bans", name])
    assert box.run(["rm", "/tmp/page_bans"]).rc == 0


Event = Callable[[Box, Path, Mapping[str, Any]], None]

#: What has happened before a reader turns to a procedure, by the procedure's name. A procedure
#: that is not here begins where the one before it on the page ended.
BEFORE: dict[str, Event] = {
    "add-list": ask_for_a_list,
    "ban": lift_bans,
    "clear-lock": die_holding,
}

#: What others do once the command was run, where more is to be done afterwards.
MEANWHILE: dict[str, Event] = {"add-list": merge}


def befall(box: Box, folder: Path, procedure: str, arguments: Mapping[str, Any]) -> None:
    """Bring about what `procedure` is there for. `folder`: where the reader is at home."""
    if procedure in BEFORE:
        BEFORE[procedure](box, folder, arguments)


def come_of_it(box: Box, folder: Path, procedure: str, arguments: Mapping[str, Any]) -> None:
    """What others do between the command of `procedure` and what follows it."""
    if procedure in MEANWHILE:
        MEANWHILE[procedure](box, folder, arguments)
