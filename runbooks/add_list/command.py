"""``runbook add-list``."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass

import click

from runbooks.add_list import check as checking
from runbooks.add_list import edit, page, rules, run
from runbooks.add_list.check import Seen, Wanted
from runbooks.add_list.edit import Edit
from runbooks.add_list.manifest import file as manifest_file
from runbooks.add_list.manifest.file import Judgement
from runbooks.add_list.run import Report
from runbooks.book.whose import whose
from runbooks.errors import BadInputError
from runbooks.mailman.events import Outcome
from runbooks.mailman.installation import Installation, Site
from runbooks.terminal import byhand, explained, options
from runbooks.terminal.byhand import ByHand, PrintedSteps
from runbooks.terminal.console import Question, Screen, Task
from runbooks.terminal.report import recorded

#: For the examples in the help and in messages.
_NAME = whose().examples.list
_ADMIN = whose().examples.administrator
_DESCRIPTION = shlex.quote(whose().examples.description)
_MANIFEST = whose().manifest.file


def _refuse_password(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise BadInputError(
            "a password is not taken from the command line, where every user of this machine"
            " can see it, and the shell keeps it: choose another one; a manifest uses"
            " $listpassword, and --direct asks for it, or reads --password-file or"
            " RUNBOOK_LIST_PASSWORD"
        )


@dataclass(frozen=True)
class _Given:
    """The arguments, examined."""

    name: str
    admin: str | None
    description: str | None
    mail_host: str | None
    web_host: str | None
    manifest: str | None
    class_name: str | None
    site: str | None
    host_spec: str
    #: the host was named, by an option or by RUNBOOK_HOST
    host_named: bool
    timeout: float
    dry_run: bool
    yes: bool
    by_hand: ByHand | None

    @property
    def is_by_steps(self) -> bool:
        return self.by_hand is not None and self.by_hand.steps

    @property
    def sites(self) -> tuple[str, ...]:
        return (self.site,) if self.site is not None else ()


@click.command(
    epilog=f"""\b
Examples:
  runbook add-list {_NAME} --admin {_ADMIN} \\
      --description {_DESCRIPTION} \\
      --manifest {_MANIFEST}
  runbook add-list {_NAME} --manifest {_MANIFEST} --check
  runbook add-list {_NAME} --manifest {_MANIFEST} --fix
  runbook add-list {_NAME} --admin {_ADMIN} \\
      --description {_DESCRIPTION} --direct
"""
)
@click.argument("name", shell_complete=options.completing("lists"))
@click.option("--admin", metavar="ADDRESS", help="The administrator's address.")
@click.option("--description", metavar="TEXT", help="What the list is for, in one line.")
@click.option(
    "--manifest",
    metavar="FILE",
    shell_complete=options.completing("files"),
    help="The Puppet manifest, a file on this machine.",
)
@click.option(
    "--class",
    "class_name",
    metavar="CLASS",
    help="The class for the list, if several classes have lists.",
)
@click.option(
    "--site",
    metavar="SITE",
    shell_complete=options.completing("sites"),
    help="The list's site, if the host has several.",
)
@click.option("--check", is_flag=True, help="Check that the list on the host is as it should be.")
@click.option(
    "--fix",
    is_flag=True,
    help="Check, and set what Puppet does not: the description, and what all other lists ban.",
)
@click.option(
    "--direct", is_flag=True, help="Create the list on the host with 'newlist', then check it."
)
@click.option(
    "--mail-host", metavar="HOST", help="The host of the list's addresses, with --direct."
)
@click.option("--web-host", metavar="HOST", help="The host of the list's web pages, with --direct.")
@click.option(
    "--password-file",
    metavar="FILE",
    shell_complete=options.completing("files"),
    help="File with the list's password, with --direct; - is standard input."
    "  [default: RUNBOOK_LIST_PASSWORD, or a question]",
)
@click.option(
    "--password", hidden=True, is_eager=True, expose_value=False, callback=_refuse_password
)
@options.one_host
@options.timeout
@options.dry_run
@options.yes
@options.quiet
@byhand.options
@options.json
@click.pass_context
def add_list(
    ctx: click.Context,
    name: str,
    admin: str | None,
    description: str | None,
    manifest: str | None,
    class_name: str | None,
    site: str | None,
    check: bool,
    fix: bool,
    direct: bool,
    mail_host: str | None,
    web_host: str | None,
    password_file: str | None,
    host_spec: str,
    timeout: float,
    dry_run: bool,
    yes: bool,
    quiet: bool,
    by_hand: ByHand | None,
    as_json: bool,
) -> int:
    """Add the list NAME to a Puppet manifest, and check the result.

    With --manifest, the list is written into the manifest, a file on this machine, for you to
    commit and have reviewed. If --host or RUNBOOK_HOST names the host, it is asked first whether
    it has the list already. The password in the manifest stays $listpassword.

    After Puppet has run, --check looks at the list, and --fix also sets what Puppet does not set.

    On a host without Puppet, use --direct.

    With --steps, the list goes into the manifest of the list server itself, where Puppet runs:
    leave out --manifest.
    """
    source = ctx.get_parameter_source("host_spec")
    given = _Given(
        name=rules.name(name),
        admin=None if admin is None else rules.admin(admin),
        description=None if description is None else rules.description(description),
        mail_host=None if mail_host is None else rules.host_name(mail_host, "--mail-host"),
        web_host=None if web_host is None else rules.host_name(web_host, "--web-host"),
        manifest=manifest,
        class_name=class_name,
        site=site,
        host_spec=host_spec,
        host_named=source is not click.core.ParameterSource.DEFAULT,
        timeout=timeout,
        dry_run=dry_run,
        yes=yes,
        by_hand=by_hand,
    )
    _check_together(given, check or fix, direct, password_file)
    screen = Screen(as_json, quiet)
    if given.is_by_steps and not (direct or check or fix):
        return _by_hand(screen, options.on_one(host_spec, screen), given, None)
    if direct:
        return _direct(screen, given, password_file)
    if check or fix:
        return _check(screen, given, fix)
    return _edit(screen, given)


def _check_together(given: _Given, check: bool, direct: bool, password_file: str | None) -> None:
    """Raise BadInputError for options that mean nothing together."""
    if direct and check:
        raise BadInputError("--direct looks and corrects by itself: leave out --check and --fix")
    if direct and given.manifest is not None:
        raise BadInputError(
            "--direct is for hosts without Puppet: with --manifest, Puppet makes the list"
        )
    if not direct and password_file is not None:
        raise BadInputError("--password-file is for --direct: a manifest has $listpassword")
    if not (direct or check) and (given.mail_host or given.web_host):
        raise BadInputError(
            "--mail-host and --web-host are for --direct: a manifest has them as its other lists do"
        )
    if given.is_by_steps and given.manifest is not None and not check:
        raise BadInputError(
            f"--steps runs on the list server, whose manifest is {page.CHECKOUT}/{page.MANIFEST}:"
            " leave out --manifest"
        )
    if given.class_name is not None and (direct or check):
        raise BadInputError("--class is for writing into a manifest")
    if check:
        if given.manifest is not None and (given.admin or given.description):
            raise BadInputError(
                "the manifest says how the list should be: leave out --admin and --description"
            )
        return
    if not direct and given.manifest is None and not given.is_by_steps:
        raise BadInputError(
            f"name the manifest that the list goes into (--manifest {_MANIFEST}), or add --direct"
            " on a host without Puppet"
        )
    if given.admin is None:
        raise BadInputError(f"name the list's administrator: --admin {_ADMIN}")
    if given.description is None:
        raise BadInputError(f"say what the list is for: --description {_DESCRIPTION}")


def _wanted(given: _Given) -> Wanted:
    return Wanted(given.name, given.admin, given.description, given.mail_host, given.web_host)


# -- into the manifest --------------------------------------------------------------------


def _edit(screen: Screen, given: _Given) -> int:
    assert given.manifest is not None
    file = manifest_file.load(given.manifest)
    planned = edit.edit(file, _wanted(given), given.site, given.class_name)
    if given.by_hand:
        return _by_hand(screen, options.on_one(given.host_spec, screen), given, planned)
    file.check_writable()
    if given.host_named:
        _ask_host(screen, given)
    else:
        screen.say("the list server was not asked whether it has the list: add --host to ask it")
    for note in file.manifest.notes:
        screen.warn(f"{file.path}, line {note.line}: {note.text}")
    _show_diff(screen, file.diff(planned.text))
    first, last = planned.lines
    if given.dry_run:
        screen.object(
            manifest=file.path, list=given.name, outcome=Outcome.PLANNED, lines=[first, last]
        )
        screen.say("dry run: nothing was changed")
        return 0
    screen.confirm(Question((Task(f"Write {file.path}"),)), given.yes)
    with screen.busy("writing, and having Puppet read it"):
        judged = edit.apply(planned)
        try:
            linted = manifest_file.lint(file.target, first, last)
        except KeyboardInterrupt:  # the file stays as it is now: say so
            linted = manifest_file.Judgement(False)
    screen.say(f"wrote {file.path}, lines {first} to {last}", style="green")
    _show_judgements(screen, judged, linted)
    _show_next(screen, given, file.path)
    screen.object(
        manifest=file.path,
        list=given.name,
        outcome=Outcome.WRITTEN,
        lines=[first, last],
        validated=judged.asked,
        linted=linted.asked,
        lint=list(linted.problems),
    )
    return 0


def _ask_host(screen: Screen, given: _Given) -> None:
    """Raise BadInputError when the host has the list already."""
    found = options.on_one(given.host_spec, screen)
    found.check_user()
    # A manifest without sites does not say where Puppet will make the list.
    sites = found.choose_sites(given.sites)
    for site, names in checking.names(found, sites).items():
        of_several = f" (site {site})" if len(found.sites) > 1 else ""
        rules.check_free(given.name, names, f"{found.hostname}{of_several}")
    screen.say(f"{found.hostname} does not have the list yet")


def _show_diff(screen: Screen, diff: str) -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff.split("\n"):
        screen.say(line, style=styles.get(line[:1], ""))


def _show_judgements(screen: Screen, judged: Judgement, linted: Judgement) -> None:
    if judged.asked:
        screen.say("puppet parser validate accepts it")
    else:
        screen.say("puppet is not installed here, so it did not read the file")
    for problem in linted.problems:
        screen.warn(f"puppet-lint: {problem}")
    if linted.asked and not linted.problems:
        screen.say("puppet-lint finds nothing wrong with the new lines")


def _show_next(screen: Screen, given: _Given, path: str) -> None:
    host = f" --host {shlex.quote(given.host_spec)}" if given.host_named else ""
    site = f" --site {shlex.quote(given.site)}" if given.site is not None else ""
    screen.say("Next: commit it, and have it reviewed. Once Puppet has run on the list server:")
    screen.say(
        f"  runbook add-list {given.name} --manifest {shlex.quote(path)}{site} --fix{host}",
        style="cyan",
    )


# -- on the host --------------------------------------------------------------------------


def _check(screen: Screen, given: _Given, fix: bool) -> int:
    wanted, site_name = _wanted(given), given.site
    if given.manifest is not None:
        file = manifest_file.load(given.manifest)
        wanted, in_manifest = edit.declared(file, given.name, given.site)
        site_name = site_name or in_manifest
    found = options.on_one(given.host_spec, screen)
    found.check_user()
    sites = found.choose_sites((site_name,) if site_name is not None else ())
    lists = checking.names(found, sites)
    site = checking.site_of(found, given.name, sites, lists)
    if site is None:
        where = ", ".join(one.name for one in sites)
        screen.say(found.title, style="bold")
        screen.say(
            f"  missing  list  {given.name} is on none of the sites {where}", "red", always=True
        )
        screen.object(
            host=found.host.spec,
            site=None,
            list=given.name,
            check="list",
            state="missing",
            detail=f"it is on none of the sites {where}",
        )
        return 1
    with screen.busy("looking at the lists"):
        seen = checking.look(found, site, wanted)
    if given.by_hand:
        if not seen.exists:
            raise BadInputError(f"{given.name} is not on {site.name}: there is nothing to set")
        return _by_hand(screen, found, given, None, seen)
    screen.say(found.title, style="bold")
    _show_findings(screen, found, seen, with_help=not fix)
    if not fix or not (seen.description or seen.lacking):
        if fix:
            screen.say("nothing to set")
        return 0 if seen.is_good else 1
    what = _to_set(seen)
    if given.dry_run:
        screen.object(
            host=found.host.spec,
            site=site.name,
            list=given.name,
            outcome=Outcome.PLANNED,
            description=seen.description,
            banned=seen.lacking,
        )
        screen.say(f"dry run: would {what} on {given.name}; nothing was changed")
        return 0
    task = Task(f"{what[0].upper()}{what[1:]} on {given.name}")
    screen.confirm(Question((task,)), given.yes)
    with options.changing(found.host):
        with screen.busy("setting it"):
            report = run.carry_out(
                found, site, wanted, timeout=given.timeout, arguments=options.typed()
            )
        _show_report(screen, found, site, report, given)
    return 0 if report.is_done else 1


def _to_set(seen: Seen) -> str:
    """``set the description and ban 2 entries``"""
    parts = []
    if seen.description is not None:
        parts.append("set the description")
    if seen.lacking:
        number = len(seen.lacking)
        parts.append(f"ban {number:,} {'entry' if number == 1 else 'entries'}")
    return " and ".join(parts)


def _direct(screen: Screen, given: _Given, password_file: str | None) -> int:
    found = options.on_one(given.host_spec, screen)
    found.check_user()
    (site,) = _one_site(found, given)
    if given.by_hand:
        return _by_hand(screen, found, given, None, direct=True, password_file=password_file)
    rules.check_free(given.name, checking.names(found, (site,))[site.name], found.hostname)
    wanted = _wanted(given)
    screen.say(found.title, style="bold")
    screen.table(
        [
            ("list", f"{given.name}@{given.mail_host or site.mail_domain}"),
            ("site", site.name),
            ("administrator", str(given.admin)),
            ("description", str(given.description)),
        ]
    )
    if given.dry_run:
        screen.object(
            host=found.host.spec, site=site.name, list=given.name, outcome=Outcome.PLANNED
        )
        screen.say("dry run: nothing was changed")
        return 0
    password = _password(screen, given.name, password_file)
    screen.confirm(Question((Task(f"Create the list {given.name}"),)), given.yes)
    with options.changing(found.host):
        with screen.busy("creating it"):
            report = run.carry_out(
                found,
                site,
                wanted,
                password=password,
                timeout=given.timeout,
                arguments=options.typed(),
            )
        _show_report(screen, found, site, report, given)
    return 0 if report.is_done else 1


def _password(screen: Screen, name: str, path: str | None) -> bytes:
    """The new list's password: from a file, the environment, or whoever sits at the terminal."""
    if path == "-":
        line = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
        return rules.password(line, "standard input")
    if path is not None:
        password, warning = rules.password_from_file(path)
        if warning:
            screen.warn(warning)
        return password
    if rules.PASSWORD_VARIABLE in os.environ:
        variable = rules.PASSWORD_VARIABLE
        return rules.password(os.environ[variable], variable)
    if not sys.stdin.isatty():
        raise BadInputError(
            "standard input is not a terminal, so nobody can be asked for the list's password: add"
            f" --password-file, or set {rules.PASSWORD_VARIABLE}"
        )
    typed = click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
    return rules.password(typed, "the terminal")


def _show_findings(
    screen: Screen, found: Installation, seen: Seen, *, with_help: bool = True
) -> None:
    rows = []
    for finding in seen.findings:
        text = finding.detail
        if finding.help and with_help:
            text += f"\n→ {_help(found, seen.site, finding.help)}"
        if finding.state != checking.GOOD or not screen.quiet:
            rows.append((finding.state, finding.what, text))
        screen.object(
            host=found.host.spec,
            site=seen.site.name,
            list=seen.wanted.name,
            check=finding.what,
            state=finding.state,
            detail=finding.detail,
        )
    screen.table(rows, always=not seen.is_good)


def _help(found: Installation, site: Site, words: tuple[str, ...]) -> str:
    """A command line that helps, for this host and site."""
    line = shlex.join(("runbook", *words))
    if words[0] == "add-list":
        manifest = click.get_current_context().params.get("manifest")
        description = click.get_current_context().params.get("description")
        if manifest is not None:
            line += f" --manifest {shlex.quote(manifest)}"
        elif description is not None:
            line += f" --description {shlex.quote(description)}"
    if words[0] in ("add-list", "clear-lock") and len(found.sites) > 1:
        line += f" --site {shlex.quote(site.name)}"
    return line + found.host.option


def _show_report(
    screen: Screen, found: Installation, site: Site, report: Report, given: _Given
) -> None:
    name = given.name
    if report.detail:
        help = f" → {_help(found, site, report.help)}" if report.help else ""
        screen.say(f"{name}: {report.outcome}: {report.detail}{help}", "yellow", always=True)
    elif report.outcome not in ("created", "changed", "already"):
        screen.say(f"{name}: {report.outcome}", style="red", always=True)
    if report.description_was:
        screen.say(f"the description was {report.description_was!r}")
    if report.unrecorded:
        screen.say(report.unrecorded, style="red", always=True)
    if report.is_done:
        done = "was created" if report.outcome == "created" else "is as asked"
        screen.say(f"{name} {done}, as read back", style="green")
    elif report.seen is not None:
        became = {"created": "was created", "changed": "was changed", "already": "stays as it was"}
        if report.outcome in became:
            text = f"{name} {became[report.outcome]}, but not all is as it should be:"
            screen.say(text, style="yellow", always=True)
        _show_findings(screen, found, report.seen)
    recorded(screen, found, report.recorded)
    screen.object(
        host=found.host.spec,
        site=site.name,
        list=name,
        outcome=report.outcome,
        detail=report.detail,
        banned=report.added,
    )


def _by_hand(
    screen: Screen,
    found: Installation,
    given: _Given,
    planned: Edit | None,
    seen: Seen | None = None,
    *,
    direct: bool = False,
    password_file: str | None = None,
) -> int:
    assert given.by_hand is not None
    wanted = seen.wanted if seen is not None else _wanted(given)
    site = seen.site if seen is not None else None
    if given.is_by_steps:
        found.check_user()
        if site is None:
            (site,) = _one_site(found, given)
            rules.check_free(given.name, checking.names(found, (site,))[site.name], found.hostname)
    steps = page.steps(
        found,
        page.AddArguments(
            given.name,
            given.admin or "…",
            wanted.description if isinstance(wanted.description, str) else "…",
            site=site.name if site is not None else given.site,
            direct=direct,
            exists=seen is not None,
            edit=planned,
        ),
    )
    printed = PrintedSteps.of(
        page.PROCEDURE,
        steps,
        password=lambda: _password(screen, given.name, password_file),
    )
    return explained.show(screen, found, given.by_hand, printed, given.yes)


def _one_site(found: Installation, given: _Given) -> tuple[Site, ...]:
    """The site that is meant. Raises BadInputError where that is not clear."""
    sites = found.choose_sites(given.sites)
    if len(sites) > 1:
        raise BadInputError(
            f"{found.hostname} has the sites {', '.join(site.name for site in sites)}:"
            " name the list's with --site"
        )
    return sites
