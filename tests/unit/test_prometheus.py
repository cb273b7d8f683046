"""``runbook locks --prometheus``: what Prometheus reads of the locks on a practice site."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runbooks.clear_lock import metrics
from runbooks.mailman.locks import Verdict
from tests.support.command import runbook

#: By the name of a metric and its labels, without the host.
Values = dict[tuple[str, ...], float]


@pytest.fixture
def look(any_sites) -> Callable[..., tuple[int, Values]]:
    """Runs the command; its exit status, and what it printed as Prometheus reads it."""

    def run(*arguments: str) -> tuple[int, Values]:
        done = runbook(any_sites.spec, "locks", "--prometheus", *arguments)
        assert done.stderr == ""
        found: Values = {}
        for family in text_string_to_metric_families(done.stdout):
            assert family.documentation
            assert family.type == "gauge"
            for sample in family.samples:
                labels = dict(sample.labels)
                assert labels.pop("host") == any_sites.spec
                key = (sample.name, *labels.values())
                assert key not in found
                found[key] = sample.value
        return done.returncode, found

    return run


def counts(values: Values, site: str) -> dict[str, float]:
    """Of one site, how many locks have each verdict."""
    return {key[2]: value for key, value in values.items() if key[:2] == (metrics.LOCKS, site)}


def test_every_verdict_of_every_site_has_a_number(look, any_sites):
    before = time.time()
    [lock] = any_sites.folder.glob("srv/mailman/openstack/locks/*.lock")
    status, values = look()
    assert status == 1
    none = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    assert counts(values, "openstack") == {**none, "stale": 1}
    assert counts(values, "zuul") == none
    assert values[metrics.BLOCKED, "openstack"] == 1
    assert values[metrics.BLOCKED, "zuul"] == values[metrics.STALE_AGE, "zuul"] == 0
    assert values[metrics.READABLE, "openstack"] == values[metrics.READABLE, "zuul"] == 1
    assert values[metrics.ANSWERED,] == 1
    assert before <= values[metrics.LOOKED,] <= time.time()
    age = values[metrics.STALE_AGE, "openstack"]
    assert before - 1 <= lock.stat().st_ctime + age <= time.time() + 1


def test_the_age_is_that_of_the_oldest(look, any_sites):
    [old] = any_sites.folder.glob("srv/mailman/openstack/locks/*.lock")
    time.sleep(max(0, old.stat().st_ctime + 2 - time.time()))
    folder = any_sites.prefix("openstack") / "locks"
    claim = folder / f"openstack-infra.lock.{socket.gethostname()}.4194304.0"
    claim.write_text(str(claim))
    os.link(claim, folder / "openstack-infra.lock")
    _, values = look()
    assert counts(values, "openstack")["stale"] == 2
    assert values[metrics.BLOCKED, "openstack"] == 2
    assert values[metrics.STALE_AGE, "openstack"] >= 2


def test_a_list_in_use_is_locked_and_not_blocked(look, any_sites):
    any_sites.unlock()
    any_sites.hold("zuul", "zuul-jobs")
    status, values = look()
    assert status == 0
    assert counts(values, "zuul")["held"] == 1
    assert values[metrics.BLOCKED, "zuul"] == 0


def test_what_is_no_lock_blocks_its_list(look, any_sites):
    any_sites.unlock()
    (any_sites.prefix("zuul") / "locks" / "zuul-jobs.lock").write_text("nonsense")
    status, values = look()
    assert status == 1
    assert counts(values, "zuul")["malformed"] == values[metrics.BLOCKED, "zuul"] == 1
    assert values[metrics.STALE_AGE, "zuul"] == 0


def test_of_a_folder_that_cannot_be_read_nothing_else_is_said(look, any_sites):
    locks = any_sites.prefix("zuul") / "locks"
    shutil.rmtree(locks)
    locks.write_text("")
    status, values = look()
    assert status == 1
    assert values[metrics.READABLE, "zuul"] == 0
    assert values[metrics.READABLE, "openstack"] == 1
    assert [key for key in values if "zuul" in key] == [(metrics.READABLE, "zuul")]


@pytest.mark.parametrize("other", ["--json", "--watch"])
def test_it_is_one_look_as_metrics(any_sites, other):
    done = runbook(any_sites.spec, "locks", "--prometheus", other)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "leave out --watch and --json" in line


def test_of_a_host_that_does_not_answer_that_is_said(any_sites):
    nobody = "ssh://nobody@localhost.invalid?timeout=2"
    done = runbook(nobody, "locks", "--prometheus")
    assert done.returncode == 3
    assert by_host(done.stdout, metrics.ANSWERED) == {nobody: 0}
    assert by_host(done.stdout, metrics.READABLE) == {}
    done = runbook(nobody, "locks", "--prometheus", "--host", any_sites.spec)
    assert done.returncode == 1
    assert by_host(done.stdout, metrics.ANSWERED) == {nobody: 0, any_sites.spec: 1}
    assert by_host(done.stdout, metrics.BLOCKED).keys() == {any_sites.spec}


def by_host(text: str, name: str) -> dict[str, float]:
    return {
        sample.labels["host"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_of_a_site_that_there_is_not_nothing_is_printed(any_sites):
    done = runbook(any_sites.spec, "locks", "--prometheus", "--site", "nosuch")
    assert (done.returncode, done.stdout) == (2, "")
