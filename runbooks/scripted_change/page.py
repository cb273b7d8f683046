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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import (
    Event,
    File,
    NoArguments,
    Procedure,
    Step,
    Trouble,
    every_list,
    one_list,
)
from runbooks.book.whose import whose
from runbooks.mailman.installation import Installation, Site, as_mailman, as_mailmans_python
from runbooks.scripted_change.run import Script, read
from runbooks.terminal import shown
from runbooks.terminal.secret import VARIABLE


def by_hand(
    installation: Installation,
    script: Script,
    sites: Sequence[Site],
    lists: Mapping[str, Sequence[str]] | None = None,
    has_secret: bool = False,
) -> tuple[Step, ...]:
    """The steps by hand for any script, on every list of `sites`, or on `lists` by their sites.

    `has_secret`: it is in the environment of whoever takes the steps.
    """
    module = _module(script)
    called = LOCKED if script.lock else script.function
    function = module if called == module else f"{module}.{called}"
    has_secret = has_secret or script.secret_file is not None or VARIABLE in os.environ
    passing = VARIABLE if has_secret else ""
    known = documented(script)
    if known is not None and lists is None and sites == installation.sites:
        return known.steps(installation, _arguments(known, script))
    found = [_create(installation, script)]
    if script.secret_file is not None:
        found.append(_read_secret(script.secret_file))
    for site in sites:
        if lists is None:
            shows = _says(script, every_list(site), site.name)
            step = Step(
                f"run-{site.name}",
                f"Run it on every list of the site {site.name}",
                "",
                _with_all(installation, site, function, *script.arguments, passing=passing),
                f"{shows}\n{MORE}" if shows else "",
                is_judged=shows is not None,
            )
            found.append(step)
            continue
        for name in lists[site.name]:
            shows = _says(script, one_list(site, name))
            step = Step(
                f"run-{site.name}-{name}",
                f"Run it on the list {name} of the site {site.name}",
                "",
                _with_one(installation, site, function, name, *script.arguments, passing=passing),
                shows or "",
                is_judged=shows is not None,
            )
            found.append(step)
    return tuple(found)


def documented(script: Script) -> Procedure[Installation, Any] | None:
    """The procedure that calls just this function of a script that comes along."""
    if not script.is_own or script.lock:
        return None
    words = script.command()
    return next(
        (one for one in PROCEDURES if one.command(_arguments(one, script)) == words),
        None,
    )


def _arguments(procedure: Procedure[Installation, Any], script: Script) -> Any:
    """What `procedure` is told where a reader calls `script`."""
    if procedure is FIND and len(script.arguments) == 1:
        return FindArguments(*script.arguments)
    return procedure.example


def _says(script: Script, label: str, *site: str) -> str | None:
    """What a function of a script that comes along says of `label`; None where nobody knows."""
    if not script.is_own:
        return None
    match script.module, script.function, script.arguments:
        case "owners", "owners", ():
            return f"{label}: {_OWNERS}"
        case "waiting", "who", ():
            return f"{label}: {_WAITING}"
        case "closing", (("close" | "reopen") as function), ():
            return f"{label}: {_outcome(function, _CLOSING[function][1])}"
        case "whereis", "whereis", (address,) if site:
            return _known(address, *site, shown=label)
    return None


_ADMIN = whose().examples.administrator

_OWNERS = placeholder("OWNERS", shown=_ADMIN)

#: What ``closing.py`` changes.
_POLICIES = ("subscribe_policy", "subscribe_policy_before_closing")

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
        "``withlist`` looks for it there. Only root can write there.",
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
    return f"{name}: {placeholder('ROLES', address, shown='owner')}"


def _first() -> str:
    """What stands for each list of all sites."""
    return placeholder("LIST", shown=shown.first_list())


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
                "``-a`` means every list, ``-r`` names the function, ``-q`` keeps ``withlist``"
                " quiet.",
                _with_all(installation, site, "owners"),
                f"{every_list(site)}: {_OWNERS}\n{MORE}",
            )
            for site in installation.sites
        ),
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
        "Many lists need a change, or an answer, for which there is no procedure here. Mailman"
        " calls a function of a Python file for each list, here one that says who owns it."
    ),
    example=NoArguments(),
    steps=owners_steps,
    command=lambda arguments: ("withlist", "owners.py"),
    shows=shown.script("owners.owners(m)", f"{_first()}: {_OWNERS}"),
    troubles=(
        Trouble(
            "The function changes lists",
            "It has to call ``m.Lock(timeout=10)``, then ``m.Save()``, and ``m.Unlock()`` whatever"
            " happens, as in ``closing.py`` (:ref:`close-lists`). Without a timeout, one stale lock"
            " holds up all lists for hours.",
        ),
        Trouble(
            "It was written for ``withlist -l``",
            "Without ``-l`` it ends with ``NotLockedError`` or a bare ``AssertionError``. Use"
            " ``runbook withlist --lock``: under Mailman 2.2, ``withlist -l`` leaves the list"
            " locked.",
            prints=r"NotLockedError|AssertionError",
        ),
        Trouble(
            "``ImportError: No module named owners``",
            "Put the file beside ``withlist``.",
            prints=r"Error: No module named",
        ),
        Trouble(
            "It ends with a traceback",
            "``withlist -a`` stops at the first list that fails or is corrupt. Mend the script so"
            " that it can be repeated. ``runbook withlist`` goes on, names what failed, and can put"
            " back what was changed.",
            prints=r"^Traceback",
        ),
        Trouble(
            "The script needs a password",
            "Every user of the host sees arguments. ``runbook withlist --secret-file`` passes it in"
            " the environment variable ``RUNBOOK_SECRET``, and keeps it out of the record.",
        ),
        Trouble(
            "Held messages are gone, and the script saved nothing",
            "``HandleRequest`` acts at once. ``runbook withlist --dry-run`` shows it beforehand;"
            " ``runbook withlist --restore`` puts the messages back, but calls back no mail that"
            " was approved.",
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
                "",
                _with_all(installation, site, "whereis", arguments.address),
                f"{_known(arguments.address, site.name, shown=site.first_list)}\n{MORE}",
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
        "Somebody complains about mail. Each list says whether the address is a member, an owner or"
        " a moderator, banned, or in a filter."
    ),
    steps=find_steps,
    command=lambda arguments: ("withlist", "whereis.py", arguments.address),
    shows=shown.script(f"whereis.whereis(m, {_ADMIN!r})", _known(_ADMIN, shown=shown.first_list())),
    troubles=(
        Trouble(
            "The address is found nowhere, and still gets mail",
            "Another address forwards to it. In the mail, :mailheader:`List-Id` names the list, and"
            " :mailheader:`Received` the address.",
        ),
    ),
    follows="unsubscribe",
    example=FindArguments(_ADMIN),
)


# -- closing lists ------------------------------------------------------------------------


@dataclass(frozen=True)
class ClosingArguments:
    """What closing or opening every list is told."""

    #: of ``closing.py``: ``close`` or ``reopen``
    function: str


#: By function: the title of the step, what it prints, and what ``status`` says afterwards.
_CLOSING = {
    "close": ("Close", "closed", "closed (subscribe_policy 2, before {POLICY:1})"),
    "reopen": ("Open", "open again", "open (subscribe_policy {POLICY:1})"),
}


def closing_steps(installation: Installation, arguments: ClosingArguments) -> tuple[Step, ...]:
    """Closing or opening every list, by hand."""
    function = arguments.function
    title, printed, seen = _CLOSING[function]
    return (
        _create(installation, read("closing.py", function)),
        *(
            Step(
                f"{function}-{site.name}",
                f"{title} every list of the site {site.name}",
                "The script locks each list itself: leave out ``-l``. Read what it says of each"
                " list; the exit status says nothing.",
                _with_all(installation, site, f"closing.{function}"),
                f"{every_list(site)}: {_outcome(function, printed)}\n{MORE}",
            )
            for site in installation.sites
        ),
        *(
            Step(
                f"{function}-check-{site.name}",
                f"See that every list of the site {site.name} is {printed.split()[0]}",
                "",
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
        "The form is abused with so many addresses that bans do not help. While a list is closed,"
        " its administrator approves each subscription, and Mailman asks nobody to confirm one."
    ),
    steps=closing_steps,
    command=_closing_command,
    shows=shown.script(
        "closing.close(m)", f"{_first()}: {_outcome('close', 'closed')}", *_POLICIES
    ),
    troubles=(
        Trouble(
            "The administrators drown in requests",
            "A list with ``admin_immed_notify`` tells them of each. Ban what the addresses have in"
            " common (:ref:`ban-pattern`).",
        ),
    ),
    follows="clear-lock",
    example=ClosingArguments("close"),
)

OPEN = Procedure(
    name="reopen-lists",
    synonyms=("reopen", "all clear", "enable sign-up", "end the lockdown"),
    title="Opening Lists Again",
    when="The attack is over. Each list gets back its former subscription policy.",
    steps=closing_steps,
    command=_closing_command,
    shows=shown.script(
        "closing.reopen(m)", f"{_first()}: {_outcome('reopen', 'open again')}", *_POLICIES
    ),
    troubles=(
        Trouble(
            "``open, and left as somebody set it since``",
            "An administrator changed ``subscribe_policy`` meanwhile. That was kept.",
            prints="left as somebody set it since",
        ),
    ),
    after="close-lists",
    follows="close-lists",
    takes_back=True,
    example=ClosingArguments("reopen"),
)

# -- who else was hit -----------------------------------------------------------------------

#: For Mailman's Python: the first address waits for a confirmation on every list of a site, the
#: second for a moderator on the last.
_WAIT = """\
from Mailman import MailList, Utils, UserDesc, mm_cfg
names = sorted(Utils.list_names(), key=lambda name: (name == mm_cfg.MAILMAN_SITE_LIST, name))
for name in names:
    m = MailList.MailList(name)
    m.pend_new("S", UserDesc.UserDesc(sys.argv[1], "", "secret", 0, "en"))
    if name == names[-1]:
        notify, m.admin_immed_notify = m.admin_immed_notify, 0
        m.HoldSubscription(sys.argv[2], "", "secret", 0, "en")
        m.admin_immed_notify = notify
    m.Save()
    m.Unlock()
"""


@dataclass(frozen=True)
class VictimsArguments:
    """Who was subscribed by others; only what befalls the lists is told so."""

    addresses: tuple[str, ...]


def others_befall(installation: Installation, arguments: VictimsArguments) -> Event:
    """Somebody goes on subscribing others than those who were reported."""
    lines = [
        as_mailmans_python(installation, site, _WAIT, *arguments.addresses)
        for site in installation.sites
    ]
    return Event("set -e\n" + "\n".join(lines))


def victims_steps(installation: Installation, arguments: VictimsArguments) -> tuple[Step, ...]:
    """Whose subscriptions wait, by hand."""
    return (
        _create(installation, read("waiting.py", "who")),
        *(
            Step(
                f"who-{site.name}",
                f"See whose subscriptions wait on the site {site.name}",
                "",
                _with_all(installation, site, "waiting.who"),
                f"{every_list(site)}: {_WAITING}\n{MORE}",
            )
            for site in installation.sites
        ),
    )


_TARGET = "target@example.com"

_WAITING = placeholder("WAITING", shown=_TARGET)

VICTIMS = Procedure(
    name="find-victims",
    synonyms=("victims", "recent subscriptions", "subscribed by the attack", "subscription log"),
    title="Seeing Who Else Was Hit",
    when=(
        "The reported addresses are banned, and there may be others. An address whose subscriptions"
        " wait for a confirmation or a moderator on many lists did not ask for them."
    ),
    steps=victims_steps,
    command=lambda arguments: ("withlist", "waiting.py", "--function", "who"),
    shows=shown.script("waiting.who(m)", f"{_first()}: {_WAITING}"),
    troubles=(
        Trouble(
            "Somebody is a member already",
            "Then nothing waits. :ref:`find-address` names the lists of an address; the log"
            " ``subscribe`` of the site says since when.",
        ),
    ),
    follows="reopen-lists",
    befalls=others_befall,
    example=VictimsArguments((_TARGET, "victim@example.org")),
)

#: In the order of the page, but for those that follow one of another folder.
PROCEDURES = (PROCEDURE, FIND, CLOSE, OPEN, VICTIMS)
