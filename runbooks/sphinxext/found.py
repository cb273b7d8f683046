"""Finds a procedure by the words of the moment: "spam", "stuck", "not delivering".

Each procedure is an object of a domain of its own, under its title and its synonyms. Sphinx's
search leads from any of these words to the anchor of the procedure, and not only to its page.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.domains import Domain, ObjType

from runbooks.book.procedure import A, M, Procedure

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

KIND = "procedure"


class Procedures(Domain):
    """The procedures, as far as the search has to know them."""

    name = "runbook"
    label = "Runbook"
    object_types: ClassVar[dict[str, ObjType]] = {KIND: ObjType(KIND)}
    #: By the procedure's name: its page, its title, and what the search shows and looks in.
    initial_data: ClassVar[dict[str, Any]] = {"procedures": {}}
    data_version = 1

    @property
    def procedures(self) -> dict[str, tuple[str, str, str]]:
        known: dict[str, tuple[str, str, str]] = self.data["procedures"]
        return known

    def note(self, procedure: Procedure[M, A]) -> None:
        """Know that the page that is being read has a procedure."""
        shown = ": ".join([procedure.title, *filter(None, [", ".join(procedure.synonyms)])])
        docname = self.env.current_document.docname
        self.procedures[procedure.name] = (docname, procedure.title, shown)

    def clear_doc(self, docname: str) -> None:
        for name in [name for name, known in self.procedures.items() if known[0] == docname]:
            del self.procedures[name]

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        for name, known in otherdata["procedures"].items():
            if known[0] in docnames:
                self.procedures[name] = known

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        for name, (docname, title, shown) in self.procedures.items():
            yield title, shown, KIND, docname, name, 0

    def resolve_any_xref(self, *arguments: Any) -> list[tuple[str, nodes.reference]]:
        """None: a procedure is referred to with ``:ref:``."""
        return []


def note(env: BuildEnvironment, procedure: Procedure[M, A]) -> addnodes.index:
    """Have the search find a procedure; what the general index has of it."""
    domain = env.get_domain(Procedures.name)
    assert isinstance(domain, Procedures)
    domain.note(procedure)
    words = (procedure.title, *procedure.synonyms)
    return addnodes.index(entries=[("single", word, procedure.name, "", None) for word in words])


def setup(app: Sphinx) -> None:
    app.add_domain(Procedures)
