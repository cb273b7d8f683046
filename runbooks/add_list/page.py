"""*Adding a List*, as the page prints it: the steps by hand."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from difflib import unified_diff

from runbooks.add_list.check import ALIASES_FILE
from runbooks.add_list.edit import Edit
from runbooks.add_list.manifest.language import quote
from runbooks.add_list.manifest.lists import MAILLIST, MAILMAN_LIST
from runbooks.add_list.rules import PASSWORD_VARIABLE
from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, File, Practice, Procedure, Secret, Step, Trouble
from runbooks.book.whose import whose
from runbooks.mailman.installation import Installation, Site, as_mailman
from runbooks.onhost import source
from runbooks.terminal import shown

#: Where the list server has the repository that the manifest is in.
CHECKOUT = whose().manifest.checkout

#: The manifest of the documentation, in that repository.
MANIFEST = whose().manifest.file

#: That repository.
_REPOSITORY = f":elsewhere:`{whose().manifest.repository}`"

_CLASS = whose().manifest.class_name


@dataclass(frozen=True)
class AddArguments:
    """What adding a list is told."""

    name: str
    admin: str
    description: str
    #: where the manifest is
    manifest: str = MANIFEST
    #: its name; the first one unless there is such a site
    site: str | None = None
    #: without Puppet
    direct: bool = False
    #: the list is there, and only the rest is to be done
    exists: bool = False
    #: of a manifest at hand
    edit: Edit | None = None


def _resource(site: str | None, name: str, admin: str, description: str) -> str:
    """The resource as the documentation has it, behind an empty line.

    For a `site` of several it is of the type of the module puppet-mailman, whose title names the
    site; otherwise of Puppet's own.
    """
    several = site is not None
    attributes = {
        **({"require": f"Mailman::Site[{quote(site)}]"} if site is not None else {}),
        "ensure": "present",
        "admin": quote(admin),
        "password": "$listpassword",
        "description": quote(description),
        **({} if several else {"webserver": "$listdomain", "mailserver": "$listdomain"}),
    }
    kind, title = (MAILMAN_LIST, f"{name}@{site}") if several else (MAILLIST, name)
    lines = "".join(f"    {key:11} => {value},\n" for key, value in attributes.items())
    return f"\n  {kind} {{ {quote(title)}:\n{lines}  }}\n"


#: The last line of the manifest.
_END = "}\n"


def _manifest() -> str:
    """The manifest of the documentation: the sites, and one list."""
    first = whose().first
    sites = "".join(
        f"\n  mailman::site {{ {quote(site.name)}:\n"
        f"    default_email_host => {quote(site.domain)},\n"
        f"    default_url_host   => {quote(site.domain)},\n  }}\n"
        for site in whose().sites
    )
    present = (first.name, first.first_list, whose().examples.administrator, "Announcements")
    return (
        f"# == Class: {_CLASS}\n#\nclass {_CLASS}(\n"
        f"  $listadmins = undef,\n  $listpassword = '',\n) {{\n{sites}{_resource(*present)}{_END}"
    )


#: As Puppet calls what is in the class, and what it says when ``newlist`` fails.
_STAGE = f"/Stage[main]/{'::'.join(map(str.capitalize, _CLASS.split('::')))}/"
_NEWLIST_FAILS = "{NEWLIST_FAILS:Error: Execution of '/usr/sbin/newlist …' returned 1: …}\n"

_DECLARES = f"class {{ '{_CLASS}': listpassword => 'a password' }}"


def befalls(installation: Installation, arguments: AddArguments) -> Event:
    """The list server has the repository, and the reader a clone of it, with one list so far."""
    if arguments.direct:
        return Event()
    return replace(
        merge(installation, arguments),
        script=f"mkdir -p {CHECKOUT}/manifests && echo {shlex.quote(_DECLARES)}"
        f" > {CHECKOUT}/manifests/site.pp",
        clone=(File(arguments.manifest, _manifest()),),
    )


def merge(installation: Installation, arguments: AddArguments) -> Event:
    """The manifest in the clone is reviewed, merged, and comes to the list server."""
    return Event(merged={arguments.manifest: f"{CHECKOUT}/{arguments.manifest}"})


def steps(installation: Installation, arguments: AddArguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    hand = _ByHand(
        installation,
        _site(installation, arguments),
        *(arguments.name, arguments.admin, arguments.description, arguments.edit),
    )
    if arguments.exists:
        return hand.complete()
    if arguments.direct:
        return (hand.newlist(), hand.see(), *hand.complete())
    return (hand.resource(), *hand.puppet(), hand.see(), *hand.complete())


def _site(installation: Installation, arguments: AddArguments) -> Site:
    sites = installation.sites
    return next((one for one in sites if one.name == arguments.site), sites[0])


@dataclass(frozen=True)
class _ByHand:
    """The steps by hand, for one list."""

    installation: Installation
    site: Site
    name: str
    admin: str
    description: str
    #: of a manifest at hand
    planned: Edit | None = None

    def resource(self) -> Step:
        site = self.site.name if self.site.site_dir is not None else None
        text = _resource(site, self.name, self.admin, self.description)
        path = f"{CHECKOUT}/{MANIFEST}"
        before = "$"
        planned = self.planned
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
            "It goes in front of the last line, which closes the class. Where changes are reviewed,"
            f" edit a clone of {_REPOSITORY} instead; once merged, it is in ``{CHECKOUT}``. Leave"
            " ``$listpassword``: a manifest is public.",
            f"sed -i '{before}e cat' {quoted}" if before else f"cat >> {quoted}",
            creates=File(path, text),
        )

    @property
    def is_by_site(self) -> bool:
        """Whether the resource is of the type of hosts with several sites."""
        if self.planned is not None:
            return MAILMAN_LIST in self.planned.insertion.text
        return self.site.site_dir is not None

    def puppet(self) -> tuple[Step, Step]:
        """Puppet's run, and another one.

        Under Mailman 2.2 the first one makes the list and fails; the second one writes the aliases
        of a ``maillist`` (recording `puppet_maillist`).
        """
        variable = ""
        if self.site.site_dir is not None and not self.is_by_site:
            variable = f"MAILMAN_SITE_DIR={shlex.quote(self.site.site_dir)} "
        apply = (
            f"{variable}puppet apply --color=false"
            f" --modulepath={CHECKOUT}/modules:/etc/puppet/modules {CHECKOUT}/manifests/site.pp"
        )
        begins = (
            "{WARNINGS:Warning: …}\n"
            f"Notice: Compiled catalog for {{HOST:{whose().server.hostname}}} in environment"
            " production in {SECONDS:0.09} seconds\n"
        )
        made, left = self._made_by_site() if self.is_by_site else self._made()
        ends = "Notice: Applied catalog in {SECONDS:1.56} seconds"
        first = Step(
            "puppet",
            "Have Puppet create the list",
            "",
            apply,
            begins + made + ends,
        )
        again = Step(
            "puppet-again",
            "Have Puppet run once more",
            "Nothing is left to do. Under Mailman 2.2 the first run says ``Error``, since"
            " ``newlist`` asks a question that nobody answers; this one shows that the list is"
            " there.",
            apply,
            begins + left + ends,
        )
        return first, again

    def _made_by_site(self) -> tuple[str, str]:
        """What the two runs say of a ``mailman_list``.

        Its provider says what it does (puppet-mailman, ``mailman_list/mailman.rb``).
        """
        says = f"create {self.name}@{self.site.name}\nMailman install dir{self.site.site_dir}\n"
        if self.installation.version.startswith("2.2"):
            return f"{says}{_NEWLIST_FAILS}", ""
        kind = f"Mailman_list[{self.name}@{self.site.name}]"
        return f"{says}done\nNotice: {_STAGE}{kind}/ensure: created\n", ""

    def _made(self) -> tuple[str, str]:
        """What the two runs say of a ``maillist``, and of the mail aliases that come with it."""
        others = f"{self._alias('NEW_ALIAS_OF_OTHERS', whose().first.first_list)}\n{MORE}\n"
        own = f"{self._alias('NEW_ALIAS', self.name)}\n{MORE}\n"
        if not self.installation.version.startswith("2.2"):
            return f"{others}Notice: {_STAGE}Maillist[{self.name}]/ensure: created\n{own}", ""
        skipped = (
            f"Notice: {_STAGE}Mailalias[{self.name}]: Dependency Maillist[{self.name}] has"
            " failures:"
            " true\n{WARNINGS:Warning: …: Skipping because of failed dependencies}\n"
        )
        return f"{others}{_NEWLIST_FAILS}{skipped}", own

    def _alias(self, which: str, shown: str) -> str:
        """What Puppet says of a mail alias that it made."""
        alias = placeholder(which, self.name, shown=shown)
        return f"Notice: {_STAGE}Mailalias[{alias}]/ensure: created"

    def newlist(self) -> Step:
        return Step(
            "newlist",
            "Create the list",
            "It asks for the list's password, which every user could see on the command line. With"
            " ``-q`` the administrator gets no mail.",
            as_mailman(self.installation, self.site, "newlist", "-q", self.name, self.admin),
            f"Initial {self.name} password:",
            asks="password",
        )

    def see(self) -> Step:
        return Step(
            "see",
            "See that the list is there",
            "Puppet's word proves nothing, and Puppet ignores ``description``.",
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
                "",
                f"tee {shlex.quote(options)} > /dev/null",
                creates=File(options, f"description = {self._literal()}\n"),
            ),
            Step(
                "description",
                "Set the description",
                "",
                as_mailman(
                    self.installation, self.site, "config_list", "-v", "-i", options, self.name
                )
                + f" && rm {shlex.quote(options)}",
                'attribute "description" changed',
            ),
            Step(
                "create-catch-up-py",
                "Create catch_up.py beside Mailman's programs",
                "``withlist`` looks for it there. Only root can write there.",
                f"tee {shlex.quote(program)} > /dev/null",
                creates=File(program, source("catch_up")),
            ),
            Step(
                "catch-up",
                "Catch up on the bans of the other lists",
                "A new list has no bans. What every other list of the site refuses, it should"
                " refuse too.",
                as_mailman(
                    self.installation, self.site, "withlist", "-q", "-r", "catch_up", self.name
                ),
                f"{self.name}: {self._caught_up(' '.join(('banned', *_BANNED)))}",
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


def command(arguments: AddArguments) -> tuple[str, ...]:
    """By command: what edits the manifest, or what creates the list where there is no Puppet."""
    words = by_steps(arguments)
    return words if arguments.direct else (*words, "--manifest", arguments.manifest)


def by_steps(arguments: AddArguments) -> tuple[str, ...]:
    """The printed steps are run on the list server, which has the manifest itself."""
    words: tuple[str, ...] = ("add-list", arguments.name, "--admin", arguments.admin)
    words += ("--description", arguments.description)
    words += ("--site", arguments.site) if arguments.site else ()
    return (*words, "--direct") if arguments.direct else words


def then(installation: Installation, arguments: AddArguments) -> tuple[Step, ...]:
    """By command, once the change of the manifest is on the list server."""
    name, manifest = arguments.name, arguments.manifest
    hand = _ByHand(installation, _site(installation, arguments), name, "", "")
    site = ["--site", arguments.site] if arguments.site else []
    words = ["runbook", "add-list", name, "--manifest", manifest, *site, "--fix"]
    puppet, again = hand.puppet()
    return (
        replace(puppet, where="Once the change is merged, on the list server, as root:"),
        again,
        Step(
            "check",
            "Check the list, and set what Puppet does not set",
            "``--check`` in place of ``--fix`` only looks.",
            shlex.join(words),
            _fixed(),
            where="In the clone again:",
        ),
    )


def _fixed() -> str:
    """What a terminal shows of ``runbook add-list … --fix`` on the installation of the docs."""
    site, name = whose().first, whose().examples.list
    domain = f"{site.domain}, the installation's own"
    others = placeholder("OTHERS", site.name, name, shown=f"{len(site.all_lists):,}")
    missing = placeholder("MISSING_BANS", site.name, name, shown=", ".join(_BANNED))
    wanted = f"{whose().examples.description!r}: Puppet sets none"
    return "\n".join(
        (
            shown.heading(new=1),
            shown.table(
                [
                    ("good", "list", f"it is on {site.name}"),
                    ("good", "owner", whose().examples.administrator),
                    ("good", "mail host", domain),
                    ("good", "web host", domain),
                    ("missing", "description", f"it is empty and should be {wanted}"),
                    (
                        "unknown",
                        "aliases",
                        f"no list of {site.name} has any in {ALIASES_FILE}: the mail server finds"
                        " lists in another way, which is not checked here",
                    ),
                    (
                        "missing",
                        "bans",
                        f"all {others} other lists refuse {missing}, and this one does not",
                    ),
                ]
            ),
            f"Set the description and ban {len(_BANNED)} entries on {name}? [y/N] {{ANSWER:y}}",
            f"{name} is as asked, as read back",
            shown.recorded("20240501-120301-4f9a1c"),
        )
    )


#: What all other lists ban.
_BANNED = ("target@example.com", "victim@example.org")


def _shows() -> str:
    """What a terminal shows of ``runbook add-list`` in the clone of the docs."""
    said, site = whose().examples, whose().first.name
    resource = _resource(site, said.list, said.administrator, said.description)
    before = _manifest()
    after = f"{before.removesuffix(_END)}{resource}{_END}"
    diff = unified_diff(
        before.splitlines(), after.splitlines(), f"a/{MANIFEST}", f"b/{MANIFEST}", lineterm=""
    )
    last = len(after.splitlines()) - 1
    first = last - len(resource.strip().splitlines()) + 1
    return "\n".join(
        (
            f"{{HOST:{whose().server.hostname}}} does not have the list yet",
            *diff,
            f"Write {MANIFEST}? [y/N] {{ANSWER:y}}",
            f"wrote {MANIFEST}, lines {first} to {last}",
            "{VALIDATION:puppet parser validate accepts it}",
            "{LINT:puppet-lint finds nothing wrong with the new lines}",
            "Next: commit it, and have it reviewed. Once Puppet has run on the list server:",
            f"  runbook add-list {said.list} --manifest {MANIFEST} --site {site} --fix"
            f"{shown.host_option()}",
        )
    )


PROCEDURE = Procedure(
    name="add-list",
    synonyms=("new list", "create a list", "newlist", "set up a list", "request for a list"),
    title="Adding a List",
    when=(
        f"A project asks for a list. It is declared in ``{MANIFEST}`` of {_REPOSITORY} and created"
        " by Puppet, which sets neither the description nor the bans that all other lists have."
    ),
    steps=steps,
    command=command,
    by_steps=by_steps,
    where=f"In a clone of {_REPOSITORY} on your own machine:",
    then=then,
    shows=_shows(),
    troubles=(
        Trouble(
            "The host has one site",
            f"Its form is :example:`maillist {{ '{whose().examples.list}': … }}`, without"
            " ``require`` and with ``webserver`` and ``mailserver``, both :example:`$listdomain`."
            " Puppet then writes the mail aliases too.",
        ),
        Trouble(
            "There is no Puppet",
            "``runbook add-list … --direct`` has ``newlist`` create the list, and does the rest.",
        ),
        Trouble(
            "``admin`` or ``password`` was changed in the manifest, and nothing happened",
            "Puppet creates and removes lists, and changes none. Change it on the list's own page,"
            " or with ``config_list``.",
        ),
        Trouble(
            "Mail to the list ends up elsewhere",
            "``runbook add-list NAME --check`` looks for its mail aliases. Run"
            " :elsewhere:`newaliases` if the mail server wants that.",
        ),
        Trouble(
            "The name ends in ``-admin``, ``-owner``, ``-request`` …",
            "Mail to such a list goes to another one. ``runbook`` refuses the name.",
        ),
        Trouble(
            "The list's password must stay secret",
            "Every user of the list server can see it while Puppet runs ``newlist``.",
        ),
    ),
    after="ban",
    befalls=befalls,
    meanwhile=merge,
    example=AddArguments(
        whose().examples.list,
        whose().examples.administrator,
        whose().examples.description,
        site=whose().first.name,
    ),
    practice=Practice(
        AddArguments(
            f"{whose().examples.list}-2",
            whose().examples.administrator,
            whose().examples.description,
            site=whose().first.name,
            direct=True,
        ),
        note="There is no Puppet on a practice site: newlist makes the list here.",
        secret=Secret("practice", PASSWORD_VARIABLE),
    ),
)

#: In the order of the page.
PROCEDURES = (PROCEDURE,)
