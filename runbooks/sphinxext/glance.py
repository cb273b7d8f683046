"""What the pages say of whose they are: *At a Glance*, and the names in sentences.

In any page ``|server|`` is the host that readers log in to, and so on (see `names`); in a literal,
with the role ``ours``, it is ``{server}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from runbooks.book.whose import path, whose
from runbooks.sphinxext.roles import OURS, literal

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config


def names() -> Mapping[str, str]:
    """What each name stands for."""
    found = whose()
    return {
        "server": found.server.name,
        "host": found.server.spec,
        "hostname": found.server.hostname,
        "serves": found.server.serves,
        "site": found.first.name,
        "folder": found.folder(found.first),
        "number": f"{len(found.first.all_lists):,}",
        "first": found.first.first_list,
        "listed": found.examples.list,
        "admin": found.examples.administrator,
    }


def ours(text: str) -> str:
    """The text of a literal, in which ``{server}`` and so on have their meaning."""
    text = text.replace("\\`", "`")
    for one, meaning in names().items():
        text = text.replace(f"{{{one}}}", meaning)
    return text


class GlanceDirective(SphinxDirective):
    """``at-a-glance``: the hosts, the manifest and the links, as a list of fields."""

    def run(self) -> list[nodes.Node]:
        found = whose()
        fields = nodes.field_list()
        for name, entries in (
            ("Hosts", [nodes.paragraph("", found.server.name)]),
            ("Puppet", [_manifest(), *_links(found.links.puppet)]),
            ("Projects", [*_links(found.links.projects)]),
            ("Bugs", [*_links(found.links.bugs)]),
            ("Resources", [*_links(found.links.resources)]),
        ):
            fields += nodes.field("", nodes.field_name(name, name), _body(entries))
        return [fields]


def _manifest() -> nodes.paragraph:
    manifest = whose().manifest
    return nodes.paragraph(
        "",
        "",
        nodes.literal("", manifest.file),
        nodes.Text(" in "),
        _link(manifest.repository, manifest.url),
        nodes.Text(", which declares the lists"),
    )


def _body(entries: Sequence[nodes.paragraph]) -> nodes.field_body:
    """A list, if there are several."""
    if len(entries) == 1:
        return nodes.field_body("", *entries)
    items = [nodes.list_item("", entry) for entry in entries]
    return nodes.field_body("", nodes.bullet_list("", *items))


def _links(links: Mapping[str, str]) -> Iterator[nodes.paragraph]:
    for text, url in links.items():
        yield nodes.paragraph("", "", _link(text, url))


def _link(text: str, url: str) -> nodes.reference:
    return nodes.reference("", text, refuri=url)


def _define(app: Sphinx, config: Config) -> None:
    lines = [f".. |{name}| replace:: {text}" for name, text in names().items()]
    config.rst_epilog = "\n".join([config.rst_epilog or "", *lines])


def setup(app: Sphinx) -> None:
    app.add_role(OURS, literal(ours))
    app.add_directive("at-a-glance", GlanceDirective)
    # All pages are made anew when anything in the file has changed.
    app.add_config_value("runbook_site", path().read_text(encoding="utf-8"), "env", [str])
    app.connect("config-inited", _define)
