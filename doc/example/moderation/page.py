"""*Holding Every Post*, as the page prints it: the steps by hand."""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.book.expected import MORE
from runbooks.book.procedure import File, Procedure, Step, Trouble, every_list
from runbooks.mailman.installation import Installation, Site, as_mailman

SCRIPT = """\
def moderation(m, emergency):
    if m.emergency == int(emergency):
        print('%s: already' % m.internal_name())
        return
    m.Lock()
    try:
        m.emergency = int(emergency)
        m.Save()
    finally:
        m.Unlock()
    print('%s: changed' % m.internal_name())
"""


@dataclass(frozen=True)
class Arguments:
    """What the procedure is told."""

    #: "on" or "off"
    state: str


def steps(installation: Installation, arguments: Arguments) -> tuple[Step, ...]:
    """The procedure by hand."""
    emergency = str(int(arguments.state == "on"))
    path = f"{installation.bin}/moderation.py"

    def withlist(site: Site, *words: str) -> str:
        return as_mailman(installation, site, "withlist", *words)

    create = Step(
        name="script",
        title="Create the script",
        why="It locks each list itself, as Mailman's own scripts do.",
        command=f"cat > {path}",
        creates=File(path, SCRIPT),
    )
    change = [
        Step(
            name=f"lists-{site.name}",
            title=f"Change every list of the site {site.name}",
            why="A list that is locked is waited for.",
            command=withlist(site, "-q", "-a", "-r", "moderation", emergency),
            shows=f"{every_list(site)}: changed\n{MORE}",
        )
        for site in installation.sites
    ]
    return (create, *change)


PROCEDURE = Procedure(
    name="moderation",
    title="Holding Every Post",
    when="Somebody floods the lists, and every post has to wait for a moderator.",
    steps=steps,
    command=lambda arguments: ("moderate", arguments.state),
    shows="""\
{HOST:lists} · Mailman {MAILMAN:2.1.39} · 2 sites, {LISTS:7} lists
  openstack  {LISTS openstack:4} lists  {LISTS openstack:4} to turn on
  zuul       {LISTS zuul:3} lists  {LISTS zuul:3} to turn on
Hold every post to {LISTS:7} lists? [y/N] {ANSWER:y}
{BAR:━━━━━━━━━━━━━━━━━━━━} {LISTS:7}/{LISTS:7} {ELAPSED:0:00:01}
{LISTS:7} lists changed and read back
recorded as {RUN:20261122-052801-4f9a1c} in \
{HOST:lists}:/srv/mailman/openstack/runbook/journal.jsonl
to take it back: runbook undo {RUN:20261122-052801-4f9a1c}{HOST_OPTION:}
""",
    troubles=(
        Trouble("Posts are let through again when the flood is over", "``runbook moderate off``."),
    ),
    example=Arguments("on"),
)

PROCEDURES = (PROCEDURE,)
