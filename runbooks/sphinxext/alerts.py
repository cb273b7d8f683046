"""What Prometheus is told of locks: the metrics, and the rules that raise the alarm.

Directives: ``metrics`` for what each says; ``alerts`` for the rules, on the page and as a file
beside it. Each rule leads to the place on the pages that says what to do, if ``site.toml`` says
where the pages are published.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from runbooks.book.whose import path, whose
from runbooks.clear_lock import alerts, metrics
from runbooks.sphinxext import blocks

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: In the folder of the built pages.
FILE = "mailman-alerts.yaml"

_LOG = logging.getLogger(__name__)


class MetricsDirective(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(metrics.__file__)
        text = "\n".join(
            f"{name}{{{', '.join(labels)}}}\n    {help}"
            for name, (help, labels) in metrics.METRICS.items()
        )
        return [nodes.literal_block(text, text, language="text")]


class Alerts(nodes.General, nodes.Element):
    """Where the rules are to be, once it is known where everything else is."""


class AlertsDirective(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        for source in (Path(alerts.__file__), path()):
            self.env.note_dependency(str(source))
        return [Alerts()]


def _text(app: Sphinx) -> str:
    published = whose().project.published

    def address(label: str) -> str:
        page, anchor, _ = app.env.domains["std"].labels.get(label, ("", "", ""))
        if not page:
            _LOG.warning("alerts: the pages have nothing with the label %r", label)
            return published
        return f"{published.rstrip('/')}/{app.builder.get_target_uri(page)}#{anchor}"

    return alerts.text(address if published else None)


def _print(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(Alerts)):
        text = _text(app)
        Path(app.outdir, FILE).write_text(text, encoding="utf-8")
        # The page is in the folder of the built pages itself, as all are.
        link = nodes.reference("", f"Download {FILE}", refuri=FILE)
        download = nodes.paragraph("", "", link, classes=["download"])
        node.replace_self([blocks.command(text.rstrip("\n"), "yaml"), download])


def setup(app: Sphinx) -> None:
    app.add_node(Alerts)
    app.add_directive("alerts", AlertsDirective)
    app.add_directive("metrics", MetricsDirective)
    app.connect("doctree-resolved", _print)
