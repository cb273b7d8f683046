"""The pages as they are built: complete, static, linked, and made from the procedures alone."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from runbooks.book.procedure import paste
from runbooks.book.whose import whose
from runbooks.mailman.printed import anchor, command_of, steps_of
from runbooks.procedures import all_procedures
from runbooks.sphinxext.blocks import creates_source
from runbooks.sphinxext.shared import FILES
from runbooks.testing.page import pages
from runbooks.testing.page.pages import Page
from tests.page.conftest import ROOT, SOURCE, build_in, sphinx

ANCHORS = Path(__file__).with_name("anchors.txt")


def every_page(root: Path) -> list[Page]:
    return [Page(root, name) for name in [*pages.names(root), "genindex", "search"]]


def test_every_link_inside_leads_somewhere(built):
    broken = []
    ids: dict[Path, set[str]] = {}
    for page in every_page(built):
        for tag in page.soup.find_all(href=True) + page.soup.find_all(src=True):
            link = urlsplit(tag.get("href") or tag.get("src"))
            if link.scheme or link.netloc:
                continue
            target = (page.path.parent / unquote(link.path)) if link.path else page.path
            if not target.is_file():
                broken.append(f"{page.name}.html: {link.geturl()} (no such file)")
            elif link.fragment and target.suffix == ".html":
                target = target.resolve()
                if target not in ids:
                    ids[target] = Page(built, target.stem).ids
                # The icons of the theme are in the page itself.
                if unquote(link.fragment) not in ids[target]:
                    broken.append(f"{page.name}.html: {link.geturl()} (no such anchor)")
    assert not broken, "broken links:\n" + "\n".join(broken)


def test_nothing_is_fetched_from_elsewhere(built):
    fetched = []
    for page in every_page(built):
        for tag in page.soup.find_all(["link", "script", "img", "iframe", "source", "object"]):
            link = tag.get("href") or tag.get("src") or tag.get("data") or ""
            if re.match(r"(https?:)?//", link):
                fetched.append(f"{page.name}.html: {tag}")
    for style in built.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        fetched += [
            f"{style.relative_to(built)}: {found}"
            for found in re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)\s]*", text)
        ]
    assert not fetched, "\n".join(fetched)


def test_anchors_are_those_that_were_published(lists_page):
    """Links from elsewhere lead to them: chat logs, tickets, other pages."""
    published = [
        line.replace("{site}", site.name)
        for line in ANCHORS.read_text(encoding="utf-8").splitlines()
        for site in (whose().sites if "{site}" in line else (whose().first,))
    ]
    wanted = {line for line in published if line and not line.startswith("#")}
    there = [
        str(section["id"])
        for section in lists_page.article.find_all("section")
        if any(str(section["id"]).startswith(p.name) for p in all_procedures())
    ]
    expected = [line for line in published if line in wanted]
    assert there == expected, (
        "the page's anchors, in its order, are not those of tests/page/anchors.txt: "
        f"gone {sorted(wanted - set(there))}, new {sorted(set(there) - wanted)}, "
        "or in another order"
    )


def test_procedures_and_steps_can_be_referred_to_and_are_in_the_index(built):
    inventory = (built / "objects.inv").read_bytes().split(b"\n", 4)[4]
    labels = {
        line.split()[0]: line.split()[3]
        for line in zlib.decompress(inventory).decode().splitlines()
        if " std:label " in line
    }
    index = {str(tag["href"]) for tag in Page(built, "genindex").soup.select("article a[href]")}
    for procedure in all_procedures():
        for part in ("", "command", "by-hand", *(step.name for step in steps_of(procedure))):
            name = anchor(procedure, part)
            assert labels[name] in (f"lists.html#{name}", "lists.html#$"), name
            assert f"lists.html#{name}" in index, name


def test_no_command_of_a_procedure_is_typed_in_a_page():
    typed = []
    for source in [*SOURCE.rglob("*.rst"), *FILES.rglob("*.rst")]:
        text = source.read_text(encoding="utf-8")
        for procedure in all_procedures():
            commands = [command_of(procedure)]
            commands += [paste(step).splitlines()[0] for step in steps_of(procedure)]
            typed += [f"{source.name}: {command}" for command in commands if command in text]
    assert not typed, "\n".join(typed)


def test_no_placeholder_is_left_in_what_the_page_shows(lists_page):
    """One that is not known is printed as it is written."""
    left = [
        f"{block.place}: {found}"
        for block in lists_page.blocks
        if block.kind == "output"
        for found in re.findall(r"\{[A-Z_]{3,}[^}]*\}?", block.text)
    ]
    assert not left, "\n".join(left)


def test_what_the_reader_creates_is_the_file_itself(lists_page):
    blocks = {block.anchor: block for block in lists_page.blocks if block.kind == "command"}
    created = set()
    for procedure in all_procedures():
        for step in steps_of(procedure):
            if step.creates is None or step.creates.path in created:
                continue
            source = creates_source(step)
            if source is None:
                assert not step.creates.path.endswith(".py"), f"{step.name}: not of the package"
                continue
            created.add(step.creates.path)
            text = source.read_text(encoding="utf-8")
            name = anchor(procedure, step.name)
            assert blocks[name].text.count(text) == 1
            (link,) = lists_page.article.select(f"#{name} > p.download a[download]")
            downloaded = lists_page.root / str(link["href"])
            assert downloaded.name == source.name
            assert downloaded.read_bytes() == source.read_bytes()
    assert created


def test_the_copy_button_is_set_as_the_tests_suppose(built):
    settings = pages.script_settings(built)
    assert settings["selector"] == "div.command pre"
    assert settings["exclude"] == ".linenos"
    # no prompts; drop no line
    assert settings["arguments"].startswith("'', false, true, true, true, '', ''")


def test_man_page_is_up_to_date(tmp_path):
    """It is kept in the repository, since installing the package has no Sphinx to make it."""
    done = sphinx(SOURCE, tmp_path / "man", builder="man")
    assert done.returncode == 0, done.stderr
    kept, made = (
        words_of((folder / "runbook.1").read_text(encoding="utf-8"))
        for folder in (ROOT / "doc" / "man", tmp_path / "man")
    )
    assert kept == made, "doc/man/runbook.1 is out of date: run tox -e docs and commit it"


def words_of(roff: str) -> list[str]:
    """The words of a man page, without the markup, which differs between versions of Sphinx."""
    lines = [line for line in roff.splitlines() if not re.match(r"[.'](?!TP|TH|SH|SS|B |I )", line)]
    text = re.sub(r"\\f[A-Z]|\\f\[\w+\]|\\&|^\.\w+", " ", "\n".join(lines), flags=re.MULTILINE)
    return re.findall(r"\w+", text)


# Builds in a folder of their own


def test_a_changed_file_of_the_package_rebuilds_the_pages_that_print_it(checkout):
    assert build_in(checkout).returncode == 0
    page = checkout / "build" / "html" / "lists.html"
    assert "never seen before" not in page.read_text(encoding="utf-8")
    for changed, old in (
        ("runbooks/ban/page.py", "Somebody abuses"),
        ("runbooks/onhost/pasted/ban.py", "Ban addresses from a list"),
    ):
        path = checkout / changed
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, f"Never seen before in {changed}: {old}"))
        done = build_in(checkout)
        assert done.returncode == 0, done.stderr
        shown = Page(checkout / "build" / "html", "lists").article.get_text()
        assert f"Never seen before in {changed}" in shown


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (".. procedure:: ban\n", ".. procedure:: bann\n", "there is no procedure 'bann'"),
        (
            "Lifting a Ban\n=============",
            "Lifting Bans\n============",
            "the procedure unban stands under the heading 'Lifting Bans'; "
            "its title is 'Lifting a Ban'",
        ),
        (":doc:`verification`", ":doc:`verifications`", "verifications"),
    ],
)
def test_a_mistake_in_a_page_fails_the_build(checkout, old, new, complaint):
    found = False
    for source in (checkout / "doc" / "source").glob("*.rst"):
        text = source.read_text(encoding="utf-8")
        found = found or old in text
        source.write_text(text.replace(old, new), encoding="utf-8")
    assert found
    done = build_in(checkout)
    assert done.returncode != 0
    assert complaint in done.stderr
