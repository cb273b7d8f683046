"""The list server that the page speaks of, made in a container: its lists, and what befell them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runbooks.book.procedure import Event, paste
from runbooks.book.whose import whose
from runbooks.mailman.documented import INSTALLATION, LISTS
from runbooks.mailman.installation import Installation
from runbooks.mailman.printed import AnyProcedure, steps_of
from runbooks.procedures import find
from runbooks.testing.containers.box import LAYOUTS, PROGRAMS, Box
from runbooks.testing.page.puppet import install_module

ADMIN = whose().examples.administrator

#: What is not the same on every list: what a command says of one list is not true of another. Of
#: the first site's lists but its first one, which stands for all.
SETTINGS: tuple[dict[str, Any], ...] = (
    {
        "owner": ["second@example.com", ADMIN],
        "moderator": ["watch@example.com"],
        "subscribe_policy": 3,
    },
    {
        "owner": ["infra@example.com"],
        "moderator": [ADMIN],
        "subscribe_policy": 2,
        "ban_list": ["other@example.com"],
    },
)

#: The same of the last site.
SETTINGS_OF_LAST: tuple[dict[str, Any], ...] = (
    {
        "owner": ["last@example.com"],
        "accept_these_nonmembers": [ADMIN],
        "ban_list": ["^spam.*@example[.]org$"],
    },
)


def make(box: Box) -> None:
    """The sites and lists of the documented installation, and what is set on some of them."""
    lay_over(box)
    install_module(box)
    for site, lists in LISTS.items():
        for name in lists:
            mailman(box, site, ["newlist", "-q", name, ADMIN, "page"])
    for written, chosen in ((whose().first, SETTINGS), (whose().sites[-1], SETTINGS_OF_LAST)):
        others = [name for name in written.lists if name != written.first_list]
        for name, settings in zip(others, chosen, strict=False):
            configure(box, written.name, name, settings)
    for site, lists in LISTS.items():
        found = mailman(box, site, ["list_lists", "-b"]).split()
        assert sorted(found) == sorted(lists), f"{site} has {found}"


def lay_over(box: Box) -> None:
    """Lay the documented sites over those that the container has, and set its clock's zone."""
    words = []
    for site in whose().sites:
        words += [whose().folder(site), site.domain, site.domain]
    done = box.run(["sh", "-s", "--", *words], stdin=(LAYOUTS / "multi.sh").read_bytes())
    assert done.rc == 0, done.stderr
    sites = {site.name: whose().folder(site) for site in whose().sites}
    gone = [folder for folder in box.sites.values() if folder and folder not in sites.values()]
    assert box.run(["rm", "-rf", *gone]).rc == 0
    box.sites = dict(sites)
    zone = whose().server.time_zone
    if zone != "UTC":
        done = box.sh(
            f"zone=/usr/share/zoneinfo/{zone}; test -e $zone && ln -sf $zone /etc/localtime"
        )
        assert done.rc == 0, f"the image does not know the time zone {zone}"


def mailman(box: Box, site: str, argv: list[str], stdin: str | None = None) -> str:
    """Run one of Mailman's programs on a site, as Mailman's user; what it prints."""
    done = box.run(
        [f"{PROGRAMS}/{argv[0]}", *argv[1:]], user="list", env=box.environment(site), stdin=stdin
    )
    assert done.rc == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def configure(box: Box, site: str, name: str, settings: Mapping[str, Any]) -> None:
    """Set attributes of a list."""
    lines = "".join(f"{attribute} = {value!r}\n" for attribute, value in settings.items())
    box.put("/tmp/page_settings", lines)
    mailman(box, site, ["config_list", "-i", "/tmp/page_settings", name])
    assert box.run(["rm", "/tmp/page_settings"]).rc == 0


def befall(box: Box, folder: Path, procedure: AnyProcedure) -> None:
    """Bring about what `procedure` is there for. `folder`: where the reader is at home."""
    if procedure.after:
        leave_behind(box, find(procedure.after))
    happen(box, folder, procedure, procedure.befalls)


def leave_behind(box: Box, procedure: AnyProcedure) -> None:
    """Go through a procedure by hand, and leave what it did, but none of the files it needed."""
    steps = steps_of(procedure)
    for step in steps:
        done = box.sh(paste(step))
        assert done.rc == 0, f"{step.name}: {done.stdout}{done.stderr}"
    made = [step.creates.path for step in steps if step.creates]
    assert box.run(["rm", *made]).rc == 0


def come_of_it(box: Box, folder: Path, procedure: AnyProcedure) -> None:
    """What others do between the command of `procedure` and what follows it."""
    happen(box, folder, procedure, procedure.meanwhile)


def happen(
    box: Box,
    folder: Path,
    procedure: AnyProcedure,
    make: Callable[[Installation, Any], Event] | None,
) -> None:
    """Bring about an event: in the reader's clone, which is in `folder`, and on the server."""
    event = make(INSTALLATION, procedure.example) if make else Event()
    for file in event.clone:
        path = folder / file.path
        path.parent.mkdir(parents=True)
        path.write_text(file.content, encoding="utf-8")
    for here, there in event.merged.items():
        assert box.run(["mkdir", "-p", str(Path(there).parent)]).rc == 0
        box.put(there, (folder / here).read_bytes())
    done = box.sh(event.script)
    assert done.rc == 0, f"{event.script}: {done.stdout}{done.stderr}"


# -- what others do at the same time ------------------------------------------------------

#: For withlist: who waits for a list, and who turns up just when its lock is being removed.
_OTHERS = """\
import time
from Mailman import LockFile
def wait(m):
    m.Lock()
    time.sleep(4)
    m.Unlock()
def turn_up(m):
    try:
        m.Lock(timeout=1.0)
    except LockFile.TimeOutError:
        open("/tmp/page_tried", "w").close()
    else:
        open("/tmp/page_tried", "w").close()
        time.sleep(4)
        m.Unlock()
"""

#: ``touch``, and a moment in which somebody else asks for the lock, as may happen on any server.
_TOUCH = """\
#!/bin/sh
/usr/bin/touch "$@" || exit
case "$*" in *.lock)
  {turn_up} < /dev/null > /dev/null 2>&1 &
  for try in $(seq 100); do [ -e /tmp/page_tried ] && break; sleep 0.1; done
esac
"""


@contextmanager
def company(box: Box, procedure: AnyProcedure) -> Iterator[None]:
    """Those who want the list while its lock is removed: one waits, and gets it afterwards; the
    other comes in the very moment, and would break a lock that has expired.
    """
    if procedure.wanted is None:
        yield
        return
    site, name = procedure.wanted(procedure.example)
    box.put("/tmp/page_others.py", _OTHERS)
    variables = {**box.environment(site), "PYTHONPATH": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    words = " ".join(f"{key}={value}" for key, value in variables.items())
    run = f"sudo -u list {words} {PROGRAMS}/withlist -q -r page_others.%s {name}"
    box.put("/usr/local/bin/touch", _TOUCH.format(turn_up=run % "turn_up"), mode=0o755)
    claims = f"ls {box.prefix(site)}/locks/{name}.lock.* | wc -l"
    done = box.sh(
        f"before=$({claims})\n"
        f"{run % 'wait'} < /dev/null > /dev/null 2>&1 &\n"
        f"for try in $(seq 100); do [ $({claims}) -gt $before ] && exit; sleep 0.1; done; exit 1"
    )
    assert done.rc == 0, "nobody waits for the lock"
    yield
    done = box.sh(
        "for try in $(seq 200); do pgrep -u list -f page_others || break; sleep 0.1; done\n"
        "rm -f /tmp/page_tried /tmp/page_others.py /usr/local/bin/touch\n"
        "! pgrep -u list -f page_others"
    )
    assert done.rc == 0, "those who wanted the lock are still there"
