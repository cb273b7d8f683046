"""*Holding Every Post*, as the page prints it: the steps by hand."""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.book.expected import MORE
from runbooks.book.procedure import File, Procedure, Step, Trouble, every_list
from runbooks.mailman.installation import Installation, as_mailman
from runbooks.terminal import shown

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
    words = ("withlist", "-q", "-a", "-r", "moderation", emergency)
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
            command=as_mailman(installation, site, *words),
            shows=f"{every_list(site)}: changed\n{MORE}",
        )
        for site in installation.sites
    ]
    return (create, *change)


PROCEDURE = Procedure(
    name="moderation",
    title="Holding Every Post",
    when="Somebody floods the lists, and every post has to wait for a moderator.",
    synonyms=("flood", "moderate everything"),
    steps=steps,
    command=lambda arguments: ("moderate", arguments.state),
    shows="\n".join(
        (
            shown.heading(),
            shown.by_site(lambda site: f"{shown.lists(site)} to turn on"),
            f"Hold every post to {shown.lists()} lists? [y/N] {{ANSWER:y}}",
            shown.progress(),
            f"{shown.lists()} lists changed and read back",
            shown.recorded(),
            shown.undo(),
        )
    ),
    troubles=(Trouble("The flood is over", "``runbook moderate off`` lets posts through again."),),
    example=Arguments("on"),
)

PROCEDURES = (PROCEDURE,)
