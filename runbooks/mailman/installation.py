"""An installation of Mailman 2 and its sites, as the installation itself describes them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from runbooks.errors import BadInputError, HostError, NotThereError, did_you_mean
from runbooks.host.host import Host
from runbooks.mailman.clock import Clock
from runbooks.mailman.share import Share
from runbooks.onhost import Program
from runbooks.refusals import LIST_RULES, first

if TYPE_CHECKING:
    from runbooks.mailman.events import Absent, Described, Event, SiteDescription

#: Where distributions and source installations put Mailman's programs. Only a place
#: to start from: everything else is asked of the installation found there.
USUAL_DIRS = (
    "/usr/lib/mailman/bin",
    "/usr/local/mailman/bin",
    "/usr/local/cpanel/3rdparty/mailman/bin",
    "/opt/mailman/bin",
    "/home/mailman/bin",
)

SITES_FILE = "/etc/mailman/sites"

#: Adds the place of the withlist that a login finds on its PATH.
_LOOK_ON_PATH = r"""
w=$(command -v withlist 2>/dev/null) && w=$(readlink -f "$w" 2>/dev/null) && set -- "$@" "${w%/*}"
""".strip()

#: Finds Mailman's programs and becomes the interpreter that their first line names.
#: The folders to look in are the positional parameters.
#:
#: Where Mailman's user may write the programs, that line is its own. Root goes by it only to what
#: root may write alone, or who became root with sudo, or the group of /usr/local, whose programs
#: root finds on its PATH anyway: all files, links and folders on the `way` there.
_FIND_INTERPRETER = r"""
found= others= py=
for d in "$@"; do
  [ -f "$d/withlist" ] || continue
  d=$(cd "$d" && pwd -P)
  if [ -z "$found" ]; then found=$d; elif [ "$d" != "$found" ]; then others="$others$d
"; fi
done
say() {
  printf '@@runbook {"event":"absent","why":"%s","detail":"%s"}\n@@runbook {"event":"end"}\n' \
    "$1" "$(printf %s "$2" | LC_ALL=C tr -dc 'A-Za-z0-9 ./_+:@=-')"
  exit 0
}
way() {
  case $1 in ''|/) return;; esac
  way "${1%/*}"
  printf '%s\n' "$1"
  [ -L "$1" ] || return 0
  to=$(command -p readlink "$1")
  case $to in /*) way "$to";; *) way "${1%/*}/$to";; esac
}
loose() {
  command -p find $(way "$py") -maxdepth 0 \
    \( ! -user 0 ! -user "$1" -o ! -type l ! \( -type d -perm -1000 \) \
    \( -perm -002 -o -perm -020 ! -group 0 ! -group "$2" ! -group "$3" \) \) || echo "$py"
}
if [ -z "$found" ]; then
  if command -v mailman3 >/dev/null 2>&1 || [ -d /etc/mailman3 ]; then say mailman3 ''; fi
  v=$(mailman --version 2>/dev/null </dev/null)
  case $v in *ailman\ 3*) say mailman3 "$v";; esac
  say none ''
fi
[ -r "$found/withlist" ] || say unreadable "$found"
IFS= read -r line < "$found/withlist"
case $line in '#!'*) line=${line#??};; *) say no_interpreter "$found";; esac
set -f; set -- $line
case $1 in */env) shift;; esac
py=$(command -v "$1" 2>/dev/null)
case $py in /*) ;; *) say no_interpreter "$1";; esac
case $(command -p id -u) in 0|'')
  IFS='
'
  if [ -n "$(loose 0 0 0)" ]; then
    usr=$(command -p stat -c %g /usr/local || echo 0)
    [ -z "$(loose "${SUDO_UID:-0}" "${SUDO_GID:-0}" "$usr")" ] || say loose_interpreter "$py"
  fi
esac
RUNBOOK_BIN=$found RUNBOOK_OTHERS=$others; export RUNBOOK_BIN RUNBOOK_OTHERS
MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=268435456
export MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_
exec "$py"
""".strip()


@dataclass(frozen=True)
class Site:
    """One tree of lists with its own lock folder."""

    name: str
    #: the value of MAILMAN_SITE_DIR that means this site; None where there is one site
    site_dir: str | None
    mail_domain: str
    url_domain: str
    prefix: str
    list_dir: str
    lock_dir: str
    #: an expression for each of the characters that a list's name may have
    name_characters: str
    #: seconds for which a list's lock is taken
    lock_lifetime: int
    user: str
    group: str
    #: Mailman's user by number; None when the host has no such user
    uid: int | None
    site_list: str
    #: how many lists it has, and the first of them for an example ("" when it has none)
    lists: int
    first_list: str = ""
    problems: tuple[str, ...] = ()

    def on_host(self, installation: Installation, only: list[str] | None) -> dict[str, object]:
        """The site as the on-host programs want it; `only` these lists, or all."""
        return {
            "name": self.name,
            "site_dir": self.site_dir,
            "bin": installation.bin,
            "list_dir": self.list_dir,
            "name_characters": self.name_characters,
            "lock_dir": self.lock_dir,
            "lock_lifetime": self.lock_lifetime,
            "only": only,
            "site_addresses": [
                f"{self.site_list}{suffix}@{self.mail_domain}" for suffix in ("", "-owner")
            ],
        }


@dataclass(frozen=True)
class Installation:
    """The Mailman 2 on a host."""

    host: Host
    hostname: str
    version: str
    #: what the installation says of itself beyond its version ("stand-in"), or ""
    note: str
    bin: str
    interpreter: str
    python: str
    clock: Clock
    processors: int
    #: the number of the user who logged in
    uid: int
    sites: tuple[Site, ...]
    #: sites that do not answer, and why. Nothing can be done to their lists
    silent: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    #: its part in a command for several hosts; None for a command that is for it alone
    share: Share | None = None

    @property
    def user(self) -> str:
        return self.sites[0].user

    @property
    def group(self) -> str:
        return self.sites[0].group

    @property
    def title(self) -> str:
        """``lists · Mailman 2.1.39 · 2 sites, 143 lists``"""
        number = sum(site.lists for site in self.sites)
        sites = f"{len(self.sites)} sites" if len(self.sites) != 1 else "1 site"
        lists = f"{number:,} lists" if number != 1 else "1 list"
        note = f" ({self.note})" if self.note else ""
        return f"{self.hostname} · Mailman {self.version}{note} · {sites}, {lists}"

    def choose_sites(self, names: Iterable[str]) -> tuple[Site, ...]:
        """The sites called `names`, or all when there are none.

        Raises BadInputError for a name that no site has, or one that does not answer.
        """
        known = {site.name: site for site in self.sites}
        missing: dict[str, NotThereError] = {}
        wanted = list(names)
        for name in wanted:
            if name in self.silent:
                raise BadInputError(
                    f"the site {name} on {self.hostname} does not answer: {self.silent[name]}"
                )
            if name not in known:
                hint = did_you_mean(name, known) or f"; it has: {', '.join(known)}"
                why = f"there is no site {name!r} on {self.hostname}{hint}"
                missing[f"site {name}"] = NotThereError(why)
        self.lacks(missing, of=wanted)
        return tuple(site for site in self.sites if not wanted or site.name in wanted)

    def lacks(self, missing: Mapping[str, NotThereError], *, of: Sequence[str]) -> None:
        """Raise the first of the errors about names that are not here, if there are any.

        In a command for several hosts only if this one has none `of` the names: each has to be on
        one of the hosts.
        """
        if self.share is not None:
            self.share.lacking.update(missing)
        if missing and (self.share is None or len(missing) == len(set(of))):
            raise next(iter(missing.values()))

    def call(
        self,
        program: str,
        parameters: dict[str, object],
        on_event: Callable[[Event], None] | None = None,
        secret: bytes = b"",
        *,
        as_login: bool = False,
        lasts: bool = False,
    ) -> list[Event]:
        """Run an on-host program as Mailman's user, or as whoever logged in. See `Host.run`.

        `lasts`: as in `Program`. Raises StrangeEventError, too.
        """
        run_as = None if as_login else (self.user, self.group)
        made = Program(program, parameters, run_as=run_as, lasts=lasts)
        return _run(self.host, made, shlex.quote(self.interpreter), on_event, secret)

    def names(self, sites: Iterable[Site]) -> tuple[dict[str, list[str]], dict[str, str]]:
        """The names of the lists of each site; of sites that do not tell them, the reason.

        One command; changes nothing.
        """
        from runbooks.mailman.events import Names

        found: dict[str, list[str]] = {}
        failed: dict[str, str] = {}

        wanted = [site.on_host(self, None) for site in sites]
        for event in self.call("adding", {"action": "names", "sites": wanted}):
            match event:
                case Names(why=str(why)):
                    failed[event.site] = why
                case Names():
                    found[event.site] = [*event.names]
        return found, failed

    def check_user(self) -> None:
        """Raise HostError unless the login may become Mailman's user."""
        if self.uid in (0, self.sites[0].uid):
            return
        if self.host.spec == "local://":
            raise HostError(f"this needs root, or Mailman's user {self.user}: try sudo runbook …")
        raise HostError(
            f"{self.host.spec}: the login is neither root nor Mailman's user {self.user}:"
            " log in as root, or add ?sudo=true to the host where sudo asks for no password"
        )


def connect(host: Host) -> None:
    """Begin to connect to the host, for `discover`, without waiting for it."""
    host.connect(_interpreter(host))


def _interpreter(host: Host) -> str:
    """A script for the host that becomes the Python of its Mailman."""
    dirs = host.mailman_dirs or USUAL_DIRS
    look = "" if host.mailman_dirs else _LOOK_ON_PATH
    return f"set -- {shlex.join(dirs)}\n{look}\n{_FIND_INTERPRETER}"


def _run(
    host: Host,
    program: Program,
    interpreter: str,
    on_event: Callable[[Event], None] | None = None,
    secret: bytes = b"",
) -> list[Event]:
    """`Host.run`, with events that have their types."""
    # While the host answers, this takes no time.
    host.connect(interpreter)
    from runbooks.mailman.events import decode

    events: list[Event] = []
    listener = on_event or events.append
    host.run(program, interpreter, lambda json: listener(decode(json, host.spec)), secret)
    return events


def discover(host: Host) -> Installation:
    """Ask the host what Mailman 2 it has. One command; changes nothing.

    Raises HostError when the host does not answer, has no Mailman 2, or has one that
    does not start.
    """
    sites_file = f"{host.practice_dir}{SITES_FILE}" if host.practice_dir else SITES_FILE
    # A practice site runs as whoever made it, who may be root; a Mailman never does.
    parameters = {"sites_file": sites_file, "is_owners": host.practice_dir is not None}
    program = Program("installation", parameters)
    events = _run(host, program, _interpreter(host))
    from runbooks.mailman.events import Absent, Described

    for event in events:
        if isinstance(event, Absent):
            raise HostError(f"{host.spec}: {_absence(event, host.mailman_dirs or USUAL_DIRS)}")
        if isinstance(event, Described):
            return _installation(host, event)
    raise HostError(f"{host.spec}: the installation did not describe itself")


def _absence(event: Absent, dirs: tuple[str, ...]) -> str:
    match event.why:
        case "mailman3":
            return "it has Mailman 3; these procedures are for Mailman 2"
        case "unreadable":
            return f"{event.detail}/withlist cannot be read: log in as root"
        case "loose_interpreter":
            return (
                f"Mailman's programs name an interpreter that users other than root can change:"
                f" {event.detail}: log in as Mailman's user, who runs it anyway"
            )
        case "no_interpreter":
            return f"Mailman's programs name an interpreter that is not there: {event.detail}"
    return (
        f"it has no Mailman 2: no withlist on the PATH or in {', '.join(dirs)}"
        " (elsewhere? add ?mailman=/its/bin to the host)"
    )


def _installation(host: Host, event: Described) -> Installation:
    if not event.sites:
        said = "; ".join(dict.fromkeys(refusal.said for refusal in event.refusals))
        raise HostError(f"{host.spec}: Mailman in {event.bin} does not start: {said}")
    sites = _told_apart([_site(answer) for answer in event.sites])
    # Where there are several sites, Mailman itself refuses to start without the name of one.
    refused = {one.site_dir: one.said for one in event.refusals if one.site_dir is not None}
    problems = [f"another Mailman is in {other}; it was left alone" for other in event.others]
    problems += [f"the site {folder} does not answer: {why}" for folder, why in refused.items()]
    taken = {site.name for site in sites}
    silent: dict[str, str] = {}
    for folder, why in refused.items():
        name = PurePosixPath(folder).name
        silent[folder if name in taken or name in silent else name] = why
    return Installation(
        host=host,
        hostname=event.hostname,
        version=event.sites[0].version,
        note=event.sites[0].note,
        bin=event.bin,
        interpreter=event.interpreter,
        python=event.python,
        clock=Clock(event.now, event.utc_offset),
        processors=event.processors,
        uid=event.uid,
        sites=sites,
        silent=silent,
        problems=tuple(problems),
    )


def _told_apart(sites: list[Site]) -> tuple[Site, ...]:
    """The sites; those of the same name are called by their whole path."""
    names = Counter(site.name for site in sites)
    return tuple(
        site if names[site.name] == 1 else replace(site, name=site.prefix) for site in sites
    )


def _site(answer: SiteDescription) -> Site:
    return Site(
        name=PurePosixPath(answer.site_dir or answer.VAR_PREFIX).name,
        site_dir=answer.site_dir,
        mail_domain=answer.DEFAULT_EMAIL_HOST,
        url_domain=answer.DEFAULT_URL_HOST,
        prefix=answer.VAR_PREFIX,
        list_dir=answer.LIST_DATA_DIR,
        lock_dir=answer.LOCK_DIR,
        name_characters=answer.name_characters,
        lock_lifetime=answer.LIST_LOCK_LIFETIME,
        user=answer.MAILMAN_USER,
        group=answer.MAILMAN_GROUP,
        uid=answer.uid,
        site_list=answer.MAILMAN_SITE_LIST,
        lists=answer.lists,
        first_list=answer.first_list,
        problems=answer.problems,
    )


def is_list_name(text: str) -> bool:
    """Whether `text` is the name of a list as Mailman spells it."""
    return first(text, LIST_RULES) is None


def list_name(text: str) -> str:
    """`text` as Mailman spells a list name. Raises BadInputError for what can name no list.

    Mailman lower-cases and strips names (recording `withlist`) and allows letters,
    digits and ``- _ . + =`` (recording `newlist`).
    """
    name = text.strip(" ").lower()
    rule = first(name, LIST_RULES)
    if rule is not None:
        raise BadInputError(rule.told(text))
    return name


def unknown_list(name: str, known: Iterable[str]) -> NotThereError:
    """The error for a list that no chosen site has, with the name that was perhaps meant."""
    names = sorted(set(known))
    if near := did_you_mean(name, names):
        hint = near
    elif len(names) > _NAMED:
        hint = f"; there are {len(names):,}, among them {', '.join(names[:_NAMED])}"
    else:
        hint = f"; there are: {', '.join(names)}" if names else "; there is none at all"
    return NotThereError(f"there is no list {name!r}{hint}")


#: How many lists are named when one is asked for that is not there.
_NAMED = 5


def as_mailman(
    installation: Installation, site: Site, program: str, *arguments: str, passing: str = ""
) -> str:
    """The command line that runs one of Mailman's programs as Mailman's user, for a shell."""
    words = (f"{installation.bin}/{program}", *arguments)
    return as_mailmans_user(installation, site, *words, passing=passing)


def as_mailmans_user(installation: Installation, site: Site, *words: str, passing: str = "") -> str:
    """The command line that runs `words` as Mailman's user on a site, for a shell.

    sudo drops MAILMAN_SITE_DIR unless it is given on sudo's own command line; then the
    program says so, exits 0, and has done nothing (recording `several_sites`). `passing`: an
    exported variable that sudo passes on, without its value on any command line.
    """
    before = [f"MAILMAN_SITE_DIR={site.site_dir}"] if site.site_dir is not None else []
    if installation.uid != site.uid:
        passed = [f"--preserve-env={passing}"] if passing else []
        before = ["sudo", *passed, "-u", site.user, *before]
    elif before:
        before = ["env", *before]
    return shlex.join([*before, *words])


def as_mailmans_python(installation: Installation, site: Site, code: str, *arguments: str) -> str:
    """The command line that has Mailman's own Python run `code`, which can import Mailman."""
    bin = python_text(installation.bin)
    begin = f"import sys; sys.path.insert(0, {bin}); import paths; "
    line = as_mailmans_user(installation, site, "@PYTHON@", "-c", begin + code, *arguments)
    # Another server's Mailman is of another Python, and may not load under this one.
    named = f"$(sed -n '1s/^#! *//p' {shlex.quote(installation.bin)}/withlist)"
    return line.replace("@PYTHON@", named, 1)


def python_text(text: str) -> str:
    """A string for Python, 2 or 3, that a shell needs no quoting within."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
