"""Writes a ``site.toml``: the same as `runbooks.book.whose` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from runbooks.book.whose import Whose, WrittenSite

#: As many names as stand on one line.
_FEW = 5


def render(whose: Whose) -> str:
    """The text of the file."""
    server, manifest, examples, links = whose.server, whose.manifest, whose.examples, whose.links
    procedures = f"procedures = {_list(whose.procedures)}\n\n" if whose.procedures else ""
    project = whose.project
    pages = f"pages = {_text(project.pages)}\n" if project.pages else ""
    published = f"published = {_text(project.published)}\n" if project.published else ""
    return (
        f"""\
# Whose page it is: the host, the sites, the lists and the paths that the page is about. No other
# file names them.
#
# The page has every procedure, unless `procedures` names those that it is to have, in their order:
# folders of the package, and modules of another one.

{procedures}[server]
name = {_text(server.name)}    # where readers of the page log in
hostname = {_text(server.hostname)}    # what `hostname` prints there
time_zone = {_text(server.time_zone)}    # of its clock
serves = {_text(server.serves)}

[mailman]
programs = {_text(whose.mailman.programs)}
sites = {_text(whose.mailman.sites)}    # has a folder for each site

# The sites in the order of /etc/mailman/sites. Each also has the list "mailman", as every
# Mailman has. The outputs on the page are those of a server with exactly these lists.

{"".join(map(_site, whose.sites))}\
# What the page adds, locks and looks for. The list is one that the first site does not have.
[examples]
list = {_text(examples.list)}
description = {_text(examples.description)}
administrator = {_text(examples.administrator)}

# The Puppet manifest that declares the lists.
[manifest]
file = {_text(manifest.file)}
repository = {_text(manifest.repository)}
url = {_text(manifest.url)}
checkout = {_text(manifest.checkout)}    # where the list server has that repository

# Where the code of the command `runbook` is. With the repository of these pages as well,
# pages = "https://…", each page links to its source. With the address where they are published,
# published = "https://…", the alerts of the page `monitoring` link to what helps.
[project]
repository = {_text(project.repository)}
{pages}{published}
# For "At a Glance": the text of each link, and where it leads.

[links.puppet]
{_links(links.puppet)}
[links.projects]
{_links(links.projects)}
[links.bugs]
{_links(links.bugs)}
[links.resources]
{_links(links.resources)}""".rstrip("\n")
        + "\n"
    )


def _site(site: WrittenSite) -> str:
    return f"""\
[[sites]]
name = {_text(site.name)}
domain = {_text(site.domain)}    # of the lists' addresses and web pages
lists = {_list(site.lists)}

"""


def _links(links: Mapping[str, str]) -> str:
    return "".join(f"{_text(text)} = {_text(url)}\n" for text, url in links.items())


def _text(text: str) -> str:
    # Control characters, which are not all written alike, are refused before.
    return json.dumps(text, ensure_ascii=False)


def _list(texts: Sequence[str]) -> str:
    if len(texts) <= _FEW:
        return f"[{', '.join(map(_text, texts))}]"
    return "\n".join(["[", *(f"    {_text(text)}," for text in texts), "]"])
