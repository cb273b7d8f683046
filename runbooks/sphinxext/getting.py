"""Where the pages and the command come from: the repository, and how a reader installs from it.

Directive ``getting TOOL``: what installs ``runbook`` with ``pipx`` or ``uv``, and says once which
server it is for.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from runbooks.book.whose import VARIABLE, path, whose
from runbooks.sphinxext import blocks

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TOOLS = {"pipx": "pipx install", "uv": "uv tool install"}

BRANCH = "main"
#: of the pages' sources, in their repository
FOLDER = "doc/source"

#: Sites that the theme knows the links of. Others are taken for a Gitea, as opendev.org is one.
KNOWN = ("https://github.com/", "https://gitlab.com/", "https://bitbucket.org/")


def getting(tool: str) -> str:
    """What to paste."""
    source = shlex.quote(f"git+{whose().project.repository}")
    return f"{TOOLS[tool]} {source}\nexport RUNBOOK_HOST={shlex.quote(whose().server.spec)}"


def theme_options() -> dict[str, Any]:
    """Options of the theme, for links from each page to its source."""
    repository = whose().project.pages.rstrip("/")
    if not repository:
        return {}
    options: dict[str, Any] = {
        "footer_icons": [
            {"name": "Source code", "url": repository, "html": "Source code", "class": ""}
        ],
        "source_repository": repository,
        "source_branch": BRANCH,
        "source_directory": FOLDER,
        "top_of_page_buttons": ["view", "edit"],
    }
    if not repository.startswith(KNOWN):
        path = f"{BRANCH}/{FOLDER}/{{filename}}"
        options["source_edit_link"] = f"{repository}/_edit/{path}"
        options["source_view_link"] = f"{repository}/src/branch/{path}"
    return options


class GettingDirective(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        tool = self.arguments[0]
        if tool not in TOOLS:
            raise self.error(f"{tool!r} is none of {', '.join(TOOLS)}")
        return [blocks.command(getting(tool))]


class SiteFileDirective(SphinxDirective):
    """``site-file``: what the command has to be told of a page that is not the package's own."""

    def run(self) -> list[nodes.Node]:
        if path().samefile(blocks.PACKAGE / "site.toml"):
            return []
        target = f"/{os.path.relpath(path(), self.env.srcdir)}"
        link = addnodes.download_reference("", "site.toml", reftarget=target)
        text = "Download the names of this page, "
        then = f", and in its folder: export {VARIABLE}=$PWD/site.toml"
        return [nodes.paragraph("", "", nodes.Text(text), link, nodes.Text(then))]


def setup(app: Sphinx) -> None:
    app.add_directive("getting", GettingDirective)
    app.add_directive("site-file", SiteFileDirective)
    app.connect(
        "config-inited", lambda app, config: config.html_theme_options.update(theme_options())
    )
