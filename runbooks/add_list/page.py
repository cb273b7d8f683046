"""*Adding a List*, as the page prints it: the steps by hand."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from runbooks.add_list.check import ALIASES_FILE
from runbooks.add_list.edit import Edit
from runbooks.add_list.manifest.language import quote
from runbooks.add_list.rules import PASSWORD_VARIABLE
from runbooks.book.expected import MORE, placeholder
from runbooks.book.procedure import Event, File, Practice, Procedure, Secret, Step, Trouble
from runbooks.mailman.installation import Installation, Site, as_mailman
from runbooks.onhost import source

#: Where the list server has the repository that the manifest is in.
CHECKOUT = "/opt/system-config"

#: The manifest of the documentation, in that repository.
MANIFEST = "modules/openstack_project/manifests/lists.pp"


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


def _resource(name: str, admin: str, description: str) -> str:
    """The resource as the documentation has it, behind an empty line."""
    return (
        f"\n  maillist {{ {quote(name)}:\n"
        "    ensure      => present,\n"
        f"    admin       => {quote(admin)},\n"
        "    password    => $listpassword,\n"
        f"    description => {quote(description)},\n"
        "    webserver   => $listdomain,\n"
        "    mailserver  => $listdomain,\n"
        "  }\n"
    )


_DECLARES = "class { 'openstack_project::lists': listpassword => 'a password' }"


def befalls(installation: Installation, arguments: AddArguments) -> Event:
    """The list server has the repository, and the reader a clone of it, with one list so far."""
    if arguments.direct:
        return Event()
    announce = _resource("openstack-announce", "admin@example.com", "Announcements about OpenStack")
    manifest = (
        "# == Class: openstack_project::lists\n#\nclass openstack_project::lists(\n"
        "  $listadmins = undef,\n  $listpassword = '',\n"
        f"  $listdomain = 'lists.example.org',\n) {{\n{announce}}}\n"
    )
    return replace(
        merge(installation, arguments),
        script=f"mkdir -p {CHECKOUT}/manifests && echo {shlex.quote(_DECLARES)}"
        f" > {CHECKOUT}/manifests/site.pp",
        clone=(File(arguments.manifest, manifest),),
    )


def merge(installation: Installation, arguments: AddArguments) -> Event:
    """The manifest in the clone is reviewed, merged, and comes to the list server."""
    return Event(merged={arguments.manifest: f"{CHECKOUT}/{arguments.manifest}"})


def steps(installation: Installation, arguments: AddArguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    sites = installation.sites
    site = next((one for one in sites if one.name == arguments.site), sites[0])
    hand = _ByHand(installation, site, arguments.name, arguments.admin, arguments.description)
    if arguments.exists:
        return hand.complete()
    if arguments.direct:
        return (hand.newlist(), hand.see(), *hand.complete())
    return (hand.resource(arguments.edit), *hand.puppet(), hand.see(), *hand.complete())


@dataclass(frozen=True)
class _ByHand:
    """The steps by hand, for one list."""

    installation: Installation
    site: Site
    name: str
    admin: str
    description: str

    def resource(self, planned: Edit | None) -> Step:
        text = _resource(self.name, self.admin, self.description)
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
                f"{self.name}: {self._caught_up('banned target@example.com victim@example.org')}",
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
    words = ["add-list", arguments.name, "--admin", arguments.admin]
    words += ["--description", arguments.description]
    if not arguments.direct:
        return (*words, "--manifest", arguments.manifest)
    return (*words, *(["--site", arguments.site] if arguments.site else []), "--direct")


def then(installation: Installation, arguments: AddArguments) -> tuple[Step, ...]:
    """By command, once the change of the manifest is on the list server."""
    name, manifest = arguments.name, arguments.manifest
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
 {MISSING_BANS openstack openstack-foo:target@example.com, victim@example.org},\
 and this one does not
Set the description and ban 2 entries on openstack-foo? [y/N] {ANSWER:y}
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
    synonyms=("new list", "create a list", "newlist", "set up a list", "request for a list"),
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
    after="ban",
    befalls=befalls,
    meanwhile=merge,
    example=AddArguments("openstack-foo", "admin@example.com", "Discussion of OpenStack Foo"),
    practice=Practice(
        AddArguments(
            "openstack-bar",
            "admin@example.com",
            "Discussion of OpenStack Bar",
            site="openstack",
            direct=True,
        ),
        note="There is no Puppet on a practice site: newlist makes the list here.",
        secret=Secret("practice", PASSWORD_VARIABLE),
    ),
)

#: In the order of the page.
PROCEDURES = (PROCEDURE,)
