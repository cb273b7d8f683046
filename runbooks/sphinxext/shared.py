"""Pages that are the same for every team: the package has them, and names nobody in them.

Directive ``shared-page NAME``: the whole page. ``static`` and ``templates`` in the same folder have
what every page needs to look as it does; `settings` says where.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FILES = Path(__file__).with_name("files")


class SharedPageDirective(SphinxDirective):
    """``shared-page``: as if the page stood in its place."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        pages = {path.stem: path for path in (FILES / "pages").glob("*.rst")}
        name = self.arguments[0]
        if name not in pages:
            raise self.error(f"there is no page {name!r}; there are: {', '.join(sorted(pages))}")
        self.env.note_dependency(str(pages[name]))
        text = pages[name].read_text(encoding="utf-8")
        self.state_machine.insert_input(text.splitlines(), str(pages[name]))
        return []


def setup(app: Sphinx) -> None:
    app.add_directive("shared-page", SharedPageDirective)
