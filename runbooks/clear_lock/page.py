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
from runbooks.mailman.locks import START_MAILMANCTL

#: By how many seconds a process must be younger than a lock not to be its holder, by hand: a
#: clock that was set since moves the one and not the other.
_DOUBT = 20


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
    # `stat` and `ps` of any Debian; no process id is known when this is printed.
    read = (
        f"lock={shlex.quote(path)}\n"
        'claim=$(cat "$lock") && pid=${claim%.*} && pid=${pid##*.} &&\n'
    )

    def of_lock(what: str, shown: str) -> str:
        return placeholder("LOCK", what, site.name, name, shown=shown)

    dead = placeholder("DEAD", site.name, name, shown="4711")
    listed = f"{site.user} {site.group}"
    return (
        Step(
            "see-lock",
            "See the lock",
            f"``{name}.lock`` is there: somebody has the list. The other name of the same file"
            " (the number behind the permissions is 2) is the *claim* of whoever that is. The"
            " time lies in the future: until then nobody else gets the list. A claim with a 1"
            " is that of a process that waits, or was killed while it did.",
            f"ls -l --time-style=full-iso {shlex.quote(path)}*",
            f"-rw-rw-r-- 2 {listed} {of_lock('size', '66')} {of_lock('expiry', _EXPIRY)} {path}\n"
            f"-rw-rw-r-- {{LINKS:2}} {listed} {{SIZE:66}} {{STAMP:{_EXPIRY}}}"
            f" {placeholder('CLAIM', site.name, name, shown=claim)}\n"
            f"{MORE}",
        ),
        Step(
            "read-lock",
            "Read who has it",
            "The lock's content is the path of the claim. Read its name from the right: a number,"
            " the process id, the host; host and list may have dots in their names.",
            f"cat {shlex.quote(path)}; echo",
            of_lock("claim", claim),
        ),
        Step(
            "find-holder",
            "Find out whether that process runs, and is the one that took the lock",
            "A process that is shown and started before the lock was taken has it, even if it is"
            " stopped (``T``): **stop here**. It works, or it hangs; end it if it must go, and"
            " begin again. A process that started after the lock was taken only has the id of the"
            " one that died. If the claim names another host than this one, look there: here its"
            " id means nothing.",
            f"{read}"
            'LC_ALL=C date -d "@$(stat -c %Z "$lock")" \\\n'
            '  "+taken on %a %b %e %T %Y, and this is $(uname -n):" &&\n'
            '{ ps -o stat= -o lstart= -o args= -p "$pid" ||\n'
            '  echo "no process here has the id $pid"; }',
            f"taken on {of_lock('taken_on', 'Wed May  1 05:28:14 2024')},"
            f" and this is {installation.hostname}:\n"
            f"no process here has the id {dead}",
        ),
        Step(
            "remove-lock",
            "Remove the lock and its claim",
            "In the order in which Mailman breaks a lock: its expiry is pushed forward, so that no"
            " waiting process breaks it in the same moment, then the lock goes, then the claim."
            " The command looks again first, and leaves alone what a process may still have.",
            f"{read}"
            'if [ "${claim##*/}" != "${lock##*/}.$(uname -n).$pid.${claim##*.}" ] ||\n'
            '  ! [ "$pid" -gt 0 ] || ! [ "$lock" -ef "${lock%/*}/${claim##*/}" ]; then\n'
            '  echo "left alone: it is not a lock of this host, $(uname -n)"\n'
            'elif [ -e "/proc/$pid" ] && ! [ "$(ps -o etimes= -p "$pid")" -lt \\\n'
            f'  "$(($(date +%s) - $(stat -c %Z "$lock") - {_DOUBT}))" ]; then\n'
            '  echo "left alone: process $pid may have it"\n'
            'elif touch -d \'+1 hour\' "$lock" && [ "$(cat "$lock")" = "$claim" ] &&\n'
            '  rm "$lock" "${lock%/*}/${claim##*/}"; then\n'
            '  echo "removed"\n'
            "fi",
            "removed",
        ),
        Step(
            "lock-again",
            "See that the list goes on",
            "The list is locked and let go of, with Mailman's own code. Who was waiting comes"
            " first: the command waits for up to ten seconds. It runs under the Python that"
            " Mailman's programs name in their first line.",
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
        "A list stops handling mail, or a command says that a list is locked. Whoever works on a"
        " list locks it, for five hours at most. When that process dies, killed or with the"
        " host, its lock stays, and everybody else waits until it expires. The locks of a site"
        " are in the folder ``locks`` beside its lists; ``runbook locks`` shows all of them, and"
        " ends with exit status 1 when one keeps everybody from its list."
    ),
    steps=steps,
    command=lambda arguments: ("clear-lock", arguments.list),
    shows=_SHOWS,
    troubles=(
        Trouble(
            "The list has no lock, and handles no mail all the same",
            "Then something else is wrong. ``ps -u list -o pid,args`` shows whether ``mailmanctl``"
            " and its ``qrunner`` processes run; ``logs/error`` of the site says what failed.",
        ),
        Trouble(
            "The process runs and has the lock",
            "Then the lock is no mistake. See what it does (``ps``, :elsewhere:`strace -p`). If it"
            " hangs, end it with ``kill`` and begin again: it lets go of the lock, or leaves a"
            " stale one.",
        ),
        Trouble(
            "The process is stopped (``T``)",
            "Somebody typed Ctrl-Z in an interactive ``withlist -l``, and everybody waits for that"
            " session. ``fg`` in the shell that started it lets it go on; ``runbook locks`` names"
            " its terminal. Where that shell is gone, ``kill -CONT`` lets it go on, and"
            " ``kill -KILL`` ends it and leaves a stale lock.",
        ),
        Trouble(
            "The claim names another host",
            "Several hosts share the folder, or the host was renamed, or was a container that was"
            " made anew. A process id means something on that host alone: look there, with that"
            " host's ``runbook locks``. Where no such host exists any more, ``runbook clear-lock"
            " --gone`` with its name removes what it left, and still leaves alone what a process of"
            " this host may have. Without that, its lock ends when it expires.",
        ),
        Trouble(
            "The lock and its claim are two files, or there is a lock and no claim",
            "A folder that was restored from a backup has such locks; Mailman waits behind each."
            " ``runbook clear-lock`` removes one that names a single process of this host, when"
            " that process is gone. It shows any other, and leaves it and its claim as they are:"
            " remove the lock by hand when no process of Mailman's user is left that may have it.",
        ),
        Trouble(
            "Only the lock was removed, and not its claim",
            "The list is free. The claim stays in the folder for good and does no harm;"
            " ``runbook clear-lock --stale`` removes it, those of processes that were killed while"
            " they waited, and what a process that was killed while it saved a list has left in"
            " that list's folder (``config.pck.tmp`` with its host and id).",
        ),
        Trouble(
            "No list handles mail, and there is a lock ``master-qrunner``",
            "That one is of ``mailmanctl``, which has it for as long as it runs. After a crash it"
            " stays, and ``mailmanctl start`` exits with status 0 and starts nothing. Its queue"
            " runners may have outlived it: ``pgrep -af bin/qrunner`` shows them. End them first,"
            f" with ``kill``: ``{START_MAILMANCTL}`` removes the lock and starts, and would start a"
            " second set beside them, on the same queues. ``runbook clear-lock master-qrunner``"
            " names those that are left, and removes the lock when none is.",
        ),
        Trouble(
            "The list is locked again a minute later, by a process that is gone as well",
            "Something dies each time it works on the list. ``logs/error`` of the site names it;"
            " a message in ``qfiles/shunt`` or ``qfiles/in`` may be what it dies of.",
        ),
        Trouble(
            "Nobody knows whether the process is the holder, since the clock was set",
            "Times of processes follow the clock, those of files do not. ``runbook clear-lock``"
            " takes that into account, and refuses when in doubt. The lock ends when it expires.",
        ),
    ),
    befalls=befalls,
    example=ClearArguments("openstack-foo", site="openstack"),
)

#: In the order of the page.
PROCEDURES = (PROCEDURE,)
