"""What was recorded of GNU Mailman, done again on the Mailman of this run.

See `replay.py` for how a recording was reduced and `filters.py` for where a replay may differ.

A Mailman of a release that was not recorded, such as the packaged 2.1.29, replays its series'
recording. Its words may be others: each such difference is shown as a warning. Exit statuses, who
waits, what raises, what a ban matches and what a list's state is afterwards may not differ.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import filters
import pytest
import replay
from filters import Where
from preparations import PREPARATIONS

from runbooks.testing.containers.box import PROGRAMS

LOCKS = "/var/lib/mailman/locks"

# Without these attributes there is nothing that a procedure could do to a list.
ESSENTIAL = {"ban_list", "description", "digest_members", "host_name", "members", "owner"}


@pytest.mark.layout("single")
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(name, marks=pytest.mark.needs("puppet") if name in replay.PUPPET else ())
        for name in sorted(replay.scenario_names() - set(replay.SEVERAL_SITES))
    ],
)
def test_one_site(mailman, scenario):
    replay_scenario(mailman, scenario)


@pytest.mark.layout("multi")
@pytest.mark.parametrize("scenario", sorted(replay.SEVERAL_SITES))
def test_several_sites(mailman, scenario):
    replay_scenario(mailman, scenario)


@pytest.mark.layout("single")
def test_attributes(mailman):
    """A new list's state: the same keys, types and defaults."""
    recording = replay.recording_for(mailman.version)
    recorded = recording.scenarios["attributes"]
    now = ask_new_list(mailman, "attributes")
    wrong = dict.fromkeys(set(recorded) - set(now), "not in a new list")
    wrong |= dict.fromkeys(set(now) - set(recorded), "not recorded")
    for name in set(recorded) & set(now):
        expected, found = recorded[name], now[name]
        if found["type"] != expected["type"]:
            wrong[name] = f"type {found['type']}, recorded {expected['type']}"
        elif "default" in expected and found["value"] != expected["default"]:
            wrong[name] = f"{found['value']!r}, recorded {expected['default']!r}"
    if recording.version != mailman.version:
        warn(mailman, recording, [f"{name}: {what}" for name, what in sorted(wrong.items())])
        wrong = {name: what for name, what in wrong.items() if name in ESSENTIAL}
    assert wrong == {}


@pytest.mark.layout("single")
def test_patterns(mailman):
    """What a ban matches."""
    cases = replay.recording_for(mailman.version).scenarios["patterns"]
    asked = [{"address": case["address"], "ban_list": case["ban_list"]} for case in cases]
    matched = ask_new_list(mailman, "patterns", stdin=json.dumps(asked))
    wrong = [
        f"{case['ban_list']} and {case['address']}: {found!r}, recorded {case['matched']!r}"
        for case, found in zip(cases, matched, strict=True)
        if found != case["matched"]
    ]
    assert wrong == []


def ask_new_list(mailman, script: str, stdin: str | None = None) -> Any:
    """What one of our scripts prints about a new list, as JSON."""
    created = mailman.run(["newlist", "-q", "alpha", "admin@example.com", "pw"])
    assert created.rc == 0, created.stderr
    done = mailman.run(["withlist", "-q", "-r", script, "alpha"], user="list", stdin=stdin)
    assert done.rc == 0, done.stderr
    return json.loads(done.stdout)


def replay_scenario(mailman, scenario: str) -> None:
    recording = replay.recording_for(mailman.version)
    same_release = recording.version == mailman.version
    where = {Where.EVERYWHERE}
    if mailman.is_standin:
        where.add(Where.STANDIN)
    if not same_release:
        where.add(Where.OTHER_RELEASE)
    rules = filters.rules_for(where, scenario)

    # Programs were recorded by their bare names; not every package links all of them.
    path = mailman.sh('printf %s "$PATH"').stdout
    environment = {"PATH": f"{path}:{PROGRAMS}"}
    failures, words = [], []
    if scenario in PREPARATIONS:
        PREPARATIONS[scenario](mailman)
    for step in recording.steps(scenario):
        output = mailman.run(
            step.argv, user=step.user, env=environment, stdin=step.stdin, timeout=step.patience
        )
        if output.timed_out:
            emptied = mailman.sh(f"rm -f {LOCKS}/* && ls -A {LOCKS}/")
            assert (emptied.rc, emptied.stdout) == (0, "")
        for difference in replay.differences(step, output, rules):
            allowed = not same_release and not difference.is_behaviour
            (words if allowed else failures).append(str(difference))
        for rule in rules:
            if rule.where is Where.STANDIN and rule.step == step.number:
                unfiltered = {found.field for found in replay.differences(step, output, [])}
                if rule.field not in unfiltered:
                    failures.append(f"filters.py has a rule that is not needed: {rule}")
    warn(mailman, recording, words)
    if failures:
        pytest.fail(
            f"Mailman {mailman.version} on Python {mailman.python} is not as recorded:\n"
            + "\n".join(failures),
            pytrace=False,
        )


def warn(mailman, recording: replay.Recording, words: list[str]) -> None:
    for text in words:
        message = f"Mailman {mailman.version} differs from the recorded {recording.version}: {text}"
        warnings.warn(message, stacklevel=3)
