"""*Seeing Which Lists There Are*: by hand, and by command."""

from __future__ import annotations

from runbooks.book.expected import MORE
from runbooks.book.procedure import NoArguments, Procedure, Step, Trouble, every_list
from runbooks.mailman.installation import Installation, as_mailman


def steps(installation: Installation, arguments: NoArguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    return tuple(
        Step(
            name=f"lists-{site.name}",
            title=f"Name the lists of the site {site.name}",
            why="``-b`` leaves out the descriptions.",
            command=as_mailman(installation, site, "list_lists", "-b"),
            shows=f"{every_list(site)}\n{MORE}",
        )
        for site in installation.sites
    )


PROCEDURE = Procedure(
    name="list-names",
    title="Seeing Which Lists There Are",
    when="Somebody asks for a list, and nobody knows whether it is there already.",
    example=NoArguments(),
    steps=steps,
    command=lambda arguments: ("sites",),
    shows="""\
{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:7} lists
  programs  /usr/lib/mailman/bin
  Python    {PYTHON:2.7.18}  {INTERPRETER:/usr/bin/python2.7}
  user      list, group list

  openstack
    lists     {LISTS openstack:4} lists in /srv/mailman/openstack/lists
    locks     /srv/mailman/openstack/locks, for 5 hours
    mail      NAME@lists.example.org
    variable  MAILMAN_SITE_DIR=/srv/mailman/openstack

  zuul
    lists     {LISTS zuul:3} lists in /srv/mailman/zuul/lists
    locks     /srv/mailman/zuul/locks, for 5 hours
    mail      NAME@lists.example.org
    variable  MAILMAN_SITE_DIR=/srv/mailman/zuul
""",
    troubles=(
        Trouble(
            "A list is missing that was there yesterday",
            "``runbook history`` says what was done on the host, and by whom.",
        ),
    ),
)
