"""*Scripted Changes to Lists*: a function of a script on one list or on every list.

By hand it is Mailman's own ``withlist -r``; by command, `runbooks.scripted_change.run`, which
does the same in a process of its own. Three scripts are worth having at hand: who owns which list,
where an address occurs, and closing lists to subscription for the length of an attack.

What the values of ``subscribe_policy`` mean (1 confirmation, 2 approval, 3 both) is Mailman's
own description of that setting; the recordings only have its default, 1.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import File, NoArguments, Procedure, Step, Trouble, every_list
from runbooks.mailman.installation import Installation, Site, as_mailman
from runbooks.scripted_change.run import Script, read
from runbooks.terminal.secret import VARIABLE


def by_hand(
    installation: Installation, script: Script, sites: Sequence[Site], names: Sequence[str] = ()
) -> tuple[Step, ...]:
    """The steps by hand for any script, on every list of `sites`, or on the lists `names`."""
    module = _module(script)
    called = LOCKED if script.lock else script.function
    function = module if called == module else f"{module}.{called}"
    has_secret = script.secret_file is not None or VARIABLE in os.environ
    passing = VARIABLE if has_secret else ""
    found = [_create(installation, script)]
    if script.secret_file is not None:
        found.append(_read_secret(script.secret_file))
    for site in sites:
        if not names:
            command = _with_all(installation, site, function, *script.arguments, passing=passing)
            title = f"Run it on every list of the site {site.name}"
            found.append(Step(f"run-{site.name}", title, "", command))
        for name in names:
            command = _with_one(
                installation, site, function, name, *script.arguments, passing=passing
            )
            title = f"Run it on the list {name}, if the site {site.name} has it"
            found.append(Step(f"run-{site.name}-{name}", title, "", command))
    return tuple(found)


#: The function that stands in for ``withlist -l``, which under 2.2 leaves the list locked, and
#: under 2.1, with ``-a``, every list until its end. Both wait for hours behind a stale lock.
LOCKED = "with_the_list_locked"

_LOCKED = """

def {name}(m, *arguments):
    m.Lock(timeout=10)
    try:
        return {function}(m, *arguments)
    finally:
        m.Unlock()
"""


def _read_secret(path: str) -> Step:
    source = "/dev/stdin" if path == "-" else path
    return Step(
        "read-the-secret",
        "Read the secret into the environment",
        "The script has it from there. On a command line every user would see it.",
        f"{VARIABLE}=$(head -n 1 {shlex.quote(source)}) && export {VARIABLE}",
    )


def _module(script: Script) -> str:
    """The name under which withlist imports it."""
    return re.sub(r"\W", "_", script.module, flags=re.ASCII)


def _create(installation: Installation, script: Script) -> Step:
    name = f"{_module(script)}.py"
    path = f"{installation.bin}/{name}"
    text = script.text.decode("utf-8", "replace")
    if script.lock:
        text = text.rstrip("\n") + "\n" + _LOCKED.format(name=LOCKED, function=script.function)
    return Step(
        f"create-{_module(script)}-py",
        f"Create {name} beside Mailman's programs",
        f"``withlist`` looks for it there, and not in the current folder. It needs root:"
        f" ``{installation.bin}`` is not Mailman's to write.",
        f"tee {shlex.quote(path)} > /dev/null",
        creates=File(path, text),
    )


def _with_all(
    installation: Installation, site: Site, function: str, *arguments: str, passing: str = ""
) -> str:
    # withlist would take what starts with - for one of its options.
    end = ("--",) if arguments and arguments[0].startswith("-") else ()
    words = ("-q", "-a", "-r", function, *end, *arguments)
    return as_mailman(installation, site, "withlist", *words, passing=passing)


def _with_one(
    installation: Installation,
    site: Site,
    function: str,
    name: str,
    *arguments: str,
    passing: str = "",
) -> str:
    end = ("--",) if any(word.startswith("-") for word in (name, *arguments)) else ()
    words = ("-q", "-r", function, *end, name, *arguments)
    return as_mailman(installation, site, "withlist", *words, passing=passing)


def _known(address: str, *site: str, shown: str) -> str:
    """The lists that know an address, and as what."""
    name = placeholder("LIST_KNOWING", address, *site, shown=shown)
    return f"{name}: {placeholder('ROLES', address, shown='owner')}\n{MORE}"


def _outcome(function: str, printed: str) -> str:
    return placeholder("OUTCOME", function, shown=printed)


# -- who owns which list ------------------------------------------------------------------


def owners_steps(installation: Installation, arguments: NoArguments) -> tuple[Step, ...]:
    """Who owns which list, by hand."""
    return (
        _create(installation, read("owners.py")),
        *(
            Step(
                f"owners-{site.name}",
                f"Run it on every list of the site {site.name}",
                "``-a`` means every list, ``-r`` the function to call, and ``-q`` keeps"
                " ``withlist`` from saying what it does.",
                _with_all(installation, site, "owners"),
                f"{every_list(site)}: {{OWNERS:admin@example.com}}\n{MORE}",
            )
            for site in installation.sites
        ),
    )


#: What a terminal shows of ``runbook withlist`` on the installation of the docs.
_SHOWS = """\
{{HOST:lists}} · Mailman {{MAILMAN:2.1.39}} · 2 sites, {{LISTS:7}} lists
  openstack  {{LISTS openstack:4}} lists
  zuul       {{LISTS zuul:3}} lists
  {called}, which comes along, compiles under Python {{PYTHON:2.7.18}} there
Run {function} on {{LISTS:7}} lists? [y/N] {{ANSWER:y}}
{lines}
{{BAR:━━━━━━━━━━━━━━━━━━━━}} {{LISTS:7}}/{{LISTS:7}} {{ELAPSED:0:00:01}}
{{LISTS:7}} lists: {{LISTS:7}} {outcome}
{after}\
"""

_RECORDED = (
    "recorded as {RUN:20261122-052801-4f9a1c} in"
    " lists:/srv/mailman/openstack/runbook/journal.jsonl\n"
)
_CHANGED = (
    "changed attributes: subscribe_policy, subscribe_policy_before_closing\n"
    + _RECORDED
    + "to put them back: runbook withlist --restore {RUN:20261122-052801-4f9a1c}{HOST_OPTION:}\n"
)


PROCEDURE = Procedure(
    name="scripted-change",
    synonyms=(
        "bulk change",
        "mass change",
        "change every list",
        "set an option",
        "configure",
        "withlist",
        "batch",
    ),
    title="Scripted Changes to Lists",
    when=(
        "Something is to be looked up or changed on many lists, and neither the web pages nor a"
        " procedure here does it. Mailman calls a function of a Python file with one list or"
        " with every list of a site. A first one that is worth having says who owns which list;"
        " a function that changes lists has to lock, save and unlock them itself, as"
        " ``closing.py`` further down does."
    ),
    example=NoArguments(),
    steps=owners_steps,
    command=lambda arguments: ("withlist", "owners.py"),
    shows=_SHOWS.format(
        called="owners.owners(m)",
        function="owners.owners",
        lines=f"{{LIST:openstack-announce}}: {{OWNERS:admin@example.com}}\n{MORE}",
        outcome="unchanged",
        after=_RECORDED,
    ),
    troubles=(
        Trouble(
            "``ImportError: No module named owners``",
            "The file is not beside ``withlist``: the current folder is not looked in.",
        ),
        Trouble(
            "It ends with ``MMCorruptListDatabaseError``",
            "``withlist -a`` stops at the first list that does not load, and the lists after it"
            " in the folder were not visited. ``runbook withlist`` names that list and goes on.",
        ),
        Trouble(
            "It ends with another traceback",
            "The lists before it were done, and those after it were not: their order is that of"
            " the folder. Mend the script so that it can be repeated. ``runbook withlist`` names"
            " each list that failed, does the others, and can put back what was changed.",
        ),
        Trouble(
            "It waits, and nothing happens",
            "A list is locked (:ref:`clear-lock`), and ``m.Lock()`` without a timeout waits for"
            " as long as the lock lasts: up to five hours. The lists after it wait as well: one"
            " stale lock holds up all of them. ``m.Lock(timeout=10)`` gives up.",
        ),
        Trouble(
            "It ends with ``NotLockedError``, or with ``AssertionError`` and no more words",
            "The function changes a list that nobody has locked: it was written for"
            " ``withlist -l``, as some that come with Mailman are. ``runbook withlist --lock``"
            " locks each list before, waits for a lock no longer than it is told to, and unlocks"
            " it after.",
        ),
        Trouble(
            "A list stays locked after ``withlist -l``",
            "Under Python 3 (Mailman 2.2) ``withlist -l`` does not unlock it at its end, and leaves"
            " a stale lock (:ref:`clear-lock`). ``runbook withlist --lock`` unlocks it under both;"
            " by hand, have the function lock the list, and leave out ``-l``.",
        ),
        Trouble(
            "The script needs a password",
            "As an argument every user of the host would see it, and the record of the run would"
            " keep it. ``runbook withlist --secret-file`` reads it from a file, or from the"
            " environment variable ``RUNBOOK_SECRET``; the script finds it in a variable of that"
            " name, and nobody else does. What the script prints has three asterisks in its"
            " place.",
        ),
        Trouble(
            "Held messages or requests are gone, and the script did not save the list",
            "``HandleRequest`` removes a message at once, whether or not ``m.Save()`` follows."
            " ``runbook withlist --dry-run`` shows it beforehand; ``runbook withlist --restore``"
            " puts the messages back, with the requests and the settings, on lists that nobody"
            " changed since. It calls back no mail: a message that was approved is delivered all"
            " the same, and is then held once more.",
        ),
        Trouble(
            "Nothing was changed",
            "The function has to call ``m.Lock()`` first, ``m.Save()`` at its end, and"
            " ``m.Unlock()`` whatever happens. The exit status says nothing.",
        ),
    ),
)


# -- where an address occurs --------------------------------------------------------------


@dataclass(frozen=True)
class FindArguments:
    """What finding an address is told."""

    address: str


def find_steps(installation: Installation, arguments: FindArguments) -> tuple[Step, ...]:
    """Where an address occurs, by hand."""
    return (
        _create(installation, read("whereis.py")),
        *(
            Step(
                f"find-{site.name}",
                f"Ask every list of the site {site.name}",
                "A list that does not know the address says nothing.",
                _with_all(installation, site, "whereis", arguments.address),
                _known(arguments.address, site.name, shown=site.first_list),
            )
            for site in installation.sites
        ),
    )


FIND = Procedure(
    name="find-address",
    synonyms=(
        "which lists",
        "is a member",
        "membership",
        "look up an address",
        "search for an address",
        "find_member",
    ),
    title="Finding an Address on Every List",
    when=(
        "Somebody leaves, or complains: on which lists is the address a member, who runs a list"
        " with it, and where is it in a filter?"
    ),
    steps=find_steps,
    command=lambda arguments: ("withlist", "whereis.py", arguments.address),
    shows=_SHOWS.format(
        called="whereis.whereis(m, 'admin@example.com')",
        function="whereis.whereis",
        lines=_known("admin@example.com", shown="openstack-announce"),
        outcome="unchanged",
        after=_RECORDED,
    ),
    troubles=(
        Trouble(
            "The address is found nowhere, and yet it gets mail",
            "Another address forwards to it. The mail's :mailheader:`List-Id` says which list it"
            " is, and its :mailheader:`Received` lines to which address it was sent.",
        ),
    ),
    example=FindArguments("admin@example.com"),
)


# -- closing lists ------------------------------------------------------------------------


@dataclass(frozen=True)
class ClosingArguments:
    """What closing or opening every list is told."""

    #: of ``closing.py``: ``close`` or ``reopen``
    function: str


def closing_steps(installation: Installation, arguments: ClosingArguments) -> tuple[Step, ...]:
    """Closing or opening every list, by hand."""
    function = arguments.function
    title, printed, seen = {
        "close": ("Close", "closed", "closed (subscribe_policy 2, before {POLICY:1})"),
        "reopen": ("Open", "open again", "open (subscribe_policy {POLICY:1})"),
    }[function]
    return (
        _create(installation, read("closing.py", function)),
        *(
            Step(
                f"{function}-{site.name}",
                f"{title} every list of the site {site.name}",
                "The script locks each list itself: do not use ``withlist -l``. It says what"
                " became of each list; the exit status says nothing.",
                _with_all(installation, site, f"closing.{function}"),
                f"{every_list(site)}: {_outcome(function, printed)}\n{MORE}",
            )
            for site in installation.sites
        ),
        *(
            Step(
                f"{function}-check-{site.name}",
                f"See that every list of the site {site.name} is {printed.split()[0]}",
                "Each list is loaded again and asked.",
                _with_all(installation, site, "closing.status"),
                f"{every_list(site)}: {seen}\n{MORE}",
            )
            for site in installation.sites
        ),
    )


def _closing_command(arguments: ClosingArguments) -> tuple[str, ...]:
    return ("withlist", "closing.py", "--function", arguments.function)


CLOSE = Procedure(
    name="close-lists",
    synonyms=(
        "close the lists",
        "disable sign-up",
        "stop sign-ups",
        "sign-up form",
        "lockdown",
        "moderate subscriptions",
    ),
    title="Closing Lists to Subscription",
    when=(
        "The subscription form is abused with so many addresses that bans"
        " (:ref:`ban`) do not help. While a list is closed its administrator approves each"
        " subscription, and Mailman writes to nobody to have it confirmed. Members are not"
        " touched. What each list did before is kept with it: closing it twice does no harm."
    ),
    steps=closing_steps,
    command=_closing_command,
    shows=_SHOWS.format(
        called="closing.close(m)",
        function="closing.close",
        lines=f"{{LIST:openstack-announce}}: {_outcome('close', 'closed')}\n{MORE}",
        outcome="changed",
        after=_CHANGED,
    ),
    troubles=(
        Trouble(
            "A list is ``locked by another process``",
            "It was not closed; the others were. See who has the lock (``runbook locks``), and"
            " repeat it: lists that are closed already are left alone.",
        ),
        Trouble(
            "The administrators drown in requests",
            "They are told of each request when ``admin_immed_notify`` is set. Ban what the"
            " addresses have in common (:ref:`ban-pattern`).",
        ),
    ),
    follows="unsubscribe",
    example=ClosingArguments("close"),
)

OPEN = Procedure(
    name="reopen-lists",
    synonyms=("reopen", "all clear", "enable sign-up", "end the lockdown"),
    title="Opening Lists Again",
    when="The attack is over. Each list gets back the subscription policy that it had.",
    steps=closing_steps,
    command=_closing_command,
    shows=_SHOWS.format(
        called="closing.reopen(m)",
        function="closing.reopen",
        lines=f"{{LIST:openstack-announce}}: {_outcome('reopen', 'open again')}\n{MORE}",
        outcome="changed",
        after=_CHANGED,
    ),
    troubles=(
        Trouble(
            "``open, and left as somebody set it since``",
            "An administrator changed ``subscribe_policy`` while the list was closed, and that"
            " was left as it is.",
        ),
    ),
    after="close-lists",
    follows="find-victims",
    takes_back=True,
    example=ClosingArguments("reopen"),
)

#: In the order of the page, but for those that follow one of another folder.
PROCEDURES = (PROCEDURE, FIND, CLOSE, OPEN)
