"""*Clearing a Stale Lock*, as the page prints it: the steps by hand."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, Procedure, Step, Trouble
from runbooks.mailman.installation import (
    Installation,
    Site,
    as_mailman,
    as_mailmans_python,
    python_text,
)


@dataclass(frozen=True)
class ClearArguments:
    """What clearing a stale lock is told."""

    list: str
    #: the name of its site
    site: str

    def site_of(self, installation: Installation) -> Site:
        return next(site for site in installation.sites if site.name == self.site)

    def lock(self, installation: Installation) -> str:
        return f"{self.site_of(installation).lock_dir}/{self.list}.lock"


def befalls(installation: Installation, arguments: ClearArguments) -> Event:
    """A process locks the list, which is made if it is not there, and is killed while it does."""
    site, name = arguments.site_of(installation), shlex.quote(arguments.list)
    make = ("newlist", "-q", arguments.list, "admin@example.com", "a password")
    die = "m.Lock(); import os; os.kill(os.getpid(), 9)"
    return Event(
        f"{as_mailman(installation, site, 'list_lists', '-b')} | grep -qxF -e {name} ||\n"
        f"  {as_mailman(installation, site, *make)} || exit\n"
        f"{_with_the_list(installation, arguments, die)}\n"
        f"[ -e {shlex.quote(arguments.lock(installation))} ]"
    )


def steps(installation: Installation, arguments: ClearArguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    name, site = arguments.list, arguments.site_of(installation)
    path = arguments.lock(installation)
    claim = f"{path}.{installation.hostname}.4711.0"

    # No process id is known when this is printed.
    read = f'lock={shlex.quote(path)}\nclaim=$(cat "$lock"); pid=${{claim%.*}}; pid=${{pid##*.}}\n'

    def of_lock(what: str, shown: str) -> str:
        return placeholder("LOCK", what, site.name, name, shown=shown)

    dead = placeholder("DEAD", site.name, name, shown="4711")
    listed = f"{site.user} {site.group}"
    return (
        Step(
            "see-lock",
            "See the lock",
            "The lock and the *claim* of the process that has it are two names of one file: hence"
            " the 2 behind the permissions. The time is when the lock expires. A claim with a 1"
            " belongs to a process that waits, or that died waiting.",
            f"ls -l --time-style=full-iso {shlex.quote(path)}*",
            f"-rw-rw-r-- 2 {listed} {of_lock('size', '66')} {of_lock('expiry', _EXPIRY)} {path}\n"
            f"-rw-rw-r-- {{LINKS:2}} {listed} {{SIZE:66}} {{STAMP:{_EXPIRY}}}"
            f" {placeholder('CLAIM', site.name, name, shown=claim)}\n"
            f"{MORE}",
        ),
        Step(
            "read-lock",
            "See who has it",
            "The lock contains the path of the claim. Read its name from the right: a number, the"
            " process id, the host.",
            f"cat {shlex.quote(path)}; echo",
            of_lock("claim", claim),
        ),
        Step(
            "find-holder",
            "See whether that process runs",
            "**Stop here** if a process is shown that started before the lock was taken: it has the"
            " lock, even when it is stopped (``T``). Stop as well if the claim names another host.",
            f"{read}"
            "stat -c 'taken at %.19z' \"$lock\"\n"
            'ps -o stat= -o lstart= -o args= -p "$pid" || echo "$(uname -n) has no process $pid"',
            f"taken at {of_lock('taken_at', '2024-05-01 05:28:14')}\n"
            f"{installation.hostname} has no process {dead}",
        ),
        Step(
            "remove-lock",
            "Remove both names",
            "Each line is a condition for the next. Anything else is left alone.",
            f"{read}"
            '[ "${claim##*/}" = "${lock##*/}.$(uname -n).$pid.${claim##*.}" ] &&  # of this host\n'
            '  [ "$lock" -ef "${lock%/*}/${claim##*/}" ] &&  # both names are one file\n'
            '  [ "$pid" -gt 0 ] && [ ! -e "/proc/$pid" ] &&  # its process is gone\n'
            "  touch -d '+1 hour' \"$lock\" &&  # nobody breaks the lock meanwhile\n"
            '  [ "$(cat "$lock")" = "$claim" ] &&  # it is still the same lock\n'
            '  rm "$lock" "${lock%/*}/${claim##*/}" && echo removed || echo left alone',
            "removed",
        ),
        Step(
            "lock-again",
            "See that the list goes on",
            "Mailman's own code locks the list and unlocks it. It waits up to ten seconds for"
            " processes that were waiting before.",
            _with_the_list(
                installation,
                arguments,
                f"m.Lock(timeout=10); m.Unlock(); print({python_text(f'{name}: can be locked')})",
            ),
            f"{name}: can be locked",
        ),
    )


def _with_the_list(installation: Installation, arguments: ClearArguments, then: str) -> str:
    """Has Mailman's own code do `then`, a line of Python, with the list `m`."""
    return as_mailmans_python(
        installation,
        arguments.site_of(installation),
        "from Mailman.MailList import MailList;"
        f" m = MailList({python_text(arguments.list)}, lock=0); {then}",
    )


_EXPIRY = "2024-05-01 10:28:14.060000000 +0000"

#: What a terminal shows of ``runbook clear-lock`` on the installation of the docs.
_SHOWS = (
    "{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:8} lists\n"
    "  openstack-foo (openstack)  locked since {LOCK taken openstack openstack-foo:05:28 UTC}"
    " by process {LOCK pid openstack openstack-foo:4711} on lists, which no longer runs\n"
    "    openstack-foo.lock and"
    " {LOCK claim_name openstack openstack-foo:openstack-foo.lock.lists.4711.0}"
    " in /srv/mailman/openstack/locks\n"
    "    inode {LOCK inode openstack openstack-foo:131}, link count 2,"
    " taken {LOCK taken openstack openstack-foo:05:28 UTC},"
    " expires {LOCK expires openstack openstack-foo:10:28 UTC}\n"
    "    no process has the id {DEAD openstack openstack-foo:4711}\n"
    "    process {WAITER pid openstack openstack-foo:4811} on lists waits since {CLOCK:05:31 UTC}\n"
    "Remove 1 stale lock? [y/N] {ANSWER:y}\n"
    "1 stale lock removed and read back:\n"
    "  openstack-foo (openstack)  now locked since {CLOCK:05:40 UTC} by process"
    " {WAITER pid openstack openstack-foo:4811} on lists, which runs"
    " ({WAITER command openstack openstack-foo:/usr/bin/python2.7 …/qrunner"
    " --runner=IncomingRunner:0:1 -s})\n"
    "recorded as {RUN:20240501-120301-4f9a1c}"
    " in lists:/srv/mailman/openstack/runbook/journal.jsonl\n"
)


PROCEDURE = Procedure(
    name="clear-lock",
    title="Lock Files",
    when=(
        "A list stops handling mail, or a command says that it is locked. The process that"
        " :ref:`locked it <locks>` may have died, and everybody else waits, for up to five hours."
    ),
    steps=steps,
    command=lambda arguments: ("clear-lock", arguments.list),
    shows=_SHOWS,
    troubles=(
        Trouble(
            "Which lists are locked?",
            "``runbook locks`` shows every lock, who has it, and who waits.",
        ),
        Trouble(
            "The process runs",
            "The lock is in use. See what the process does (``ps``). If it hangs, end it with"
            " ``kill`` and begin again.",
        ),
        Trouble(
            "The process is stopped (``T``)",
            "Somebody typed Ctrl-Z in ``withlist -l``. ``kill -CONT`` lets it go on; ``kill -KILL``"
            " ends it and leaves a stale lock.",
        ),
        Trouble(
            "A younger process has the id",
            "The holder died and its id was given away. ``runbook clear-lock`` removes the lock; by"
            " hand, leave out the line about ``/proc``.",
        ),
        Trouble(
            "The claim names another host",
            "Run ``runbook locks`` there. If that host no longer exists, ``runbook clear-lock"
            " --gone`` with its name removes what it left.",
        ),
        Trouble(
            "There is no lock, and no mail either",
            "``ps -u list -o pid,args`` shows whether ``mailmanctl`` and its ``qrunner`` processes"
            " run; ``logs/error`` of the site says what failed.",
        ),
        Trouble(
            "There is a lock ``master-qrunner``",
            "``mailmanctl`` holds it while it runs. After a crash, see :ref:`master-lock`.",
        ),
    ),
    befalls=befalls,
    example=ClearArguments("openstack-foo", site="openstack"),
)

#: In the order of the page.
PROCEDURES = (PROCEDURE,)
