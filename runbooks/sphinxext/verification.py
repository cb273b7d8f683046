"""Says on the pages when their commands were last run, on what, and with which result.

The tests of the pages write ``build/verification.json``: a record for each step, of the build
that they took it from. A build is named by a hash of what a reader sees on the page (without
what is said here) and of the package that carries the procedures out. A record of another
build does not count: the page then says that it was not verified. Each procedure also says what
the `records` of runs on GNU Mailman hold of its text, which outlive the build.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import runbooks
from runbooks.book import records as real
from runbooks.book.dates import Words, joined
from runbooks.book.records import OnMailman, RealRun, Standing
from runbooks.mailman.printed import STATE, anchor, by_command, steps_of
from runbooks.procedures import find, taken_in
from runbooks.sphinxext import held
from runbooks.sphinxext.age import as_html, as_nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

PASSED = "passed"

FAILED = "failed"

VERIFICATION = "verification.json"


@dataclass(frozen=True)
class Record:
    """One step of a procedure, as it was run once."""

    #: the build of the page that it was taken from
    build: str
    page: str
    procedure: str
    #: the step's name, or `COMMAND` or `STATE`
    step: str
    #: `PASSED` or `FAILED`
    result: str
    #: with the time zone, as ISO 8601
    when: str
    #: Mailman's version, and whether it was the stand-in
    mailman: str
    standin: bool
    python: str
    layout: str
    image: str
    detail: str = ""

    @property
    def where(self) -> tuple[str, bool, str, str, str]:
        """On what it was run."""
        return (self.mailman, self.standin, self.python, self.layout, self.image)

    @property
    def on(self) -> str:
        """``Mailman 2.1.39 (stand-in) on Python 2.7``"""
        note = " (stand-in)" if self.standin else ""
        return f"Mailman {self.mailman}{note} on Python {self.python}"


def briefly(records: Iterable[Record]) -> str:
    """``2.1.39 and 2.2.0``, or ``the stand-in`` where it was nothing else.

    It follows what is on record, which names GNU Mailman.
    """
    versions = dict.fromkeys(record.mailman for record in records if not record.standin)
    return " and ".join(versions) or "the stand-in"


def write(path: Path, records: Iterable[Record]) -> None:
    """Write the records of a run; the file has its name only when it is complete."""
    text = json.dumps({"records": [asdict(record) for record in records]}, indent=1) + "\n"
    real.replace_file(path, text)


def read(path: Path) -> list[Record]:
    """The records of the last run; none where there is no file.

    Raises ValueError for a file of something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        return [Record(**record) for record in json.loads(text)["records"]]
    except (TypeError, KeyError, json.JSONDecodeError) as problem:
        raise ValueError(f"{path} holds no records of a run ({problem}): remove it") from None


def source_hash() -> str:
    """Changes with every file of the package but the records, which a run of this build makes.

    And with those of the procedures that the page takes in from elsewhere.
    """
    digest = hashlib.sha256()
    for folder in (Path(runbooks.__file__).parent, *taken_in()):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name != real.RECORDS and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def build_of(doctree: nodes.document, source: str) -> str:
    """The name of this build of a page: what a reader sees on it, and the package behind it.

    `doctree` is as it was read: what is said of runs is not in it yet.
    """
    digest = hashlib.sha256(source.encode())
    for text in doctree.findall(nodes.Text):
        digest.update(text.astext().encode() + b"\0")
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Status:
    """What is known of a procedure, or of a page."""

    #: ``verified``, ``failed`` or ``unverified``
    kind: str
    words: Words
    #: the same as a part of a sentence
    brief: Words = ()
    #: verified on GNU Mailman, whether or not on the stand-in too
    on_gnu: bool = False


def judge(records: Sequence[Record], wanted: Iterable[str]) -> Status:
    """The status of the build that `records` are of, where each of `wanted` had to be run.

    `wanted` holds ``PROCEDURE/STEP``. A run counts when it met all of them.
    """
    wanted = set(wanted)
    failed = [record for record in records if record.result != PASSED]
    if failed:
        first = failed[0]
        number = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return Status(
            "failed",
            (
                "This build failed its test on ",
                datetime.fromisoformat(first.when),
                f": {first.procedure}, {first.step}{number}, {first.on}. Do not rely on it.",
            ),
            (
                f"failed in this build on {briefly([first])} (",
                datetime.fromisoformat(first.when).date(),
                "); do not rely on it",
            ),
        )
    complete = [
        where
        for where in dict.fromkeys(record.where for record in records)
        if wanted <= {f"{r.procedure}/{r.step}" for r in records if r.where == where}
    ]
    if not wanted or not complete:
        return Status(
            "unverified",
            ("This build was not verified: its commands were not run.",),
            ("not run in this build",),
        )
    counted = [record for record in records if record.where in complete]
    on = " and ".join(dict.fromkeys(record.on for record in counted))
    when = datetime.fromisoformat(max(record.when for record in counted))
    text = f", in a test container: every command was run as it is printed, on {on}."
    if any(record.standin for record in counted):
        text += " The stand-in is our own re-implementation, not GNU Mailman."
    return Status(
        "verified",
        ("Verified on ", when, text),
        (f"this build on {briefly(counted)} (", when.date(), ")"),
        any(not record.standin for record in counted),
    )


def with_records(
    build: Status,
    known: Sequence[OnMailman],
    on_server: Words = (),
    *,
    differs: bool = False,
) -> Status:
    """What stands at a procedure: what is on record of its text, and what this build says of it.

    `on_server`: what was found on a server that it was held against; `differs`: not all of it held.
    It is verified when this build was, the text has passed on GNU Mailman, now or earlier, and
    nothing differs on that server.
    """
    standings = {one.standing for one in known}
    kind = build.kind
    if Standing.FAILED in standings:
        kind = "failed"
    elif kind == "verified" and not build.on_gnu and Standing.PASSED not in standings:
        kind = "unverified"
    if kind == "verified" and differs:
        kind = "unverified"
    first, *words = joined([*filter(None, [on_server]), *real.said(known), build.brief], "; ")
    assert isinstance(first, str)
    return Status(kind, (f"{first[0].upper()}{first[1:]}", *words, "."))


class status_node(nodes.General, nodes.Element):
    """Where a page says when a procedure was last run."""


class table_node(nodes.General, nodes.Element):
    """Where a page lists all that was run."""


def status(procedure: str, steps: Iterable[str], text: str) -> status_node:
    """The place on a page for the status of `procedure`.

    It has these steps, both ways; `text` is the hash of what they have a reader run.
    """
    return status_node(procedure=procedure, wanted=[*steps, STATE], text=text)


class VerificationDirective(SphinxDirective):
    """The table of what was run, for every procedure of every page."""

    def run(self) -> list[nodes.Node]:
        return [table_node()]


class Verification:
    """The records, and the pages of the build that is under way."""

    def __init__(
        self,
        records: list[Record],
        runs: list[RealRun],
        on_server: held.Held | None,
        env: BuildEnvironment,
    ) -> None:
        self.records = records
        self.runs = runs
        self.on_server = on_server
        self.env = env
        self.source = source_hash()
        self.builds: dict[str, str] = {}
        self._places: dict[str, dict[str, status_node]] = {}

    def build(self, docname: str) -> str:
        if docname not in self.builds:
            self.builds[docname] = build_of(self.env.get_doctree(docname), self.source)
        return self.builds[docname]

    def of(self, docname: str) -> list[Record]:
        """What was run of this very build of a page."""
        build = self.build(docname)
        return [r for r in self.records if r.page == docname and r.build == build]

    def places(self, docname: str) -> dict[str, status_node]:
        """Where a page says when its procedures were last run, by their names."""
        if docname not in self._places:
            # Each time it is asked for, Sphinx reads a page from the disk.
            doctree = self.env.get_doctree(docname)
            found = {node["procedure"]: node for node in doctree.findall(status_node)}
            self._places[docname] = found
        return self._places[docname]

    def printed(self, docname: str) -> dict[str, list[str]]:
        """The procedures on a page, and what each of them has that can be run."""
        return {name: node["wanted"] for name, node in self.places(docname).items()}

    def of_procedure(self, docname: str, procedure: str) -> Status:
        place = self.places(docname)[procedure]
        wanted = {f"{procedure}/{step}" for step in place["wanted"]}
        records = [r for r in self.of(docname) if r.procedure == procedure]
        known = real.of_procedure(self.runs, procedure, place["text"])
        if self.on_server is None:
            return with_records(judge(records, wanted), known)
        anchors = [anchor(find(procedure), step.name) for step in steps_of(find(procedure))]
        said, differs = self.on_server.of(procedure, anchors, place["text"])
        return with_records(judge(records, wanted), known, said, differs=differs)

    def of_page(self, docname: str) -> Status | None:
        """None for a page without procedures."""
        printed = self.printed(docname)
        if not printed:
            return None
        wanted = {f"{name}/{step}" for name, steps in printed.items() for step in steps}
        return judge(self.of(docname), wanted)

    @property
    def pages(self) -> list[str]:
        return sorted(name for name in self.env.found_docs if self.printed(name))


def _of(app: Sphinx) -> Verification:
    found: Verification = app._runbook_verification  # type: ignore[attr-defined]
    return found


def _paragraph(status: Status) -> nodes.paragraph:
    return nodes.paragraph("", "", *as_nodes(status.words), classes=["verification", status.kind])


def _resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    verification = _of(app)
    for node in list(doctree.findall(status_node)):
        node.replace_self(_paragraph(verification.of_procedure(docname, node["procedure"])))
    for place in list(doctree.findall(table_node)):
        place.replace_self(_tables(app, verification, docname))


def _tables(app: Sphinx, verification: Verification, docname: str) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    for page in verification.pages:
        for procedure in verification.printed(page):
            found.append(_table(app, verification, docname, page, procedure))
    return found


def _table(
    app: Sphinx, verification: Verification, docname: str, page: str, procedure: str
) -> nodes.section:
    title = find(procedure).title
    section = nodes.section("", nodes.title(title, title), ids=[f"verified-{procedure}"])
    section += _paragraph(verification.of_procedure(page, procedure))
    records = [r for r in verification.of(page) if r.procedure == procedure]
    places = list(dict.fromkeys(record.where for record in records))
    if not places:
        return section
    named = {record.where: record.on for record in records}
    table = nodes.table(classes=["verification"])
    group = nodes.tgroup(cols=len(places) + 1)
    table += group
    group += [nodes.colspec(colwidth=1) for _ in range(len(places) + 1)]
    group += nodes.thead("", _row("Step", *(named[place] for place in places)))
    body = nodes.tbody()
    group += body
    for step in verification.printed(page)[procedure]:
        cells = []
        for place in places:
            ran = [r for r in records if r.step == step and r.where == place]
            cells.append(f"{ran[-1].result}, {_time(ran[-1].when)}" if ran else "not run")
        body += _row(_step_title(app, docname, page, procedure, step), *cells)
    section += table
    images = list(dict.fromkeys((r.image, r.layout) for r in records))
    section += nodes.paragraph(
        "", "Images: " + "; ".join(f"{image}, layout {layout}" for image, layout in images) + "."
    )
    return section


def _time(when: str) -> str:
    return f"{datetime.fromisoformat(when):%H:%M:%S}"


def _step_title(
    app: Sphinx, docname: str, page: str, procedure: str, step: str
) -> nodes.Node | str:
    if step == STATE:
        return "By hand and by command end in the same state"
    found = find(procedure)
    titles = {one.name: one.title for one in (*by_command(found), *steps_of(found))}
    uri = f"{app.builder.get_relative_uri(docname, page)}#{anchor(found, step)}"
    return nodes.reference("", titles[step], internal=True, refuri=uri)


def _row(*cells: nodes.Node | str) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        content = nodes.Text(cell) if isinstance(cell, str) else cell
        row += nodes.entry("", nodes.paragraph("", "", content))
    return row


def _begin(app: Sphinx) -> None:
    records = read(Path(app.config.runbook_verification))
    runs = real.read(Path(app.config.runbook_records))
    on_server = held.read(Path(app.config.runbook_held))
    found = Verification(records, runs, on_server, app.env)
    app._runbook_verification = found  # type: ignore[attr-defined]


def _name_records(app: Sphinx, config: Any) -> None:
    """Have every page written again when the records have changed."""
    if config.runbook_verification is None:
        config.runbook_verification = str(Path(app.outdir).parent / VERIFICATION)
    if config.runbook_records is None:
        config.runbook_records = str(Path(app.confdir).parent / real.RECORDS)
    if config.runbook_held is None:
        config.runbook_held = str(Path(app.outdir).parent / held.HELD)
    digest = hashlib.sha256()
    for name in (config.runbook_verification, config.runbook_records, config.runbook_held):
        path = Path(name)
        content = path.read_bytes() if path.is_file() else b""
        digest.update(hashlib.sha256(content).digest())
    config.runbook_runs = digest.hexdigest()


def _pages_that_sum_up(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages to write again whichever page has changed."""
    return [
        name for name in env.found_docs if next(env.get_doctree(name).findall(table_node), None)
    ]


def _page_context(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    if doctree is None:
        return
    verification = _of(app)
    context["runbook_build"] = verification.build(pagename)
    found = verification.of_page(pagename)
    if found is not None:
        context["runbook_verification"] = found
        context["runbook_verification_words"] = as_html(found.words)


def _publish_records(app: Sphinx, problem: Exception | None) -> None:
    """Put the records beside the pages that speak of them."""
    path = Path(app.config.runbook_verification)
    if problem is None and app.builder.format == "html" and path.is_file():
        Path(app.outdir, VERIFICATION).write_bytes(path.read_bytes())


def setup(app: Sphinx) -> None:
    app.add_config_value("runbook_verification", None, "", (str, type(None)))
    app.add_config_value("runbook_records", None, "", (str, type(None)))
    app.add_config_value("runbook_held", None, "", (str, type(None)))
    app.add_config_value("runbook_runs", "none", "html", (str,))
    app.add_node(status_node)
    app.add_node(table_node)
    app.add_directive("verification", VerificationDirective)
    app.connect("config-inited", _name_records)
    app.connect("builder-inited", _begin)
    app.connect("env-updated", _pages_that_sum_up)
    app.connect("doctree-resolved", _resolve)
    app.connect("html-page-context", _page_context)
    app.connect("build-finished", _publish_records)
