"""The alert rules as they are published: what they are about, and where they lead."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urldefrag

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from runbooks.book.whose import whose
from runbooks.clear_lock import alerts
from runbooks.practice.site import create
from runbooks.sphinxext.alerts import FILE
from runbooks.testing.page.pages import Page

#: A metric in an expression, and what is asked of its labels.
ASKED = re.compile(r"\b(mailman_\w+)(?:\{([^}]*)\})?")


@pytest.fixture
def rules(built: Path) -> list[dict[str, object]]:
    """What a reader copies, or downloads."""
    (text,) = (one.text for one in Page(built, "monitoring").blocks if one.kind == "command")
    assert (built / FILE).read_text(encoding="utf-8") == f"{text}\n"
    (group,) = yaml.safe_load(text)["groups"]
    return group["rules"]


def test_every_alert_leads_to_what_helps(built: Path, rules):
    assert [rule["alert"] for rule in rules] == [alert.name for alert in alerts.ALERTS]
    for rule in rules:
        url, anchor = urldefrag(rule["annotations"]["runbook_url"])
        assert url.startswith(whose().project.published)
        name = url.removeprefix(whose().project.published).removesuffix(".html")
        assert anchor in Page(built, name).ids, rule


def test_an_alert_asks_for_nothing_that_is_not_printed(rules, tmp_path: Path):
    spec = create(tmp_path / "site").spec
    done = subprocess.run(
        [sys.executable, "-m", "runbooks", "locks", "--prometheus", "--host", spec],
        capture_output=True,
        text=True,
        check=False,
    )
    samples = [
        sample
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
    ]
    for rule in rules:
        asked = ASKED.findall(rule["expr"])
        assert asked, rule
        for name, matchers in asked:
            wanted = dict(re.findall(r'(\w+)="([^"]*)"', matchers))
            assert bool(wanted) == bool(matchers), rule
            found = [one for one in samples if one.name == name]
            assert any(wanted.items() <= one.labels.items() for one in found), rule
            labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
            assert labels <= found[0].labels.keys(), rule


def test_where_the_pages_are_is_not_made_up():
    rules = yaml.safe_load(alerts.text(None))["groups"][0]["rules"]
    assert not any("runbook_url" in rule["annotations"] for rule in rules)
