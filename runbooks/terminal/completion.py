"""What a shell completes: lists, sites and runs, as the host that is named has them.

A shell waits for every answer, so that one is had within `PATIENCE` seconds or not at all, and
kept for a minute in a folder that is the user's alone. Nothing is asked on the terminal, and
nothing is said about what goes wrong: whoever presses the key wants a name or no name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)

from runbooks.limits import limited

if TYPE_CHECKING:
    from runbooks.host.host import Host
    from runbooks.mailman.installation import Installation

#: Seconds for a host to answer.
PATIENCE = 2.0

#: Seconds for which an answer is kept.
KEPT = 60

#: So many runs are offered.
_RUNS = 50

#: What can stand in a command line as it is. A name on the host that has anything else would
#: be obeyed by the shell that it is pasted into.
_HARMLESS = re.compile(r"[-\w.+=/]{1,255}", re.ASCII)

#: By the name of a site, or of the one thing there is: names, and what is said of each.
Answer = dict[str, dict[str, str]]


# -- what a command completes -------------------------------------------------------------


def lists(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The lists of the chosen sites."""
    answer = _answer(ctx, "lists")
    chosen = ctx.params.get("sites") or ([ctx.params["site"]] if ctx.params.get("site") else ())
    found = {
        name: site
        for site, names in answer.items()
        if site in chosen or not chosen
        for name in names
    }
    return _items(found, incomplete, ctx.params.get(str(param.name)))


def sites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The sites."""
    found = {site: f"{len(names)} lists" for site, names in _answer(ctx, "lists").items()}
    return _items(found, incomplete, ctx.params.get(str(param.name)))


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids of the newest runs, the newest first."""
    return _items(_answer(ctx, "runs").get("runs", {}), incomplete)


def procedures(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The procedures of the page."""
    from runbooks.procedures import all_procedures

    found = {one.name: one.title for one in all_procedures()}
    return _items(found, incomplete, ctx.params.get(str(param.name)))


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files of this machine, which the shell knows itself."""
    return [CompletionItem(incomplete, type="file")]


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Folders of this machine."""
    return [CompletionItem(incomplete, type="dir")]


def _items(found: dict[str, str], incomplete: str, given: object = None) -> list[CompletionItem]:
    """Those names that begin so and were not given yet."""
    seen = given if isinstance(given, (list, tuple)) else ()
    return [
        CompletionItem(name, help=said or None)
        for name, said in found.items()
        if name.startswith(incomplete) and name not in seen and _HARMLESS.fullmatch(name)
    ]


# -- asking the host ----------------------------------------------------------------------


def _answer(ctx: click.Context, what: str) -> Answer:
    """What the host says, or said within the last minute; nothing where that cannot be had."""
    given = ctx.params.get("host_specs") or ctx.params.get("host_spec") or "local://"
    spec = given if isinstance(given, str) else given[0]
    try:
        with limited(PATIENCE):
            from runbooks.host.host import Host

            host = Host(spec, unattended=True)
            kept = _Kept(host)
            answer = kept.read(what)
            if answer is None:
                answer = _ask(host, what)
                kept.write(what, answer)
            return answer
    # A shell would show it in the middle of the line that is being typed.
    except Exception:  # noqa: BLE001
        return {}


def _ask(host: Host, what: str) -> Answer:
    from runbooks.mailman.installation import discover

    try:
        found = discover(host)
        found.check_user()
        return _lists(found) if what == "lists" else _runs(found)
    finally:
        host.close()


def _lists(found: Installation) -> Answer:
    names, _ = found.names(found.sites)
    return {site.name: dict.fromkeys(names.get(site.name, ()), site.name) for site in found.sites}


def _runs(found: Installation) -> Answer:
    from runbooks.mailman import journal
    from runbooks.terminal.console import clean, cut

    def said(run: journal.Run) -> str:
        return cut(clean(f"{found.clock.recorded(run.began)}, {run.login}: {run.typed}"), 100)

    return {"runs": {run.id: said(run) for run in journal.history(found, _RUNS).runs}}


# -- what was answered --------------------------------------------------------------------


class _Kept:
    """The answers of a host, in the user's cache folder."""

    def __init__(self, host: Host) -> None:
        self.name = hashlib.sha256((host.practice_dir or host.spec).encode()).hexdigest()[:32]

    def path(self, what: str) -> Path:
        return _folder() / f"{self.name}.{what}.json"

    def read(self, what: str) -> Answer | None:
        """What was answered within the last minute, or None."""
        with contextlib.suppress(OSError, ValueError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(self.path(what), flags), "rb") as file:
                status = os.fstat(file.fileno())
                is_new = 0 <= time.time() - status.st_mtime < KEPT
                if is_new and stat.S_ISREG(status.st_mode) and _is_ours(status):
                    answer: Answer = json.load(file)
                    return answer
        return None

    def write(self, what: str, answer: Answer) -> None:
        with contextlib.suppress(OSError):
            _make_folder()
            path = self.path(what)
            # For this user alone: the lists of a server may be nobody else's business.
            fd, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(fd, "w") as file:
                    json.dump(answer, file)
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise

    def forget(self) -> None:
        for what in ("lists", "runs"):
            with contextlib.suppress(OSError):
                self.path(what).unlink()


def forget(host: Host) -> None:
    """A command has changed the host: what it answered may not be so any more."""
    _Kept(host).forget()


def _make_folder() -> None:
    """Only where something is to be kept: who completes nothing has no folder."""
    with contextlib.suppress(FileExistsError):
        _place().mkdir(mode=0o700, parents=True)


def _place() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    parent = Path(cache) if os.path.isabs(cache) else Path("~/.cache").expanduser()
    return parent / "runbook"


def _folder() -> Path:
    """The folder. Raises OSError where there is none, or others can write it.

    Under sudo, the home may be somebody else's: then nothing is kept there.
    """
    folder = _place()
    status = folder.lstat()
    if not (stat.S_ISDIR(status.st_mode) and _is_ours(status)):
        raise PermissionError(f"{folder} is not this user's alone")
    return folder


def _is_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


# -- bash -----------------------------------------------------------------------------------


class Bash(BashComplete):
    """Completion for bash, which splits words at a colon and an @, as click does not expect.

    ``--host ssh://root@lists`` reaches click as five words. So the line itself is read here, and
    of what is completed bash gets that part which it takes for the word.
    """

    name = "bash"
    source_template = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
    #: what bash leaves in front of the word that it completes
    before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.fsencode(os.environ["COMP_LINE"])[: int(os.environ["COMP_POINT"])]
        text = os.fsdecode(line)
        words = split_arg_string(text)
        incomplete = "" if not text or text[-1].isspace() else words.pop()
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        end = max((incomplete.rfind(one) + 1 for one in breaks if one in incomplete), default=0)
        self.before = incomplete[:end]
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        return f"{item.type},{str(item.value).removeprefix(self.before)}"


def prepare() -> None:
    """Have click use what is defined here."""
    add_completion_class(Bash)
