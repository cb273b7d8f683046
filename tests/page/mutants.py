"""Spoils the procedures and pages, one thing at a time, and sees that the tests of the page notice.

    python tests/page/mutants.py [NAME...]

Each is done in a copy of the checkout: by the tests that run the commands, on one container, or by
those that only build the pages where these are to notice. Prints what each run said. Exit status 1
when one of them stayed green.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BAN, LOCK, PAGE = "runbooks/ban.py", "runbooks/clear_lock.py", "doc/source/lists.rst"
ONHOST, COMMANDS = "runbooks/onhost", "runbooks/commands"


@dataclass(frozen=True)
class Mutant:
    """One thing that is wrong: `old`, which is in the file once, becomes `new`."""

    name: str
    path: str
    old: str
    new: str
    #: it has to be noticed without running a command
    by_building: bool = False
    #: the procedures that are walked, by name, where it has to be noticed at one of these
    walks: tuple[str, ...] = ()


EVERYWHERE = "        *(hand.everywhere(site) for site in installation.sites),\n"
MUTANTS = (
    Mutant(
        "a flag dropped from a command",
        BAN,
        '("-q", "-a", "-r", function, *end, *arguments)',
        '("-a", "-r", function, *end, *arguments)',
    ),
    Mutant(
        "a path changed",
        BAN,
        'path = f"{self.installation.bin}/ban.py"',
        'path = f"{self.installation.bin}/../ban.py"',
    ),
    Mutant("a step removed", BAN, EVERYWHERE, EVERYWHERE.replace(".sites)", ".sites[:1])")),
    Mutant(
        "a step removed that changes nothing",
        BAN,
        "        *(hand.check(site) for site in sites),\n",
        "        *(hand.check(site) for site in sites[:1]),\n",
        by_building=True,
    ),
    Mutant(
        "two steps swapped",
        BAN,
        "        hand.create(),\n" + EVERYWHERE,
        EVERYWHERE.replace(".sites)", ".sites[:1])")
        + "        hand.create(),\n"
        + EVERYWHERE.replace(".sites)", ".sites[1:])"),
        walks=("ban-pattern",),
    ),
    Mutant(
        "two steps swapped that do the same on another site",
        BAN,
        EVERYWHERE,
        EVERYWHERE.replace(".sites)", ".sites[::-1])"),
        by_building=True,
    ),
    Mutant(
        "an expected line altered",
        BAN,
        'f"{name}: {_DONE_ALREADY[self.action].value}"',
        'f"{name}: {self.past}"',
    ),
    Mutant(
        "an expected line of a command altered", BAN, "{past} and read back", "{past}, read back"
    ),
    Mutant(
        "MAILMAN_SITE_DIR left out",
        "runbooks/mailman.py",
        "if site.site_dir is not None else []",
        "if site.site_dir is not None and 0 else []",
    ),
    Mutant(
        "the claim not removed",
        LOCK,
        'rm "$lock" "${lock%/*}/${claim##*/}"; then',
        'rm "$lock"; then',
    ),
    Mutant(
        "a dot unescaped",
        BAN,
        r'r"^target(\+.*)?@example\.com$"',
        r'r"^target(\+.*)?@example.com$"',
    ),
    Mutant(
        "a block that nobody runs",
        PAGE,
        ".. _sites:\n",
        ".. code-block:: sh\n   :class: command\n\n   mailmanctl restart\n\n.. _sites:\n",
        by_building=True,
    ),
    Mutant(
        "a block that nobody runs, without a button",
        PAGE,
        ".. procedure:: unban\n",
        ".. procedure:: unban\n\n::\n\n   mailmanctl restart\n",
        by_building=True,
    ),
    Mutant(
        "a link broken", PAGE, ".. _sites:\n", "See :ref:`stes`.\n\n.. _sites:\n", by_building=True
    ),
    Mutant(
        "a link inside broken",
        PAGE,
        ".. _sites:\n",
        "`Sites <#stes>`__\n\n.. _sites:\n",
        by_building=True,
    ),
    Mutant(
        "a link to the file that a step needs left out",
        "runbooks/sphinxext/directives.py",
        "through :ref:`{earlier}`.",
        "through it.",
        by_building=True,
    ),
    Mutant(
        "a step left out whose file another procedure leaves",
        BAN,
        "        hand.create(),\n" + EVERYWHERE,
        EVERYWHERE,
        walks=("ban", "ban-pattern"),
    ),
    Mutant(
        "the moderators for the owners",
        f"{ONHOST}/owners.py",
        '", ".join(sorted(m.owner)) or "nobody"',
        '", ".join(sorted(m.moderator)) or "nobody"',
        walks=("scripted-change",),
    ),
    Mutant(
        "no list banned, and said to be",
        f"{COMMANDS}/ban.py",
        "many(changed, 'list')",
        "many(0, 'list')",
        walks=("ban",),
    ),
    Mutant(
        "the number of sites for the number of lists",
        "runbooks/mailman.py",
        "number = sum(site.lists for site in self.sites)",
        "number = len(self.sites)",
        walks=("ban",),
    ),
    Mutant(
        "a lock that expires while it is removed",
        LOCK,
        "touch -d \\'+1 hour\\'",
        "touch -d \\'-1 hour\\'",
        walks=("clear-lock",),
    ),
    Mutant(
        "the expiry of a lock for the time it was taken",
        LOCK,
        'LC_ALL=C date -d "@$(stat -c %Z',
        'LC_ALL=C date -d "@$(stat -c %Y',
        walks=("clear-lock",),
    ),
    Mutant(
        "a process that waits left out",
        "runbooks/locks.py",
        "for waiter in self.waiters\n        )\n        return tuple(lines)",
        "for waiter in self.waiters[1:]\n        )\n        return tuple(lines)",
        walks=("clear-lock",),
    ),
    Mutant(
        "a list left out",
        f"{ONHOST}/ban.py",
        "for name in sorted(names()):",
        "for name in sorted(names())[1:]:",
        walks=("ban",),
    ),
    Mutant(
        "a ban that is not saved",
        f"{ONHOST}/ban.py",
        "            m.Save()\n",
        "            pass\n",
        walks=("ban",),
    ),
    Mutant(
        "more lifted than was asked for",
        f"{ONHOST}/ban.py",
        "    m.ban_list = kept\n",
        "    m.ban_list = []\n",
        walks=("unban",),
    ),
    Mutant(
        "the policy from before the closing forgotten",
        f"{ONHOST}/closing.py",
        "setattr(m, KEPT, m.subscribe_policy)",
        "setattr(m, KEPT, 1)",
        walks=("close-lists",),
    ),
    Mutant(
        "moderators not found",
        f"{ONHOST}/whereis.py",
        '(("owner", "owner"), ("moderator", "moderator"))',
        '(("owner", "owner"),)',
        walks=("find-address",),
    ),
    Mutant(
        "what one other list bans, banned from a new one",
        f"{ONHOST}/catch_up.py",
        "if (all(refuses(",
        "if (any(refuses(",
        walks=("add-list",),
    ),
    Mutant(
        "an example on the page that is not true",
        BAN,
        "{{LISTS openstack:4}} lists",
        "{{LISTS openstack:5}} lists",
        walks=("ban",),
    ),
)


def copy(folder: Path) -> None:
    """The checkout as it is now, without what is not part of it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())


def run(mutant: Mutant) -> list[str]:
    """What the tests say of it; nothing when they notice nothing."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        folder = Path(directory)
        copy(folder)
        path = folder / mutant.path
        text = path.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.name}: {mutant.path} does not have its text once")
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"),
                *("--mailman-image", "standin", "-k", "not python3 and not man_page"),
                f"tests/page/test_{'build' if mutant.by_building else 'commands'}.py",
            ],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(folder),
                "RUNBOOK_WALK_ONLY": " ".join(mutant.walks),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return []
    telling = re.compile(r"^(E  +\S|lists\.html#|/.*WARNING|    \||  and it printed|FAILED|ERROR)")
    return [line for line in done.stdout.splitlines() if telling.match(line)] or [
        done.stdout[-2000:]
    ]


def main(names: list[str]) -> int:
    stayed_green = []
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        said = run(mutant)
        print(f"\n== {mutant.name} ({mutant.path}): {'red' if said else 'GREEN'}", flush=True)
        for line in said[:14]:
            print(f"   {line[:200]}", flush=True)
        if len(said) > 14:
            print(f"   … and {len(said) - 14} lines more", flush=True)
        if not said:
            stayed_green.append(mutant.name)
    print()
    if stayed_green:
        print(f"not noticed: {', '.join(stayed_green)}")
        return 1
    print("each of them was noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
