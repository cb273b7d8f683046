"""The directives that print procedures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from runbooks.book.procedure import A, M, Procedure, Step, paste
from runbooks.book.typed import Place
from runbooks.book.whose import path
from runbooks.mailman.documented import INSTALLATION, SERVER
from runbooks.mailman.installation import Installation
from runbooks.mailman.printed import anchor, by_command, command_of, steps_of, text_of
from runbooks.procedures import all_procedures, known, taken_in
from runbooks.sphinxext import blocks, found, verification
from runbooks.sphinxext.folded import folding
from runbooks.sphinxext.typed import places_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class _Directive(SphinxDirective):
    """One procedure, named by the argument."""

    #: where the steps of the procedure have what a reader types
    places: Mapping[str, Sequence[Place]]

    required_arguments = 1
    final_argument_whitespace = False

    def procedure(self) -> Procedure[Installation, Any]:
        self.note_sources()
        on_page = {procedure.name: procedure for procedure in all_procedures()}
        name = self.arguments[0]
        if name in on_page:
            return on_page[name]
        there = f"there are: {', '.join(on_page)}"
        if name in known():
            raise self.error(f"'procedures' in {path()} leaves out {name!r}; {there}")
        raise self.error(f"there is no procedure {name!r}; {there}")

    def note_sources(self) -> None:
        for source in _sources():
            self.env.note_dependency(str(source))

    def prose(self, text: str) -> list[nodes.Node]:
        return self.parse_text_to_nodes(text)

    def section(
        self, title: str, name: str, procedure: Procedure[M, A], *children: nodes.Node
    ) -> nodes.section:
        """A section that can be referred to, and that the index names."""
        section = nodes.section("", nodes.title(title, title), ids=[name], names=[name])
        self.set_source_info(section)
        self.state.document.note_explicit_target(section, section)
        plain = title.lstrip("0123456789. ")
        section += addnodes.index(
            entries=[("single", f"{procedure.title}; {plain}", name, "", None)]
        )
        section += list(children)
        return section

    # -- the parts --------------------------------------------------------------------

    def by_command(self, procedure: Procedure[Installation, A]) -> nodes.section:
        first, *then = by_command(procedure)
        section = self.section(
            first.title,
            anchor(procedure, first.name),
            procedure,
            *self.prose(procedure.where),
            *self.blocks(first),
        )
        for number, step in enumerate(then, 1):
            section += self.step(procedure, number, step)
        return section

    def by_hand(self, procedure: Procedure[Installation, A]) -> nodes.section:
        steps = steps_of(procedure)
        number = f"{len(steps)} steps" if len(steps) > 1 else "1 step"
        folded = folding(f"{number} on {SERVER}, as root")
        for at, step in enumerate(steps, 1):
            folded += self.step(procedure, at, step)
        return self.section("By hand", anchor(procedure, "by-hand"), procedure, folded)

    def blocks(self, step: Step) -> list[nodes.Node]:
        """The command of a step, and what it prints."""
        command = blocks.step_command(step, self.places[step.name], self.config)
        shown: nodes.Node = nodes.paragraph("", "It prints nothing.", classes=["silent"])
        if step.shows:
            shown = blocks.output(step.shows)
        return [command, shown, *blocks.download(step, self.env)]

    def step(self, procedure: Procedure[Installation, A], number: int, step: Step) -> nodes.section:
        name = anchor(procedure, step.name)
        content: list[nodes.Node] = []
        earlier = self.printed_before(step) if step.creates else None
        if earlier is not None:
            content += self.prose(f"As :ref:`above <{earlier}>`, unless it is there already.")
        else:
            content += self.prose(step.where)
            content += self.blocks(step)
            content += self.prose(self.new(step.why))
        section = self.section(f"{number}. {step.title}", name, procedure, *content)
        section["pastes"] = paste(step)
        return section

    def new(self, why: str) -> str:
        """A reason, where this page has not given it yet: not again at each site."""
        said = self.env.temp_data.setdefault("runbook_said", set())
        assert said is not None
        is_new = why not in said
        said.add(why)
        return why if is_new else ""

    def printed_before(self, step: Step) -> str | None:
        """The anchor of the same step further up. What creates a file is long, and several
        procedures need the same file: it is printed once."""
        for section in self.state.document.findall(nodes.section):
            if section.get("pastes") == paste(step):
                return str(section["ids"][0])
        return None

    def troubles(self, procedure: Procedure[Installation, A]) -> nodes.section | None:
        if not procedure.troubles:
            return None
        items = nodes.definition_list(classes=["troubles"])
        for trouble in procedure.troubles:
            symptom, remedy = self.prose(trouble.symptom), self.prose(trouble.remedy)
            if len(symptom) != 1 or not isinstance(symptom[0], nodes.paragraph):
                raise self.error(f"{procedure.name}: a symptom is one sentence: {trouble.symptom}")
            term = nodes.term("", "", *symptom[0].children)
            items += nodes.definition_list_item("", term, nodes.definition("", *remedy))
        return self.section("What can go wrong", anchor(procedure, "troubles"), procedure, items)


class ProcedureDirective(_Directive):
    """A whole procedure, under a heading that is its title."""

    def run(self) -> list[nodes.Node]:
        procedure = self.procedure()
        self.places = places_of(procedure)
        self._name_heading(procedure)
        parts = [
            found.note(self.env, procedure),
            *self.prose(procedure.when),
            verification.status(
                procedure.name,
                [step.name for step in (*by_command(procedure), *steps_of(procedure))],
                text_of(procedure),
            ),
            self.by_command(procedure),
            self.troubles(procedure),
            self.by_hand(procedure),
        ]
        return [part for part in parts if part is not None]

    def _name_heading(self, procedure: Procedure[Installation, A]) -> None:
        """Give the heading above the procedure's anchor. It has to be the procedure's title."""
        heading = self.state.parent
        title = heading[0].astext() if isinstance(heading, nodes.section) and heading else ""
        if title != procedure.title:
            raise self.error(
                f"the procedure {procedure.name} stands under the heading {title!r};"
                f" its title is {procedure.title!r}"
            )
        heading["ids"].insert(0, procedure.name)
        heading["names"].append(procedure.name)
        self.state.document.note_explicit_target(heading, heading)
        # The heading has an anchor made of its title as well, which docutils would refer to.
        self.state.document.nameids[procedure.name] = procedure.name


class IndexDirective(_Directive):
    """Every procedure: its name, which leads to it, and its command."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        self.note_sources()
        found = nodes.container(classes=["procedures"])
        for procedure in all_procedures():
            found += self.prose(f":ref:`{procedure.name}`")
            step = by_command(procedure)[0]
            found += blocks.step_command(step, places_of(procedure)[step.name], self.config)
        return [found]


class CommandsDirective(_Directive):
    """The way by command of every procedure on a practice site, without what it shows."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        self.note_sources()
        found: list[nodes.Node] = []
        for procedure in all_procedures():
            found += self.prose(f":ref:`{procedure.name}`:")
            found.append(blocks.command(command_of(procedure, procedure.practised.arguments)))
        return found


class InstallationDirective(_Directive):
    """Where things are on the documented installation."""

    required_arguments = 0

    def run(self) -> list[nodes.Node]:
        self.note_sources()
        found = INSTALLATION
        rows = [("Mailman's programs", found.bin), ("Mailman's user", found.user)]
        fields = [f":{name}: ``{value}``" for name, value in rows]
        for site in found.sites:
            fields += [
                f":Site {site.name}:",
                f"   * ``MAILMAN_SITE_DIR={site.site_dir}``",
                f"   * lists in ``{site.list_dir}``, locks in ``{site.lock_dir}``",
            ]
        return self.prose("\n".join(fields))


def _sources() -> list[Path]:
    """The files that a printed procedure is made of: when one changes, so does the page."""
    standin = blocks.PACKAGE / "standin"
    folders = [blocks.PACKAGE, *taken_in()]
    return sorted(p for f in folders for p in f.rglob("*.py") if standin not in p.parents)


def setup(app: Sphinx) -> None:
    app.add_directive("procedure", ProcedureDirective)
    app.add_directive("procedure-index", IndexDirective)
    app.add_directive("procedure-commands", CommandsDirective)
    app.add_directive("installation", InstallationDirective)
