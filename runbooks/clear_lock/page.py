"""*Clearing a Stale Lock*, as the page prints it: the steps by hand."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, Procedure, Step, Trouble
from runbooks.book.whose import whose
from runbooks.mailman.installation import (
    Installation,
    Site,
    as_mailman,
    as_mailmans_python,
    python_text,
)
from runbooks.terminal import shown


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
    make = ("newlist", "-q", arguments.list, whose().examples.administrator, "a password")
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
    listed, expiry = f"{site.user} {site.group}", _stamp(_EXPIRES)
    return (
        Step(
            "see-lock",
            "See the lock",
            "The lock and the *claim* of the process that has it are two names of one file: hence"
            " the 2 behind the permissions. The time is when the lock expires. A claim with a 1"
            " belongs to a process that waits, or that died waiting.",
            f"ls -l --time-style=full-iso {shlex.quote(path)}*",
            f"-rw-rw-r-- 2 {listed} {of_lock('size', '66')} {of_lock('expiry', expiry)} {path}\n"
            f"-rw-rw-r-- {{LINKS:2}} {listed} {{SIZE:66}} {{STAMP:{expiry}}}"
            f" {placeholder('CLAIM', site.name, name, shown=claim)}\n"
            f"{MORE}",
            looks=True,
        ),
        Step(
            "read-lock",
            "See who has it",
            "The lock contains the path of the claim. Read its name from the right: a number, the"
            " process id, the host.",
            f"cat {shlex.quote(path)}; echo",
            of_lock("claim", claim),
            looks=True,
        ),
        Step(
            "find-holder",
            "See whether that process runs",
            "**Stop here** if a process is shown that started before the lock was taken: it has the"
            " lock, even when it is stopped (``T``). Stop as well if the claim names another host.",
            f"{read}"
            "stat -c 'taken at %.19z' \"$lock\"\n"
            'ps -o stat= -o lstart= -o args= -p "$pid" || echo "$(uname -n) has no process $pid"',
            f"taken at {of_lock('taken_at', _at(_TAKEN))}\n"
            f"{installation.hostname} has no process {dead}",
            looks=True,
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
            " its turn.",
            _with_the_list(
                installation,
                arguments,
                # Without the end, Python 3 takes the lock object apart when `open` is gone, and
                # says so where somebody else has the list by then.
                f"m.Lock(timeout=10); m.Unlock(); print({python_text(f'{name}: can be locked')});"
                " del m",
            ),
            f"{name}: can be locked",
        ),
    )


def _with_the_list(installation: Installation, arguments: ClearArguments, then: str) -> str:
    """Has Mailman's own code do `then`, a line of Python, with the list `m`."""
    return as_mailmans_python(
        installation,
        arguments.site_of(installation),
        f"from Mailman.MailList import MailList; m = MailList({python_text(arguments.list)},"
        f" lock=0); {then}",
    )


def _shows() -> str:
    """What a terminal shows of ``runbook clear-lock`` on the installation of the docs."""
    host, site, name = whose().server.hostname, whose().first, whose().examples.list

    def of(what: str, shown: str, kind: str = "LOCK") -> str:
        return placeholder(kind, what, site.name, name, shown=shown)

    waiter = of("pid", "4811", "WAITER")
    return "\n".join(
        (
            shown.heading(new=1),
            f"  {name} ({site.name})  locked since {of('taken', _clock(_TAKEN))}"
            f" by process {of('pid', '4711')} on {host}, which no longer runs",
            f"    {name}.lock and {of('claim_name', f'{name}.lock.{host}.4711.0')}"
            f" in {whose().folder(site)}/locks",
            f"    inode {of('inode', '131')}, link count 2, taken {of('taken', _clock(_TAKEN))},"
            f" expires {of('expires', _clock(_EXPIRES))}",
            f"    no process has the id {placeholder('DEAD', site.name, name, shown='4711')}",
            f"    process {waiter} on {host} waits since {{CLOCK:{_clock(_WAITS)}}}",
            "Remove 1 stale lock? [y/N] {ANSWER:y}",
            "1 stale lock removed and read back:",
            f"  {name} ({site.name})  now locked since {{CLOCK:{_clock(_CLEARED)}}} by process"
            f" {waiter} on {host}, which runs ({of('command', _RUNNER, 'WAITER')})",
            shown.recorded("20240501-120301-4f9a1c"),
        )
    )


_RUNNER = "/usr/bin/python2.7 …/qrunner --runner=IncomingRunner:0:1 -s"

#: When the lock was taken and would expire, when somebody began to wait for it, and when it went.
_TAKEN = datetime(2024, 5, 1, 5, 28, 14, tzinfo=timezone.utc)
_EXPIRES = _TAKEN + timedelta(hours=5)
_WAITS = _TAKEN + timedelta(minutes=3)
_CLEARED = _TAKEN + timedelta(minutes=12)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(whose().server.zone):%H:%M %Z}"


def _at(moment: datetime) -> str:
    """As ``stat`` shows it, without fractions."""
    return f"{moment.astimezone(whose().server.zone):%Y-%m-%d %H:%M:%S}"


def _stamp(moment: datetime) -> str:
    """As ``ls --time-style=full-iso`` shows it."""
    return f"{_at(moment)}.060000000 {moment.astimezone(whose().server.zone):%z}"


PROCEDURE = Procedure(
    name="clear-lock",
    synonyms=(
        "stuck",
        "hangs",
        "locked",
        "stale lock",
        "clear a lock",
        "deadlock",
        "not delivering",
        "mail not delivered",
        "no mail",
        "silent list",
        "timeout",
    ),
    title="Lock Files",
    when=(
        "A list stops handling mail, or a command says that it is locked (``runbook locks`` shows"
        " every lock). The process that :ref:`locked it <locks>` may have died; everybody else"
        " waits, for up to five hours."
    ),
    steps=steps,
    command=lambda arguments: ("clear-lock", arguments.list),
    shows=_shows(),
    troubles=(
        Trouble(
            "The process runs",
            "The lock is in use. See what the process does (``ps``). If it hangs, end it with"
            " ``kill`` and begin again.",
            prints=r"^[RSDI]\S* +\w{3} ",
        ),
        Trouble(
            "The process is stopped (``T``)",
            "Somebody typed Ctrl-Z in ``withlist -l``. ``kill -CONT`` lets it go on; ``kill -KILL``"
            " ends it and leaves a stale lock.",
            prints=r"^T\S* +\w{3} ",
        ),
        Trouble(
            "A younger process has the id",
            "The holder died and its id was given away. ``runbook clear-lock`` removes the lock; by"
            " hand, leave out the line about ``/proc``.",
            prints=r"^\S+ +\w{3} \w{3} |^left alone$",
        ),
        Trouble(
            "The claim names another host",
            "Run ``runbook locks`` there. If that host no longer exists, ``runbook clear-lock"
            " --gone`` with its name removes what it left.",
            prints="^left alone$",
        ),
        Trouble(
            "There is no lock, and no mail either",
            "``ps -u list -o pid,args`` shows whether ``mailmanctl`` and its ``qrunner`` processes"
            " run; ``logs/error`` of the site says what failed.",
            prints=r"\.lock'?\*?'?: No such file",
        ),
        Trouble(
            "There is a lock ``master-qrunner``",
            "``mailmanctl`` holds it while it runs. After a crash, see :ref:`master-lock`.",
        ),
    ),
    befalls=befalls,
    wanted=lambda arguments: (arguments.site, arguments.list),
    example=ClearArguments(whose().examples.list, site=whose().first.name),
)

#: In the order of the page.
PROCEDURES = (PROCEDURE,)
