"""*Adding a List*: by hand, and by command."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from runbooks import journal, manifest_file, new_list
from runbooks.errors import BadInputError, HostError, LostError
from runbooks.expected import MORE, placeholder
from runbooks.host import Event
from runbooks.journal import Recorded
from runbooks.mailman import Installation, Site, as_mailman
from runbooks.manifest_file import ManifestFile
from runbooks.onhost import Program, source
from runbooks.procedure import File, Procedure, Step, Trouble
from runbooks.puppet import Insertion, MailList, Value
from runbooks.puppetlang import quote
from runbooks.target import LockEvidence

#: Where a mail server and Puppet have the aliases.
ALIASES_FILE = "/etc/aliases"


@dataclass(frozen=True)
class Wanted:
    """How a list is to be. None: nothing was said of it.

    A `Value` without a text stands in a manifest as something that only Puppet can tell.
    """

    name: str
    admin: str | Value | None = None
    description: str | Value | None = None
    mail_host: str | Value | None = None
    web_host: str | Value | None = None
    #: a manifest declares it as `maillist`, for which Puppet writes mail aliases
    by_maillist: bool = False


# -- the manifest -------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """A list on its way into a manifest."""

    file: ManifestFile
    wanted: Wanted
    insertion: Insertion
    text: str

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line of the new resource."""
        count = len(self.insertion.text.strip().split("\n"))
        return self.insertion.line, self.insertion.line + count - 1


def edit(
    file: ManifestFile, wanted: Wanted, site: str | None = None, class_name: str | None = None
) -> Edit:
    """The manifest with the list in it. Writes nothing.

    Raises BadInputError: the list, or one of its addresses, is there already; there is no
    place for it; a site or a class has to be named.
    """
    admin, description = wanted.admin, wanted.description
    assert isinstance(admin, str)
    assert isinstance(description, str)
    manifest = file.manifest
    there = [entry.name for entry in manifest.lists if entry.site == site]
    new_list.check_free(wanted.name, there, file.path)
    try:
        new = manifest.insertion(
            wanted.name, admin=admin, description=description, site=site, class_name=class_name
        )
    except BadInputError as e:
        option = ""
        if str(e).endswith("name the site"):
            option = ": --site SITE"
        elif str(e).endswith("name the class"):
            option = ": --class NAME"
        raise BadInputError(f"{file.path}: {e}{option}") from None
    text = manifest.text[: new.offset] + new.text + manifest.text[new.offset :]
    return Edit(file, wanted, new, text)


def apply(planned: Edit) -> manifest_file.Judgement:
    """Write the manifest and have Puppet read it; what it is not able to read is taken back.

    Raises BadInputError; then the file is as it was.
    """
    planned.file.write(planned.text)
    try:
        judged = manifest_file.validate(planned.file.target)
    except KeyboardInterrupt:
        planned.file.put_back(planned.text)
        raise
    if judged.problems:
        planned.file.put_back(planned.text)
        before = manifest_file.validate(planned.file.target)
        already = "; it did not read the file before either" if before.problems else ""
        raise BadInputError(
            f"{planned.file.path}: with the list in it, puppet parser validate says:"
            f" {judged.problems[0]}{already}; the file was put back as it was"
        )
    return judged


def declared(file: ManifestFile, name: str, site: str | None) -> tuple[Wanted, str | None]:
    """How the manifest wants a list to be, and the site that it names, if it does.

    `site`: the one that is meant, where several have a list of that name. Raises BadInputError.
    """
    found = [e for e in file.manifest.lists if e.name.lower() == name]
    if not found:
        raise BadInputError(f"{file.path} has no list {name}")
    here = [e for e in found if site is None or e.site in (None, site)]
    if not here:
        raise BadInputError(f"{file.path} has the list {name} for another site: {found[0].site}")
    if len(here) > 1:
        sites = ", ".join(sorted(e.site or "no site" for e in here))
        raise BadInputError(f"{file.path} has several lists {name} ({sites}): name the site")
    entry = here[0]
    if not entry.present:
        raise BadInputError(f"{file.path}, line {entry.line}: {name} is not to be present")
    return _declared(entry, name), entry.site


def _declared(entry: MailList, name: str) -> Wanted:
    values: dict[str, str | Value | None] = {}
    for attribute in ("admin", "description", "mailserver", "webserver"):
        value = entry.attributes.get(attribute)
        values[attribute] = value.text if value is not None and value.text is not None else value
    return Wanted(
        name,
        admin=values["admin"],
        description=values["description"],
        mail_host=values["mailserver"],
        web_host=values["webserver"],
        by_maillist=entry.site is None,
    )


# -- the host -----------------------------------------------------------------------------


def names(installation: Installation, sites: Iterable[Site]) -> dict[str, list[str]]:
    """The names of the lists of each site. One command; changes nothing. Raises HostError."""
    found: dict[str, list[str]] = {}

    def hear(event: Event) -> None:
        if event["event"] == "names":
            if "why" in event:
                raise HostError(
                    f"{installation.hostname}: the lists of {event['site']} cannot be"
                    f" listed: {event['why']}"
                )
            found[event["site"]] = event["names"]

    wanted = [site.on_host(installation, None) for site in sites]
    installation.call("adding", {"action": "names", "sites": wanted}, hear)
    return found


def site_of(
    installation: Installation, name: str, sites: Sequence[Site], lists: Mapping[str, list[str]]
) -> Site | None:
    """The one of `sites` that has the list, or that would have it; None when no site has it.

    Raises BadInputError when several have it.
    """
    if len(sites) == 1:
        return sites[0]
    having = [site for site in sites if name in lists[site.name]]
    if len(having) > 1:
        raise BadInputError(
            f"{installation.hostname} has the list {name} on the sites"
            f" {', '.join(site.name for site in having)}: name one with --site"
        )
    return having[0] if having else None


#: What became of one point of the check.
GOOD, MISSING, UNKNOWN = "good", "missing", "unknown"


@dataclass(frozen=True)
class Finding:
    """One point of the check."""

    what: str
    #: `GOOD`, `MISSING`, or `UNKNOWN`: there is nothing to compare it with
    state: str
    detail: str
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A list as it was seen on the host."""

    site: Site
    wanted: Wanted
    #: the on-host program's answer
    said: Mapping[str, Any]
    #: its answers about files of aliases
    aliases: tuple[Mapping[str, Any], ...] = ()
    #: Mailman's
    version: str = ""

    @property
    def exists(self) -> bool:
        return bool(self.said["exists"]) and "unreadable" not in self.said

    @property
    def description(self) -> str | None:
        """The description that is to be set, or None when it is as it should be."""
        wanted = self.wanted.description
        if not self.exists or not isinstance(wanted, str):
            return None
        return wanted if self.said["description"] != wanted else None

    @property
    def lacking(self) -> list[str]:
        """What every other list of the site refuses, and this one does not."""
        return list(self.said["lacking"]) if self.exists else []

    @property
    def findings(self) -> list[Finding]:
        """The check, point by point."""
        if not self.said["exists"]:
            return [Finding("list", MISSING, f"{self.wanted.name} is not on {self.site.name}")]
        if not self.exists:
            return [Finding("list", MISSING, f"it cannot be read: {self.said['unreadable']}")]
        return [
            Finding("list", GOOD, self.said["note"] or f"it is on {self.site.name}"),
            self._owner(),
            self._host("mail host", self.wanted.mail_host, self.said["mail_host"], "mail"),
            self._host(
                "web host",
                self.wanted.web_host,
                urlsplit(self.said["web_page_url"]).hostname or "",
                "url",
            ),
            self._described(),
            self._aliases(),
            self._bans(),
        ]

    @property
    def is_good(self) -> bool:
        return all(finding.state != MISSING for finding in self.findings)

    def _owner(self) -> Finding:
        owners, wanted = self.said["owner"], self.wanted.admin
        shown = ", ".join(owners) or "nobody"
        if wanted is None:
            return Finding("owner", UNKNOWN, f"{shown}; nothing says who it should be")
        if isinstance(wanted, Value):
            return Finding("owner", UNKNOWN, f"{shown}; the manifest says {wanted.source}")
        if wanted.lower() in [owner.lower() for owner in owners]:
            return Finding("owner", GOOD, shown)
        return Finding(
            "owner",
            MISSING,
            f"it is {shown} and should be {wanted}; Puppet does not change it any more: do so on"
            " the list's own page, or with config_list",
        )

    def _host(self, what: str, wanted: str | Value | None, is_now: str, kind: str) -> Finding:
        default = self.site.mail_domain if kind == "mail" else self.site.url_domain
        if isinstance(wanted, Value):
            if is_now.lower() == default.lower():
                text = f"{is_now}, the installation's own; the manifest says {wanted.source}"
                return Finding(what, GOOD, text)
            text = f"{is_now}; the manifest says {wanted.source}, the installation {default}"
            return Finding(what, UNKNOWN, text)
        if wanted is None:
            if is_now.lower() == default.lower():
                return Finding(what, GOOD, f"{is_now}, the installation's own")
            text = f"{is_now}; nothing says what it should be, the installation has {default}"
            return Finding(what, UNKNOWN, text)
        if is_now.lower() == wanted.lower():
            return Finding(what, GOOD, is_now)
        return Finding(
            what,
            MISSING,
            f"it is {is_now or 'empty'} and should be {wanted}; Puppet does not change it any"
            " more: do so with config_list and fix_url",
        )

    def _described(self) -> Finding:
        is_now, wanted = self.said["description"], self.wanted.description
        shown = repr(is_now) if is_now else "empty"
        if wanted is None:
            return Finding("description", UNKNOWN, f"{shown}; nothing says what it should be")
        if isinstance(wanted, Value):
            return Finding("description", UNKNOWN, f"{shown}; the manifest says {wanted.source}")
        if self.description is None:
            return Finding("description", GOOD, is_now)
        return Finding(
            "description",
            MISSING,
            f"it is {shown} and should be {wanted!r}: Puppet sets none",
            self._fix,
        )

    @property
    def _fix(self) -> tuple[str, ...]:
        return ("add-list", self.wanted.name, "--fix")

    def _aliases(self) -> Finding:
        readable = [a for a in self.aliases if "why" not in a]
        has_some = [a for a in readable if len(a["missing"]) < len(aliases_of(self.wanted.name))]
        if not has_some:
            return self._no_aliases(readable)
        best = min(has_some, key=lambda a: len(a["missing"]) + len(a["elsewhere"]))
        if best["missing"]:
            absent = ", ".join(best["missing"])
            return Finding("aliases", MISSING, f"{best['path']} lacks {absent}")
        if best["elsewhere"]:
            alias, value = sorted(best["elsewhere"].items())[0]
            return Finding("aliases", MISSING, f"{best['path']} has {alias} for {value}")
        if best["stale"]:
            return Finding(
                "aliases",
                MISSING,
                f"{best['stale']} is older than {best['path']}, and the mail server reads that:"
                " run newaliases",
            )
        count = len(aliases_of(self.wanted.name))
        return Finding("aliases", GOOD, f"all {count} are in {best['path']}")

    def _no_aliases(self, readable: list[Mapping[str, Any]]) -> Finding:
        others = [a for a in readable if a["others"]]
        if others:
            text = f"{others[0]['path']} has those of other lists and none of this one: "
            if self.wanted.by_maillist:
                return Finding("aliases", MISSING, text + self._puppet_again)
            text += (
                "add them as they are there for another list, and run newaliases if the mail server"
                " wants that"
            )
            return Finding("aliases", MISSING, text)
        closed = [a for a in self.aliases if "why" in a and not a["absent"]]
        if closed:
            why = closed[0]["why"]
            hint = ": look as root" if why == os.strerror(errno.EACCES) else ""
            text = f"{closed[0]['path']} cannot be read ({why}){hint}"
            return Finding("aliases", UNKNOWN, text)
        looked = " and ".join(a["path"] for a in self.aliases)
        if self.wanted.by_maillist:
            text = f"Puppet writes them to {ALIASES_FILE}, and there is none: "
            return Finding("aliases", MISSING, text + self._puppet_again)
        return Finding(
            "aliases",
            UNKNOWN,
            f"no list of {self.site.name} has any in {looked}: the mail server finds lists in"
            " another way, which is not checked here",
        )

    @property
    def _puppet_again(self) -> str:
        """What has Puppet write the aliases of a list that is there.

        Its newlist ends with an error under Mailman 2.2, after it made the list (recording
        `puppet_maillist`); what depends on the list is then left for the next run.
        """
        if self.version.startswith("2.2"):
            return (
                "under Mailman 2.2, Puppet's first run makes the list and fails;"
                " run Puppet again, and it writes them"
            )
        return "run Puppet here"

    def _bans(self) -> Finding:
        lacking, others = self.said["lacking"], self.said["others"]
        left_out = self.said["left_out"]
        without = f" ({', '.join(left_out)} could not be read)" if left_out else ""
        if self.said["as_new"]:
            without += f" ({', '.join(self.said['as_new'])}: as new as this one, and not asked)"
        if not others:
            return Finding(
                "bans", GOOD, f"{self.site.name} has no other list to take bans from{without}"
            )
        if not lacking:
            text = f"it refuses whomever all {others} other lists refuse{without}"
            return Finding("bans", GOOD, text)
        shown = ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")
        return Finding(
            "bans",
            MISSING,
            f"all {others} other lists refuse {shown}, and this one does not{without}",
            self._fix,
        )


def aliases_of(name: str) -> dict[str, str]:
    """The addresses of a list: the alias, and what Mailman is asked to do with its mail."""
    return {name: "post", **{f"{name}-{suffix}": suffix for suffix in new_list.SUFFIXES}}


def look(installation: Installation, site: Site, wanted: Wanted) -> Seen:
    """See how a list is. Changes nothing on the host."""
    found: dict[str, Any] = {}
    parameters: dict[str, object] = {
        "action": "look",
        "site": site.on_host(installation, None),
        "list": wanted.name,
    }
    installation.call("adding", parameters, found.update)
    return _with_aliases(installation, Seen(site, wanted, found, version=installation.version))


def _with_aliases(installation: Installation, seen: Seen) -> Seen:
    """What files of aliases have.

    /etc/aliases is read by whoever logged in: it may be root's alone. A file in a folder of
    Mailman's user is read as that user, who may have put anything there.
    """
    if not seen.exists:
        return seen
    practice = installation.host.practice_dir or ""
    others = [n for n in names(installation, [seen.site])[seen.site.name] if n != seen.wanted.name]
    wanted = {"aliases": aliases_of(seen.wanted.name), "others": others}
    own = Program("aliases", {**wanted, "files": [f"{practice}{ALIASES_FILE}"]})
    answers = installation.host.run(own, shlex.quote(installation.interpreter))
    if seen.said["alias_files"]:
        answers += installation.call("aliases", {**wanted, "files": seen.said["alias_files"]})
    return replace(seen, aliases=tuple(a for a in answers if a["event"] == "aliases"))


@dataclass
class Report:
    """What became of a list that was created or corrected."""

    #: "created", "changed", "already", "locked", "corrupt", "error"
    outcome: str = "error"
    detail: str = ""
    #: the arguments of ``runbook`` that help, or ()
    help: tuple[str, ...] = ()
    #: the description that was replaced, where it was
    description_was: str | None = None
    #: entries that the ban list got
    added: list[str] = field(default_factory=list)
    #: the list, read again
    seen: Seen | None = None
    recorded: Recorded | None = None
    #: the record could not be finished, and why
    unrecorded: str = ""

    @property
    def is_done(self) -> bool:
        done = self.outcome in ("created", "changed", "already") and not self.unrecorded
        return done and self.seen is not None and self.seen.is_good


def carry_out(
    installation: Installation,
    site: Site,
    wanted: Wanted,
    *,
    password: bytes = b"",
    timeout: float,
    arguments: Sequence[str] = (),
) -> Report:
    """Create the list, when there is a password; set description and bans; read them back.

    `timeout`: seconds for the list's lock. `arguments`: the command line, for the journal.
    The host ends what it has begun, also after Ctrl-C: the report tells what became of it, and
    LostError is raised when that was not heard. Raises JournalError when the run cannot be
    recorded; then nothing was changed.
    """
    report = Report()
    evidence = LockEvidence()
    found: dict[str, Any] = {}
    options: list[str] = []
    if isinstance(wanted.web_host, str):
        options += ["-u", wanted.web_host]
    if isinstance(wanted.mail_host, str):
        options += ["-e", wanted.mail_host]
    parameters: dict[str, object] = {
        "action": "carry out",
        "site": site.on_host(installation, None),
        "list": wanted.name,
        "create": bool(password),
        "admin": wanted.admin if isinstance(wanted.admin, str) else "",
        "options": options,
        "description": wanted.description if isinstance(wanted.description, str) else None,
        "bans": True,
        # For Mailman, 0 is no limit.
        "timeout": max(timeout, 0.5),
        "secret": len(password),
        "journal": journal.parameters(
            installation,
            "add-list",
            arguments or ("add-list", wanted.name),
            sites=[site],
            list=wanted.name,
        ),
    }

    def hear(event: Event) -> None:
        match event["event"]:
            case "recorded" | "unrecorded":
                report.recorded = journal.heard(event) or report.recorded
                report.unrecorded = journal.stopped_why(event) or report.unrecorded
            case "locks":
                evidence.hear(event)
            case "list":
                report.outcome, report.detail = event["outcome"], event["detail"]
                report.description_was, report.added = event["description_was"], event["added"]
            case "looked":
                found.update(event)

    try:
        installation.call("adding", parameters, hear, password)
    except (KeyboardInterrupt, LostError) as e:
        if not found:
            raise _unheard(e, installation, site, wanted.name) from None
    if report.outcome == "locked":
        report.detail = evidence.describe(site.name, wanted.name)
        again = ("add-list", wanted.name, "--fix")
        report.help = evidence.help(site.name, wanted.name, again=again)
    if found:
        seen = Seen(site, wanted, found, version=installation.version)
        report.seen = _with_aliases(installation, seen)
    return report


def _unheard(why: BaseException, installation: Installation, site: Site, name: str) -> LostError:
    """What to say when it is not known what became of a list.

    Not to repeat the command: where the list was created, that is refused.
    """
    only = ("--site", site.name) if len(installation.sites) > 1 else ()
    check = installation.host.command(("add-list", name, "--check", *only))
    said = str(why).removesuffix("; the same command run again completes it") or "interrupted"
    return LostError(
        f"{said}; what the host has begun it ends: '{check}' shows how the list stands"
    )


# -- by hand ------------------------------------------------------------------------------


def steps(installation: Installation, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """The procedure by hand.

    `arguments`: ``name``, ``admin``, ``description``; and where they are there ``site``, its
    name; ``direct``, without Puppet; ``exists``, when the list is there and only the rest is
    to be done; ``edit``, an `Edit` of a manifest at hand.
    """
    sites = installation.sites
    chosen = arguments.get("site")
    site = next((one for one in sites if one.name == chosen), sites[0])
    hand = _ByHand(
        installation, site, arguments["name"], arguments["admin"], arguments["description"]
    )
    begin: tuple[Step, ...]
    if arguments.get("exists"):
        begin = ()
    elif arguments.get("direct"):
        begin = (hand.newlist(),)
    else:
        begin = (hand.resource(arguments.get("edit")), *hand.puppet())
    if not begin:
        return hand.complete()
    return (*begin, hand.see(), *hand.complete())


#: Where the list server has the repository that the manifest is in.
CHECKOUT = "/opt/system-config"

#: The manifest of the documentation, in that repository.
MANIFEST = "modules/openstack_project/manifests/lists.pp"


@dataclass(frozen=True)
class _ByHand:
    """The steps by hand, for one list."""

    installation: Installation
    site: Site
    name: str
    admin: str
    description: str

    def resource(self, planned: Edit | None) -> Step:
        text = self.documented()
        path = f"{CHECKOUT}/{MANIFEST}"
        before = "$"
        if planned is not None:
            path, text = planned.file.path, planned.insertion.text
            rest = planned.file.manifest.text[planned.insertion.offset :]
            before = str(planned.file.manifest.text[: planned.insertion.offset].count("\n") + 1)
            if not rest:
                before = ""
        quoted = shlex.quote(path)
        return Step(
            "resource",
            "Add the list to the manifest",
            "It goes into the class, here in front of the last line of the file, which closes"
            " it; an editor does as well. Where changes are reviewed, do this in a clone of"
            " :elsewhere:`openstack-infra/system-config` and send it there: the list server has it"
            f" in ``{CHECKOUT}`` once it is merged. The password stays ``$listpassword``: what is"
            " in a manifest is public.",
            f"sed -i '{before}e cat' {quoted}" if before else f"cat >> {quoted}",
            creates=File(path, text),
        )

    def documented(self) -> str:
        """The resource as the documentation has it, behind an empty line."""
        return (
            f"\n  maillist {{ {quote(self.name)}:\n"
            "    ensure      => present,\n"
            f"    admin       => {quote(self.admin)},\n"
            "    password    => $listpassword,\n"
            f"    description => {quote(self.description)},\n"
            "    webserver   => $listdomain,\n"
            "    mailserver  => $listdomain,\n"
            "  }\n"
        )

    def puppet(self) -> tuple[Step, Step]:
        """Puppet's run, and another one.

        Under Mailman 2.2 the first one makes the list and fails, and the second one writes the
        aliases (recording `puppet_maillist`).
        """
        variable = ""
        if self.site.site_dir is not None:
            variable = f"MAILMAN_SITE_DIR={shlex.quote(self.site.site_dir)} "
        stage = "Notice: /Stage[main]/Openstack_project::Lists/"
        apply = (
            f"{variable}puppet apply --color=false"
            f" --modulepath={CHECKOUT}/modules:/etc/puppet/modules {CHECKOUT}/manifests/site.pp"
        )
        begins = (
            "{WARNINGS:Warning: …}\n"
            "Notice: Compiled catalog for {HOST:lists} in environment production"
            " in {SECONDS:0.09} seconds\n"
        )
        ends = "Notice: Applied catalog in {SECONDS:1.56} seconds"
        others = f"{self._alias('NEW_ALIAS_OF_OTHERS', 'openstack-announce')}\n{MORE}\n"
        own = f"{self._alias('NEW_ALIAS', self.name)}\n{MORE}\n"
        if self.installation.version.startswith("2.2"):
            made = (
                "{NEWLIST_FAILS:Error: Execution of '/usr/sbin/newlist …' returned 1: …}\n"
                f"{stage}Mailalias[{self.name}]: Dependency Maillist[{self.name}] has failures:"
                " true\n{WARNINGS:Warning: …: Skipping because of failed dependencies}\n"
            )
            left = own
        else:
            made, left = f"{stage}Maillist[{self.name}]/ensure: created\n{own}", ""
        first = Step(
            "puppet",
            "Have Puppet create the list",
            "Puppet's next run by itself does it as well, where it is told the site: on a host"
            " with several sites that is the variable, since Puppet only calls ``newlist``. Without"
            " it Puppet says ``created`` at every run, writes the mail aliases, and there is no"
            " list.",
            apply,
            begins + others + made + ends,
        )
        again = Step(
            "puppet-again",
            "Have Puppet run once more",
            "There is nothing left to do. Under Mailman 2.2 there is: the first run makes the list,"
            " and Puppet says ``Error``, since ``newlist`` asks a question that nobody answers;"
            " this run writes the mail aliases.",
            apply,
            begins + left + ends,
        )
        return first, again

    def _alias(self, which: str, shown: str) -> str:
        """What Puppet says of a mail alias that it made."""
        alias = placeholder(which, self.name, shown=shown)
        return f"Notice: /Stage[main]/Openstack_project::Lists/Mailalias[{alias}]/ensure: created"

    def newlist(self) -> Step:
        return Step(
            "newlist",
            "Create the list",
            "It asks for the list's password. Given on the command line, every user of the host"
            " could see it. ``-q``: the administrator gets no mail.",
            as_mailman(self.installation, self.site, "newlist", "-q", self.name, self.admin),
            f"Initial {self.name} password:",
            asks="password",
        )

    def see(self) -> Step:
        return Step(
            "see",
            "See that the list is there",
            "Puppet's word proves nothing. Puppet ignores ``description``: it never sets it.",
            self._list_lists(),
            f"{self.name.capitalize()} - [no description available]",
        )

    def _list_lists(self) -> str:
        listed = as_mailman(self.installation, self.site, "list_lists")
        return f"{listed} | grep -iF {shlex.quote(f' {self.name} - ')}"

    def complete(self) -> tuple[Step, ...]:
        """What neither Puppet nor newlist does."""
        options = f"{self.site.prefix}/{self.name}.options"
        program = f"{self.installation.bin}/catch_up.py"
        return (
            Step(
                "options",
                "Write down the description",
                "As Mailman's ``config_list`` reads it: a line of Python.",
                f"tee {shlex.quote(options)} > /dev/null",
                creates=File(options, f"description = {self._literal()}\n"),
            ),
            Step(
                "description",
                "Set the description",
                "Setting it again changes nothing.",
                as_mailman(
                    self.installation, self.site, "config_list", "-v", "-i", options, self.name
                )
                + f" && rm {shlex.quote(options)}",
                'attribute "description" changed',
            ),
            Step(
                "create-catch-up-py",
                "Create catch_up.py beside Mailman's programs",
                "``withlist`` looks for it there. It needs root.",
                f"tee {shlex.quote(program)} > /dev/null",
                creates=File(program, source("catch_up")),
            ),
            Step(
                "catch-up",
                "Ban whom all other lists ban",
                "A list does not have the bans that were made before it was. An address that"
                " every other list of the site refuses is meant to be refused here, too.",
                as_mailman(
                    self.installation, self.site, "withlist", "-q", "-r", "catch_up", self.name
                ),
                f"{self.name}: {self._caught_up('banned target@example.com')}",
            ),
            Step(
                "see-description",
                "See that the description is set",
                "",
                self._list_lists(),
                f"{self.name.capitalize()} - {self.description}",
            ),
        )

    def _caught_up(self, shown: str) -> str:
        return placeholder("CAUGHT_UP", self.site.name, self.name, shown=shown)

    def _literal(self) -> str:
        """The description as a literal of the Python that Mailman runs on."""
        if self.installation.python.startswith("2."):
            return repr(self.description.encode("utf-8")).removeprefix("b")
        return ascii(self.description)


def command(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """By command: what edits the manifest, or what creates the list where there is no Puppet."""
    words = ["add-list", arguments["name"], "--admin", arguments["admin"]]
    words += ["--description", arguments["description"]]
    if arguments.get("direct"):
        return (*words, "--site", arguments["site"], "--direct")
    return (*words, "--manifest", arguments["manifest"])


def then(installation: Installation, arguments: Mapping[str, Any]) -> tuple[Step, ...]:
    """By command, once the change of the manifest is on the list server."""
    name, manifest = arguments["name"], arguments["manifest"]
    hand = _ByHand(installation, installation.sites[0], name, "", "")
    words = ["runbook", "add-list", name, "--manifest", manifest, "--fix"]
    puppet, again = hand.puppet()
    return (
        replace(puppet, where="Once the change is merged, on the list server, as root:"),
        again,
        Step(
            "check",
            "Check the list, and set what Puppet does not set",
            "Is it there, and as the manifest says? Has it its mail aliases, and the bans that"
            " every other list has? ``--check`` in place of ``--fix`` only looks.",
            shlex.join(words),
            _FIXED,
            where="In the clone again, with ``--host`` as above:",
        ),
    )


_FIXED = """\
{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:8} lists
  good     list         it is on openstack
  good     owner        admin@example.com
  good     mail host    lists.example.org, the installation's own; the manifest says $listdomain
  good     web host     lists.example.org, the installation's own; the manifest says $listdomain
  missing  description  it is empty and should be 'Discussion of OpenStack Foo': Puppet sets none
  good     aliases      all 10 are in /etc/aliases
  missing  bans         all {OTHERS openstack openstack-foo:4} other lists refuse\
 {MISSING_BANS openstack openstack-foo:target@example.com}, and this one does not
Set the description and ban 1 entry on openstack-foo? [y/N] {ANSWER:y}
openstack-foo is as asked: read back
recorded as {RUN:20240501-120301-4f9a1c} in lists:/srv/mailman/openstack/runbook/journal.jsonl
"""

_SHOWS = """\
{HOST:lists} does not have the list yet
--- a/modules/openstack_project/manifests/lists.pp
+++ b/modules/openstack_project/manifests/lists.pp
@@ -14,4 +14,13 @@
     webserver   => $listdomain,
     mailserver  => $listdomain,
   }
+
+  maillist { 'openstack-foo':
+    ensure      => present,
+    admin       => 'admin@example.com',
+    password    => $listpassword,
+    description => 'Discussion of OpenStack Foo',
+    webserver   => $listdomain,
+    mailserver  => $listdomain,
+  }
 }
Write modules/openstack_project/manifests/lists.pp? [y/N] {ANSWER:y}
wrote modules/openstack_project/manifests/lists.pp, lines 18 to 25
{VALIDATION:puppet parser validate has nothing to say against it}
{LINT:puppet-lint has nothing to say about the new lines}
Next: commit it, and have it reviewed. Once Puppet has run on the list server:
  runbook add-list openstack-foo --manifest modules/openstack_project/manifests/lists.pp\
 --fix{HOST_OPTION:}
"""


PROCEDURE = Procedure(
    name="add-list",
    title="Adding a List",
    when=(
        "A project asks for a mailing list. The list is declared in"
        f" ``{MANIFEST}`` of :elsewhere:`openstack-infra/system-config`; Puppet creates it on the"
        " list server. What Puppet leaves undone is done afterwards: the description, and the bans"
        " that all other lists have."
    ),
    steps=steps,
    command=command,
    where=(
        "In a clone of :elsewhere:`openstack-infra/system-config` on a machine of your own, with"
        " ``--host ssh://root@lists.openstack.org`` behind it."
    ),
    then=then,
    shows=_SHOWS,
    troubles=(
        Trouble(
            "Puppet says ``created`` at every run, and the list is not there",
            "The host has several sites and Puppet was not told which: ``newlist`` printed"
            " ``Please set MAILMAN_SITE_DIR``, did nothing and exited with status 0, which is"
            " all that Puppet looks at. Give it the variable, as above.",
        ),
        Trouble(
            "Puppet says ``Error``, and ``newlist`` ``returned 1``, under Mailman 2.2",
            "The list is there all the same, without its mail aliases. Puppet's next run writes"
            " them.",
        ),
        Trouble(
            "``admin`` or ``password`` was changed in the manifest, and nothing happened",
            "Puppet creates and removes a ``maillist``, and changes nothing about one that is"
            " there. Change it on the list's own page, or with ``config_list``.",
        ),
        Trouble(
            "Mail to the list ends up elsewhere",
            "See that the list has its aliases (``runbook add-list NAME --check``), and that"
            " :elsewhere:`newaliases` was run where the mail server wants that: Puppet writes"
            f" ``{ALIASES_FILE}`` and nothing else. On a host with several sites an alias does"
            " not say which site is meant.",
        ),
        Trouble(
            "The name ends in ``-admin``, ``-owner``, ``-request`` …",
            "Mailman creates such a list, although mail to it belongs to another one: choose"
            " another name. ``runbook`` refuses it.",
        ),
        Trouble(
            "The list's password must not be known",
            "Puppet hands it to ``newlist`` as an argument: while that runs, every user of the"
            " list server can see it.",
        ),
        Trouble(
            "There is no Puppet on the host",
            "``runbook add-list … --direct`` has ``newlist`` create the list, with the password"
            " on its standard input, and does the rest.",
        ),
    ),
    example={
        "name": "openstack-foo",
        "admin": "admin@example.com",
        "description": "Discussion of OpenStack Foo",
        "manifest": MANIFEST,
    },
    practice={
        "name": "openstack-bar",
        "admin": "admin@example.com",
        "description": "Discussion of OpenStack Bar",
        "site": "openstack",
        "direct": True,
        "password": "practice",
        "note": "There is no Puppet on a practice site: newlist makes the list here.",
    },
)
