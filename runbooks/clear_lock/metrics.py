"""Locks as metrics: the text that Prometheus reads, for ``runbook locks --prometheus``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runbooks.clear_lock.run import Look
from runbooks.mailman.locks import NS, Lock, Verdict

LOCKS = "mailman_locks"
STALE_AGE = "mailman_lock_stale_age_seconds"
BLOCKED = "mailman_lists_blocked"
READABLE = "mailman_lock_folder_readable"
ANSWERED = "mailman_host_answered"
LOOKED = "mailman_locks_looked_timestamp_seconds"

#: By the name of a metric: what it says, and the labels that it has.
METRICS = {
    LOCKS: ("Locks, and claims that no lock names.", ("host", "site", "verdict")),
    STALE_AGE: (
        "Seconds since the oldest stale lock was taken; 0 if none is stale.",
        ("host", "site"),
    ),
    BLOCKED: ("Lists that nobody can change until somebody sees to their lock.", ("host", "site")),
    READABLE: ("Whether the lock folder could be read (1) or not (0).", ("host", "site")),
    ANSWERED: ("Whether the host answered (1) or not (0).", ("host",)),
    LOOKED: ("When the locks were looked at, in seconds since 1970.", ("host",)),
}


def text(looks: Mapping[str, Look | None], now: float) -> str:
    """What was seen on each host, by its name; None: it did not answer. `now`: when, in seconds
    since 1970.

    Of a lock folder that could not be read nothing is known, and nothing else is said.
    """
    registry = CollectorRegistry()
    registry.register(_Seen(looks, now))
    return generate_latest(registry).decode("utf-8")


class _Seen(Collector):
    def __init__(self, looks: Mapping[str, Look | None], now: float) -> None:
        self._looks = looks
        self._now = now

    def collect(self) -> Iterator[Metric]:
        found = {
            name: GaugeMetricFamily(name, help, labels=labels)
            for name, (help, labels) in METRICS.items()
        }
        for host, seen in self._looks.items():
            found[ANSWERED].add_metric([host], seen is not None)
            found[LOOKED].add_metric([host], self._now)
            if seen is None:
                continue
            for name in dict.fromkeys([*(site.name for site in seen.sites), *seen.failed]):
                found[READABLE].add_metric([host, name], name not in seen.failed)
                if name in seen.failed:
                    continue
                locks = seen.locks.get(name, [])
                for verdict in Verdict:
                    count = sum(lock.verdict is verdict for lock in locks)
                    found[LOCKS].add_metric([host, name, verdict.value], count)
                found[STALE_AGE].add_metric([host, name], max(map(_stale_for, locks), default=0))
                lists = {lock.list for lock in locks if lock.blocks and lock.list is not None}
                found[BLOCKED].add_metric([host, name], len(lists))
        yield from found.values()


def _stale_for(lock: Lock) -> float:
    """Seconds since a stale lock was taken, by the clock of its host."""
    if lock.verdict is not Verdict.STALE:
        return 0
    return max(0, lock.observation.now_ns - lock.taken_ns) / NS
