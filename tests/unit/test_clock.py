"""What a moment is called: by the host's clock, with its zone."""

from __future__ import annotations

import os
import re

import pytest

from runbooks.mailman.clock import Clock
from tests.unit.test_cli import runbook

#: 2026-03-04 05:30:00 UTC
NOW = 1772602200


@pytest.mark.parametrize(
    ("offset", "ago", "shown"),
    [
        (0, 120, "05:28 UTC"),
        (0, 6 * 3600, "2026-03-03 23:30 UTC"),
        (0, -24 * 3600, "2026-03-05 05:30 UTC"),
        (2 * 3600, 6 * 3600, "01:30 +0200"),
        (2 * 3600, 8 * 3600, "2026-03-03 23:30 +0200"),
        (-6 * 3600, 120, "23:28 -0600"),
        (-6 * 3600, -1800, "2026-03-04 00:00 -0600"),
        (19800, 0, "11:00 +0530"),
        (-12600, 0, "02:00 -0330"),
    ],
)
def test_today_is_the_hosts_own(offset, ago, shown):
    assert Clock(NOW, offset).time(NOW - ago) == shown


def test_a_time_of_the_journal_is_shown_as_any_other():
    assert Clock(NOW, 3600).recorded("2026-03-04T05:28:59Z") == "06:28 +0100"
    assert Clock(NOW).recorded("2024-05-01T12:03:01Z") == "2024-05-01 12:03 UTC"
    assert Clock(NOW).recorded("some time") == "some time"


@pytest.mark.parametrize(
    ("name", "zone"), [("UTC", "UTC"), ("XXX-05:30", "+0530"), ("YYY3", "-0300")]
)
def test_every_command_shows_the_time_of_the_host_with_its_zone(any_sites, name, zone, monkeypatch):
    """The zone of the host: a practice site's is this process's own."""
    monkeypatch.setitem(os.environ, "TZ", name)
    host = ("--host", any_sites.spec)
    shown = {"ban": runbook("ban", "evil@example.com", "--yes", "--timeout", "0", *host).stdout}
    run = re.search(r"undo (\S+)", shown["ban"])[1]
    for words in (["history"], ["history", run], ["locks"], ["bans"]):
        shown[" ".join(words[:1] + ["RUN"] * (len(words) - 1))] = runbook(*words, *host).stdout
    shown["undo"] = runbook("undo", run, "-n", *host).stdout
    shown["clear-lock"] = runbook("clear-lock", "openstack-foo", "-n", *host).stdout
    for command, text in shown.items():
        times = re.findall(r"\b\d\d:\d\d\b(.{6})", text.replace("\n", "      "))
        assert times, command
        assert all(after.strip(" ,").startswith(zone) for after in times), (command, text)
    assert not re.search(r"\dT\d\d:", "".join(shown.values()))
