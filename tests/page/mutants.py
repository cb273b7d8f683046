"""Spoils the procedures and pages, one thing at a time, and sees that the tests of the page notice.

    python tests/page/mutants.py [--mailman-image IMAGE] [NAME...]

Each is done in one copy of the checkout, and met by the tests that are meant to notice it; these
have to be green without it. Prints what each run said. Exit status 1 when one of them stayed green,
or could not be judged.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BAN, LOCK, PAGE = "runbooks/ban/page.py", "runbooks/clear_lock/page.py", "doc/source/lists.rst"
BACKGROUND = "runbooks/sphinxext/files/pages/background.rst"
UNSUBSCRIBE = "runbooks/unsubscribe/page.py"
SCRIPTED, HELP = "runbooks/scripted_change/page.py", "runbooks/add_list/command.py"

#: What notices: arguments of pytest. One Mailman is enough, where there are two.
COMMANDS = ("tests/page/test_commands.py", "-k", "not python3")
BUILDING = (
    *("tests/page/test_build.py", "tests/page/test_commands.py"),
    *("-k", "not man_page", "-m", "not container"),
)
SENTENCES = ("tests/page/test_prose.py", "-m", "not container")
SERVER = ("tests/page/test_prose.py", "-k", "server and not python3")
PASTED = "runbooks/onhost/pasted"


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
    #: the tests that have to notice it, where they are others
    noticed_by: tuple[str, ...] = ()

    @property
    def tests(self) -> tuple[str, ...]:
        return self.noticed_by or (BUILDING if self.by_building else COMMANDS)

    def spoiled(self, root: Path) -> str:
        """The text of the file with this in it. Raises ValueError where it does not apply."""
        text = (root / self.path).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its text is {count} times in {self.path}, not once")
        if self.old == self.new:
            raise ValueError(f"{self.name}: it changes nothing")
        return text.replace(self.old, self.new)


EVERYWHERE = "        *(hand.everywhere(site) for site in installation.sites),\n"
STEPPED = ("tests/unit/test_stepped.py",)
MUTANTS = (
    Mutant(
        "other steps run by --steps than the page prints",
        "runbooks/ban/command.py",
        "single=target.sites[0].first_list",
        'single=""',
        walks=("ban",),
    ),
    Mutant(
        "whatever --steps prints taken for what the page shows",
        "runbooks/terminal/stepped.py",
        'return ran.fault if ran.step.is_judged else ""',
        'return ""',
        noticed_by=STEPPED,
    ),
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
        "self.said(one_list(site, name), done=True)",
        "self.said(one_list(site, name), done=False)",
    ),
    Mutant(
        "an expected line of a command altered", BAN, "{past} and read back", "{past}, read back"
    ),
    Mutant(
        "MAILMAN_SITE_DIR left out",
        "runbooks/mailman/installation.py",
        "if site.site_dir is not None else []",
        "if site.site_dir is not None and 0 else []",
    ),
    Mutant(
        "the claim not removed",
        LOCK,
        'rm "$lock" "${lock%/*}/${claim##*/}" &&',
        'rm "$lock" &&',
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
        ".. at-a-glance::\n",
        ".. code-block:: sh\n   :class: command\n\n   mailmanctl restart\n\n.. at-a-glance::\n",
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
        "a link broken", PAGE, ":ref:`which site <sites>`", ":ref:`which <stes>`", by_building=True
    ),
    Mutant(
        "a link inside broken",
        PAGE,
        ":ref:`which site <sites>`",
        "`which site <#stes>`__",
        by_building=True,
    ),
    Mutant(
        "a program misspelt",
        UNSUBSCRIBE,
        "``remove_members`` ends",
        "``remove_member`` ends",
        noticed_by=SERVER,
    ),
    Mutant(
        "a subcommand misspelt",
        BACKGROUND,
        "``runbook sites`` also",
        "``runbook site`` also",
        noticed_by=SENTENCES,
    ),
    Mutant(
        "a path misspelt",
        BACKGROUND,
        "``/etc/mailman/sites``",
        "``/etc/mailman/sitez``",
        noticed_by=SERVER,
    ),
    Mutant(
        "an option misspelt",
        PAGE,
        "``--dry-run`` only",
        "``--dyr-run`` only",
        noticed_by=SENTENCES,
    ),
    Mutant(
        "an option of another command",
        BACKGROUND,
        "``runbook clear-lock --stale`` removes",
        "``runbook clear-lock --force`` removes",
        noticed_by=SENTENCES,
    ),
    Mutant(
        "an option that Mailman's program does not have",
        SCRIPTED,
        "``withlist -a`` stops at",
        "``withlist -A`` stops at",
        noticed_by=SERVER,
    ),
    Mutant(
        "an attribute of a list misspelt",
        SCRIPTED,
        "``admin_immed_notify``",
        "``admin_imed_notify``",
        noticed_by=SERVER,
    ),
    Mutant(
        "a setting of Mailman misspelt",
        BAN,
        "later, ``GLOBAL_BAN_LIST``",
        "later, ``GLOBAL_BAN_LISTS``",
        noticed_by=SERVER,
    ),
    Mutant(
        "a variable misspelt in a help text",
        HELP,
        "If --host or RUNBOOK_HOST names",
        "If --host or RUNBOOK_HOTS names",
        noticed_by=SENTENCES,
    ),
    Mutant(
        "a variable of Mailman misspelt",
        BACKGROUND,
        "variable ``MAILMAN_SITE_DIR`` tells",
        "variable ``MAILMAN_SITEDIR`` tells",
        noticed_by=SERVER,
    ),
    Mutant(
        "an option in a help text that is of another command",
        HELP,
        "After Puppet has run, --check looks",
        "After Puppet has run, --watch looks",
        noticed_by=SENTENCES,
    ),
    Mutant(
        "an example that is not marked",
        BAN,
        "back as :example:`target+1@example.com`",
        "back as ``target+1@example.com``",
        noticed_by=SENTENCES,
    ),
    Mutant(
        "a program marked as an example",
        UNSUBSCRIBE,
        "``remove_members`` ends",
        ":example:`remove_members` ends",
        noticed_by=SERVER,
    ),
    Mutant(
        "a link to the file that a step needs left out",
        "runbooks/sphinxext/directives.py",
        "As :ref:`above <{earlier}>`,",
        "As above,",
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
        f"{PASTED}/owners.py",
        '", ".join(sorted(m.owner)) or "nobody"',
        '", ".join(sorted(m.moderator)) or "nobody"',
        walks=("scripted-change",),
    ),
    Mutant(
        "no list banned, and said to be",
        "runbooks/terminal/report.py",
        "many(changed, 'list')",
        "many(0, 'list')",
        walks=("ban",),
    ),
    Mutant(
        "the number of sites for the number of lists",
        "runbooks/mailman/installation.py",
        "number = sum(site.lists for site in self.sites)",
        "number = len(self.sites)",
        walks=("ban",),
    ),
    Mutant(
        "a lock that expires while it is removed",
        LOCK,
        "touch -d '+1 hour'",
        "touch -d '-1 hour'",
        walks=("clear-lock",),
    ),
    Mutant(
        "the expiry of a lock for the time it was taken",
        LOCK,
        "taken at %.19z",
        "taken at %.19y",
        walks=("clear-lock",),
    ),
    Mutant(
        "a process that waits left out",
        "runbooks/mailman/locks.py",
        "for waiter in self.waiters\n        )\n        return tuple(lines)",
        "for waiter in self.waiters[1:]\n        )\n        return tuple(lines)",
        walks=("clear-lock",),
    ),
    Mutant(
        "a list left out",
        f"{PASTED}/ban.py",
        "for name in sorted(names()):",
        "for name in sorted(names())[1:]:",
        walks=("ban",),
    ),
    Mutant(
        "a ban that is not saved",
        f"{PASTED}/ban.py",
        "            m.Save()\n",
        "            pass\n",
        walks=("ban",),
    ),
    Mutant(
        "more lifted than was asked for",
        f"{PASTED}/ban.py",
        "    m.ban_list = kept\n",
        "    m.ban_list = []\n",
        walks=("unban",),
    ),
    Mutant(
        "only the first of several addresses banned",
        f"{PASTED}/ban.py",
        "edit(m, address) for address in addresses]",
        "edit(m, address) for address in addresses[:1] * len(addresses)]",
        walks=("ban",),
    ),
    Mutant(
        "what becomes of several addresses said of the wrong ones",
        f"{PASTED}/ban.py",
        "zip(outcomes, addresses)",
        "zip(outcomes, addresses[:1] * len(addresses))",
        walks=("ban",),
    ),
    Mutant(
        "who waits for a moderator left out",
        f"{PASTED}/waiting.py",
        "for _, address in to_decide(read(m, REQUESTS))]",
        "for _, address in to_decide({})]",
        walks=("find-victims",),
    ),
    Mutant(
        "the policy from before the closing forgotten",
        f"{PASTED}/closing.py",
        "setattr(m, KEPT, m.subscribe_policy)",
        "setattr(m, KEPT, 1)",
        walks=("close-lists",),
    ),
    Mutant(
        "moderators not found",
        f"{PASTED}/whereis.py",
        '(("owner", "owner"), ("moderator", "moderator"))',
        '(("owner", "owner"),)',
        walks=("find-address",),
    ),
    Mutant(
        "what one other list bans, banned from a new one",
        f"{PASTED}/catch_up.py",
        "if (all(refuses(",
        "if (any(refuses(",
        walks=("add-list",),
    ),
    Mutant(
        "an example on the page that is not true",
        "runbooks/terminal/shown.py",
        'shown=f"{len(site.all_lists):,}"',
        'shown=f"{len(site.lists):,}"',
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


@contextmanager
def spoiled(folder: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with one thing wrong in it, and afterwards without."""
    path = folder / mutant.path
    good = path.read_bytes()
    path.write_text(mutant.spoiled(folder), encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(good)


class UnjudgedError(Exception):
    """The tests neither passed nor failed: they could not run. The message says why."""


def said(folder: Path, mutant: Mutant, image: str) -> list[str]:
    """What the tests that are to notice say of the copy as it is; nothing when they pass."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short"),
            *("--mailman-image", image, *mutant.tests),
        ],
        cwd=folder,
        # What is compiled of a file is found again by its size and its second: a file may be
        # spoiled and mended within one.
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RUNBOOK_WALK_ONLY": " ".join(mutant.walks),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return []
    if done.returncode != 1:
        words = (done.stdout + done.stderr)[-2000:]
        raise UnjudgedError(f"pytest ended with {done.returncode}:\n{words}")
    telling = re.compile(
        r"^(E  +\S|lists\.html#|runbooks/|/.*WARNING|    \||  and it printed|FAILED|ERROR)"
    )
    return [line for line in done.stdout.splitlines() if telling.match(line)] or [
        done.stdout[-2000:]
    ]


def judge(mutants: Iterable[Mutant], folder: Path, image: str) -> list[str]:
    """The names of those that were not noticed."""
    missed: list[str] = []
    sound: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for mutant in mutants:
        try:
            if (mutant.tests, mutant.walks) not in sound:
                # Red without any mutant, they would be red with each.
                if red := said(folder, mutant, image):
                    raise UnjudgedError("\n".join(["its tests fail without it:", *red]))
                sound.add((mutant.tests, mutant.walks))
            with spoiled(folder, mutant):
                lines = said(folder, mutant, image)
            verdict = "red" if lines else "GREEN"
        except (UnjudgedError, ValueError) as problem:
            verdict, lines = "NOT JUDGED", str(problem).splitlines()
        print(f"\n== {mutant.name} ({mutant.path}): {verdict}", flush=True)
        for line in lines[:14]:
            print(f"   {line[:200]}", flush=True)
        if len(lines) > 14:
            print(f"   … and {len(lines) - 14} lines more", flush=True)
        if verdict != "red":
            missed.append(mutant.name)
    return missed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Sees that the tests notice what is wrong.")
    parser.add_argument("--mailman-image", default="standin", metavar="IMAGE")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - {mutant.name for mutant in MUTANTS}:
        parser.error(f"there is no mutant {', '.join(map(repr, sorted(unknown)))}")
    chosen = [mutant for mutant in MUTANTS if not given.names or mutant.name in given.names]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy(Path(folder))
        missed = judge(chosen, Path(folder), given.mailman_image)
    print(f"\nnot noticed: {', '.join(missed)}" if missed else "\neach of them was noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
