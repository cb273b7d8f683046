"""The alert rules for Prometheus that go with ``runbook locks --prometheus``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runbooks.clear_lock import metrics
from runbooks.clear_lock.page import PROCEDURE
from runbooks.mailman.locks import Verdict

#: Seconds without a look before somebody is told: turns that a job of each minute has missed.
OLD = 600


@dataclass(frozen=True)
class Alert:
    """One rule."""

    name: str
    expression: str
    #: how long it has to be true
    lasts: str
    severity: str
    summary: str
    #: the label of what helps, on the pages
    helps: str


ALERTS = (
    Alert(
        "MailmanListBlocked",
        f"{metrics.BLOCKED} > 0",
        "15m",
        "critical",
        "{{ $value }} lists of {{ $labels.site }} are blocked until somebody acts",
        PROCEDURE.name,
    ),
    Alert(
        "MailmanStaleLock",
        f'{metrics.LOCKS}{{verdict="{Verdict.STALE.value}"}} > 0',
        "5m",
        "warning",
        "{{ $value }} locks of {{ $labels.site }} were left by processes that no longer run",
        PROCEDURE.name,
    ),
    Alert(
        "MailmanLockFolderUnreadable",
        f"{metrics.READABLE} == 0",
        "5m",
        "warning",
        "the locks of {{ $labels.site }} cannot be read",
        "lock-folder-unreadable",
    ),
    Alert(
        "MailmanHostSilent",
        f"{metrics.ANSWERED} == 0",
        "15m",
        "warning",
        "{{ $labels.host }} does not answer when its locks are looked at",
        "host-silent",
    ),
    Alert(
        "MailmanLocksNotSeen",
        f"time() - {metrics.LOOKED} > {OLD} or absent({metrics.LOOKED})",
        "5m",
        "warning",
        "nobody has looked at the locks for a while",
        "locks-not-seen",
    ),
)


def text(address: Callable[[str], str] | None) -> str:
    """The file. `address`: of what a label of the pages is on, where they are published."""
    lines = ["groups:", "  - name: mailman-locks", "    rules:"]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {alert.expression}",
            f"        for: {alert.lasts}",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f'          summary: "{alert.summary}"',
        ]
        if address is not None:
            lines.append(f'          runbook_url: "{address(alert.helps)}"')
    return "\n".join(lines) + "\n"
