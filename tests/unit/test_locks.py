"""What a lock folder means, case by case, and what is said about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.mailman.locks import (
    FILE_SERVER_NS,
    MASTER,
    NS,
    SLACK_NS,
    START_LAG_NS,
    Claim,
    Lock,
    Observation,
    Verdict,
    claim_readings,
    describe,
    examine,
    find,
    left_behind,
    parse_claim,
    printable,
    refusal,
    removable,
)

FOLDER = "/var/lib/mailman/locks"
#: 2026-03-04 05:30:00 UTC
NOW = 1_772_602_200 * NS
BOOT = NOW - 86_400 * NS
LIFETIME = 18_000 * NS
TAKEN = NOW - 120 * NS + 10_000_000


def ticks(moment_ns: int) -> int:
    return (moment_ns - BOOT) * 100 // NS


def running(started_ns: int = BOOT + 100 * NS, **changes: Any) -> dict[str, Any]:
    return {
        "exists": True,
        "start_ticks": ticks(started_ns),
        "state": "S",
        "threads": 1,
        "uid": 38,
        "command": "python2.7 /usr/lib/mailman/bin/withlist -l alpha",
        **changes,
    }


GONE = {"exists": False}


def entry(name: str, inode: int, nlink: int, content: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "exact": True,
        "type": "file",
        "inode": inode,
        "device": 1,
        "nlink": nlink,
        "mtime_ns": TAKEN + LIFETIME,
        "ctime_ns": TAKEN,
        "uid": 38,
        "size": len(content or ""),
        "content": content,
        "content_exact": True,
        "trouble": None,
        **changes,
    }


def lock(name: str, claim: str, inode: int = 7, **changes: Any) -> list[dict[str, Any]]:
    content = f"{FOLDER}/{claim}"
    return [{**entry(one, inode, 2, content), **changes} for one in (name, claim)]


def waiting(claim: str, inode: int = 9, **changes: Any) -> list[dict[str, Any]]:
    return [{**entry(claim, inode, 1, f"{FOLDER}/{claim}"), **changes}]


def seen(
    *entries: list[dict[str, Any]], processes: dict[int, Any] | None = None, **changes: Any
) -> Observation:
    raw = {
        "lock_dir": FOLDER,
        "lifetime": 18_000,
        "host": "lists",
        "error": None,
        "entries": [one for some in entries for one in some],
        "processes": {str(pid): known for pid, known in (processes or {}).items()},
        "namesakes": {},
        "mailmanctl": [],
        "orphans": [],
        "now_ns": NOW,
        "ticks_per_second": 100,
        "utc_offset": 0,
        "boot_ns": BOOT,
        "init_start_ticks": 0,
        # As after a quiet start: no doubt about the clock.
        "made_at_start_ns": BOOT + START_LAG_NS,
        **changes,
    }
    return Observation.from_json(raw)


def only(observation: Observation) -> Lock:
    [found] = examine(observation)
    return found


# Names


@pytest.mark.parametrize(
    ("name", "lock", "host", "pid", "seq"),
    [
        ("alpha.lock.lists.83.0", "alpha.lock", "lists", 83, 0),
        ("alpha.lock.lists.example.org.83.12", "alpha.lock", "lists.example.org", 83, 12),
        ("a.b.lock.lists.83.0", "a.b.lock", "lists", 83, 0),
        ("alpha.lock.lock.lists.83.0", "alpha.lock.lock", "lists", 83, 0),
        ("alpha.lock.lock.lists.83.0", "alpha.lock", "lock.lists", 83, 0),
        ("alpha.lock.10.0.0.5.83.0", "alpha.lock", "10.0.0.5", 83, 0),
        ("alpha.lock.lists.83", "alpha.lock", "lists", 83, None),
        ("alpha.lock.lists.4194304.0", "alpha.lock", "lists", 4194304, 0),
        ("alpha.lock.lists.83." + "9" * 40, "alpha.lock", "lists", 83, int("9" * 40)),
        ("master-qrunner.lists.83", MASTER, "lists", 83, None),
        ("master-qrunner.node.7.83", MASTER, "node.7", 83, None),
        ("master-qrunner.lists.83.0", MASTER, "lists", 83, 0),
        ("creator.lists.83.0", "creator", "lists", 83, 0),
    ],
)
def test_claims_are_read_from_the_right(
    name: str, lock: str, host: str, pid: int, seq: int | None
) -> None:
    assert parse_claim(name, lock) == Claim(name, lock, host, pid, seq)


@pytest.mark.parametrize(
    "name",
    [
        "alpha.lock",
        "alpha.lock.",
        "alpha.lock.lists",
        "alpha.lock.83.0",
        "alpha.lock..83.0",
        "alpha.lock.lists.0.0",
        "alpha.lock.lists.083.0",
        "alpha.lock.lists.4194305.x",
        "alpha.lock.lists.-1.0",
        "alpha.lock.lists.٨٣.٠",
        "beta.lock.lists.83.0",
        "alpha.lock.lists." + "9" * 5000 + ".x",
    ],
)
def test_what_is_no_claim(name: str) -> None:
    assert parse_claim(name, "alpha.lock") is None


@given(
    st.from_regex(r"[a-z0-9_+=-]+(\.[a-z0-9_+=-]+){0,3}", fullmatch=True),
    st.from_regex(r"[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+){0,3}", fullmatch=True),
    st.integers(1, 4_194_304),
    st.integers(0, 10**30),
)
def test_every_claim_is_among_its_own_readings(name: str, host: str, pid: int, seq: int) -> None:
    claim = Claim(f"{name}.lock.{host}.{pid}.{seq}", f"{name}.lock", host, pid, seq)
    assert parse_claim(claim.name, claim.lock) == claim
    assert claim in claim_readings(claim.name)


@given(st.text(max_size=60) | st.from_regex(r"([a.7]|\.lock|lists|master-qrunner){1,9}"))
def test_no_name_raises(name: str) -> None:
    found = examine(seen([entry(name, 1, 1, name)]))
    assert [one.files for one in found] == [(name,)]
    assert not any(removable(one) for one in found)
    assert printable(describe(found[0])).isprintable()


# Verdicts


def test_stale_because_there_is_no_such_process() -> None:
    found = only(seen(lock("alpha.lock", "alpha.lock.lists.83.0"), processes={83: GONE}))
    assert found.verdict is Verdict.STALE
    assert found.list == "alpha"
    assert found.files == ("alpha.lock", "alpha.lock.lists.83.0")
    assert describe(found) == "locked since 05:28 UTC by process 83 on lists, which no longer runs"
    assert refusal(found) is None
    assert found.order() == {
        "lock": "alpha.lock",
        "files": ["alpha.lock", "alpha.lock.lists.83.0"],
        "inode": 7,
        "device": 1,
        "ctime_ns": TAKEN,
        "content": f"{FOLDER}/alpha.lock.lists.83.0",
        "host": "lists",
        "gone": None,
        "processes": [[83, None]],
    }


def test_held_by_a_process_that_started_before() -> None:
    found = only(seen(lock("alpha.lock", "alpha.lock.lists.83.0"), processes={83: running()}))
    assert found.verdict is Verdict.HELD
    assert not removable(found)
    assert refusal(found) == (
        "process 83 on lists runs and holds it since 05:28 UTC"
        " (python2.7 /usr/lib/mailman/bin/withlist -l alpha): wait for it,"
        " or end that process first (sudo kill 83)"
    )
    with pytest.raises(ValueError, match="runs and holds it"):
        found.order()


@pytest.mark.parametrize(
    ("later", "verdict"),
    [
        (-NS, Verdict.HELD),
        (0, Verdict.HELD),
        (SLACK_NS, Verdict.HELD),
        (SLACK_NS + 20_000_000, Verdict.STALE),
        (100 * NS, Verdict.STALE),
    ],
)
def test_a_process_that_started_later_has_the_id_by_reuse(later: int, verdict: Verdict) -> None:
    process = running(TAKEN + later, command="nginx: worker")
    found = only(seen(lock("alpha.lock", "alpha.lock.lists.83.0"), processes={83: process}))
    assert found.verdict is verdict
    if verdict is Verdict.STALE:
        assert found.order()["processes"] == [[83, ticks(TAKEN + later)]]
        assert "the id 83 is now that of a process that started 05:" in describe(found)


def test_a_file_system_that_keeps_whole_seconds() -> None:
    whole = TAKEN - TAKEN % NS
    files = lock("alpha.lock", "alpha.lock.lists.83.0", ctime_ns=whole)

    def judge(later: int) -> Verdict:
        return only(seen(files, processes={83: running(whole + later)})).verdict

    assert judge(NS - 1) is Verdict.HELD
    assert judge(NS + SLACK_NS + 20_000_000) is Verdict.STALE


@pytest.mark.parametrize("forward", [1, 60, 3600, 500_000])
def test_a_clock_that_was_set_forward_makes_no_holder_a_stranger(forward: int) -> None:
    # The start moves with the clock; the change time does not.
    observation = seen(
        lock("alpha.lock", "alpha.lock.lists.83.0"),
        processes={83: running(TAKEN - NS)},
        boot_ns=BOOT + forward * NS,
        now_ns=NOW + forward * NS,
    )
    assert not removable(only(observation))
    assert only(observation).verdict in (Verdict.HELD, Verdict.EXPIRED)
    known = dataclasses.replace(observation, made_at_start_ns=None)
    assert not removable(only(known))


def test_a_file_server_whose_clock_is_behind() -> None:
    def judge(behind: int) -> Verdict:
        files = lock("alpha.lock", "alpha.lock.lists.83.0", ctime_ns=TAKEN - behind)
        return only(seen(files, processes={83: running(TAKEN - NS)})).verdict

    assert judge(10 * NS) is Verdict.HELD
    assert judge(FILE_SERVER_NS) is Verdict.HELD
    assert judge(FILE_SERVER_NS + 1) is Verdict.STALE


@pytest.mark.parametrize(
    ("process", "verdict"),
    [
        (running(state="T"), Verdict.HELD),
        (running(state="D"), Verdict.HELD),
        (running(state="Z"), Verdict.STALE),
        (running(state="X"), Verdict.STALE),
        (running(state="Z", threads=2), Verdict.HELD),
        (running(state="Z", threads=None), Verdict.HELD),
        (running(start_ticks=None), Verdict.HELD),
        (running(NOW + 60 * NS), Verdict.HELD),
        (None, Verdict.HELD),
    ],
)
def test_states_of_the_holder(process: dict[str, Any] | None, verdict: Verdict) -> None:
    processes = {83: process} if process else {}
    found = only(seen(lock("alpha.lock", "alpha.lock.lists.83.0"), processes=processes))
    assert found.verdict is verdict


@pytest.mark.parametrize("host", ["Lists", "LISTS", "lists.example.org", "list", "web", "x.lists"])
def test_another_host_to_the_letter(host: str) -> None:
    found = only(seen(lock("alpha.lock", f"alpha.lock.{host}.83.0"), processes={83: GONE}))
    assert found.verdict is Verdict.FOREIGN
    assert f"run this on {host}" in (refusal(found) or "")
    assert describe(found) == (
        f"locked since 05:28 UTC by process 83 on {host}, which is another host"
    )


def test_expired_is_removed_only_when_stale_as_well() -> None:
    old = {"mtime_ns": NOW - NS}
    files = lock("alpha.lock", "alpha.lock.lists.83.0", **old)
    held = only(seen(files, processes={83: running()}))
    assert (held.verdict, held.expired, removable(held)) == (Verdict.EXPIRED, True, False)
    assert "Mailman's next claimant breaks the lock" in (refusal(held) or "")
    stale = only(seen(files, processes={83: GONE}))
    assert (stale.verdict, stale.expired, removable(stale)) == (Verdict.STALE, True, True)
    foreign = only(seen(lock("alpha.lock", "alpha.lock.web.83.0", **old)))
    assert (foreign.verdict, removable(foreign)) == (Verdict.FOREIGN, False)
    assert "Mailman's next claimant breaks it by itself" in (refusal(foreign) or "")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([entry("alpha.lock", 1, 1, None, type="symlink")], "not a file but a symlink"),
        ([entry("alpha.lock", 1, 2, None, type="dir")], "not a file but a dir"),
        ([entry("alpha.lock", 1, 1, "")], "its content is not a claim of it: ''"),
        ([entry("alpha.lock", 1, 1, None, trouble="9999 bytes")], "cannot be read: 9999 bytes"),
        ([entry("alpha.lock", 1, 1, "alpha.lock")], "not a claim of it"),
        ([entry("alpha.lock", 1, 1, "beta.lock.lists.83.0")], "not a claim of it"),
        ([entry("alpha.lock", 1, 1, "alpha.lock.lists.83.0\n")], "not text"),
        ([entry("alpha.lock", 1, 1, "x", content_exact=False)], "not text"),
        ([entry("alpha.lock", 1, 1, "alpha.lock.web.83.0")], "is not there"),
        ([entry("alpha.lock", 1, 2, "alpha.lock.lists.83.0")], "is not there"),
        (
            [
                *lock("alpha.lock", "alpha.lock.lists.83.0", nlink=3),
                entry("alpha.lock.lists.83.0.bak", 7, 3, "alpha.lock.lists.83.0"),
            ],
            "has 3 names",
        ),
        (lock("alpha.lock", "alpha.lock.lists.83.0", nlink=1), "has 1 names"),
        (lock("alpha.lock", "alpha.lock.lists.83.0", nlink=3), "has 3 names"),
        (
            [*lock("alpha.lock", "alpha.lock.lists.83.0"), entry("x.lock", 7, 2, "")],
            "has 3 names instead of 2",
        ),
        (
            [
                entry("alpha.lock", 1, 2, "alpha.lock.lists.83.0"),
                entry("alpha.lock.lists.84.0", 1, 2, "alpha.lock.lists.83.0"),
                entry("alpha.lock.lists.83.0", 2, 1, "alpha.lock.lists.83.0"),
            ],
            "its claim alpha.lock.lists.83.0 is another file",
        ),
    ],
)
def test_malformed_locks_are_shown_and_never_removed(
    files: list[dict[str, Any]], reason: str
) -> None:
    found = find(examine(seen(files, processes={83: GONE})), "alpha")
    assert found is not None
    assert found.verdict is Verdict.MALFORMED
    assert reason in describe(found)
    assert reason in (refusal(found) or "")
    assert not removable(found)
    assert found.blocks


def test_a_lock_that_still_says_whose_it_is_goes_with_that_process() -> None:
    files = [entry("alpha.lock", 1, 1, "alpha.lock.lists.83.0")]
    found = only(seen(files, processes={83: GONE}))
    assert (found.verdict, found.blocks) == (Verdict.MALFORMED, True)
    assert found.order()["files"] == ["alpha.lock"]
    assert found.order()["processes"] == [[83, None]]
    assert describe(found) == (
        "not a lock as Mailman makes them: its claim alpha.lock.lists.83.0 is not there;"
        " process 83 on lists, which it names, no longer runs"
    )
    kept = only(seen(files, processes={83: running()}))
    assert not removable(kept)
    assert "process 83 runs: it started before the lock was taken" in (refusal(kept) or "")


def test_a_lock_with_two_claims_of_one_process() -> None:
    files = [
        *lock("alpha.lock", "alpha.lock.lists.83.0", nlink=3),
        entry("alpha.lock.lists.83.1", 7, 3, f"{FOLDER}/alpha.lock.lists.83.0"),
    ]
    found = only(seen(files, processes={83: GONE}))
    assert found.verdict is Verdict.MALFORMED
    assert set(found.order()["files"]) == {one["name"] for one in files}  # type: ignore[arg-type]
    assert not removable(only(seen(files, processes={83: running()})))


def test_a_claim_that_is_another_file_than_the_lock() -> None:
    files = [
        entry("alpha.lock", 1, 1, "alpha.lock.lists.83.0"),
        entry("alpha.lock.lists.83.0", 2, 1, "alpha.lock.lists.83.0"),
    ]
    found = examine(seen(files, processes={83: GONE}))
    assert [one.verdict for one in found] == [Verdict.MALFORMED, Verdict.MALFORMED]
    assert [one.order()["files"] for one in found] == [["alpha.lock"], ["alpha.lock.lists.83.0"]]
    assert found[1].reason == "alpha.lock names it, and is another file"
    found = examine(seen(files, processes={83: running()}))
    assert [one.verdict for one in found] == [Verdict.MALFORMED]
    assert [one.claim.pid for one in found[0].waiters] == [83]


@pytest.mark.parametrize(
    "changes",
    [
        # Another name of it is not seen, so it cannot be known whose that is.
        {"nlink": 2},
        {"type": "symlink"},
        {"content": None, "trouble": "Permission denied"},
    ],
)
def test_the_claim_of_a_lock_that_is_refused_is_the_evidence_and_stays(
    changes: dict[str, Any],
) -> None:
    files = [
        {**entry("alpha.lock", 1, 1, "alpha.lock.lists.83.0"), **changes},
        entry("alpha.lock.lists.83.0", 2, 1, "alpha.lock.lists.83.0"),
        entry("beta.lock.lists.83.0", 3, 1, "beta.lock.lists.83.0"),
    ]
    found = examine(seen(files, processes={83: GONE}))
    assert [one.verdict for one in found] == [
        Verdict.MALFORMED,
        Verdict.MALFORMED,
        Verdict.DEBRIS,
    ]
    assert [removable(one) for one in found] == [False, False, True]
    assert found[1].reason.startswith("alpha.lock ")
    assert [one.blocks for one in found] == [True, False, False]


def test_what_blocks_a_list_until_somebody_sees_to_it() -> None:
    files = lock("alpha.lock", "alpha.lock.lists.83.0")

    def blocks(*some: dict[str, Any], process: dict[str, Any]) -> list[bool]:
        return [one.blocks for one in examine(seen([*some], processes={83: process}))]

    assert blocks(*files, process=running()) == [False]
    assert blocks(*files, process=running(state="T")) == [True]
    assert blocks(*files, process=GONE) == [True]
    assert blocks(*lock("alpha.lock", "alpha.lock.web.83.0"), process=GONE) == [True]
    assert blocks(entry("alpha.lock", 1, 1, ""), process=GONE) == [True]
    # As seen between two steps of a process that takes it, or lets go of it.
    for nlink in (1, 2, 3):
        between = entry("alpha.lock", 1, nlink, "alpha.lock.lists.83.0")
        assert blocks(between, process=running()) == [False]
        assert blocks(between, process=GONE) == [True]
    # Mailman breaks it by itself; a claim holds nobody up, and a file of another name neither.
    assert blocks(
        *lock("alpha.lock", "alpha.lock.lists.83.0", mtime_ns=NOW - NS), process=running()
    ) == [False]
    assert blocks(*waiting("alpha.lock.lists.83.0"), process=GONE) == [False]
    assert blocks(*waiting("alpha.lock.web.83.0"), process=GONE) == [False]
    assert blocks(entry("README", 1, 1, ""), process=GONE) == [False]


def test_a_holder_that_is_stopped_is_said_to_be() -> None:
    def judge(**changes: Any) -> Lock:
        process = {**running(state="T"), **changes}
        return only(seen(lock("alpha.lock", "alpha.lock.lists.83.0"), processes={83: process}))

    found = judge(terminal="pts/3")
    assert found.verdict is Verdict.HELD
    assert describe(found) == (
        "locked since 05:28 UTC by process 83 on lists, which is stopped (Ctrl-Z)"
        " (python2.7 /usr/lib/mailman/bin/withlist -l alpha)"
    )
    assert refusal(found) == (
        "process 83 is stopped, as by Ctrl-Z: fg in the shell that started it (terminal pts/3)"
        " lets it go on; sudo kill -KILL 83 ends it, and leaves a stale lock"
    )
    assert "sudo kill -CONT 83 lets it go on" in (refusal(judge()) or "")
    assert "stopped" not in describe(judge(state="S"))
    # strace stops a process for moments at a time.
    assert "stopped" not in describe(judge(state="t"))


def test_a_host_that_no_longer_exists() -> None:
    files = [
        *lock("alpha.lock", "alpha.lock.web.83.0"),
        *lock("beta.lock", "beta.lock.elsewhere.83.0", 8),
        *waiting("alpha.lock.web.84.0"),
        *waiting("gamma.lock.web.85.0", 10),
    ]
    observation = seen(files, processes={83: GONE, 84: GONE, 85: GONE})
    assert not any(removable(one) for one in examine(observation))
    found = examine(observation, "web")
    assert [(one.name, one.verdict, removable(one)) for one in found] == [
        ("alpha.lock", Verdict.FOREIGN, True),
        ("beta.lock", Verdict.FOREIGN, False),
        ("alpha.lock", Verdict.FOREIGN, True),
        ("gamma.lock", Verdict.FOREIGN, True),
    ]
    assert found[0].order()["gone"] == found[0].order()["host"] == "web"
    assert "no process has the id 83" in found[0].evidence
    assert found[2].order()["files"] == ["alpha.lock.web.84.0"]
    assert "clear-lock --gone elsewhere removes it" in (refusal(found[1]) or "")


def test_a_host_that_is_said_to_be_gone_may_have_been_this_one() -> None:
    files = lock("alpha.lock", "alpha.lock.oldlists.83.0")
    renamed = only_of(seen(files, processes={83: running()}), "oldlists")
    assert not removable(renamed)
    assert refusal(renamed) == (
        "oldlists may have been this host, or a container on it, and the process may run: process"
        " 83 (python2.7 /usr/lib/mailman/bin/withlist -l alpha): it started before the lock was"
        " taken"
    )
    in_container = seen(
        files,
        processes={83: GONE},
        namesakes={"83": [{**running(), "pid": 5000, "sees_folder": True}]},
    )
    assert "process 5000 here is 83 in its container" in (
        refusal(only_of(in_container, "oldlists")) or ""
    )
    reused = only_of(seen(files, processes={83: running(TAKEN + 100 * NS)}), "oldlists")
    assert removable(reused)
    assert reused.order()["processes"] == [[83, ticks(TAKEN + 100 * NS)]]
    wanted = seen(waiting("alpha.lock.oldlists.83.0"), processes={83: running()})
    assert not removable(only_of(wanted, "oldlists"))


def only_of(observation: Observation, gone: str) -> Lock:
    [found] = examine(observation, gone)
    return found


def test_a_restored_folder_of_a_host_that_no_longer_exists() -> None:
    files = [
        entry("alpha.lock", 1, 1, "alpha.lock.web.83.0"),
        entry("alpha.lock.web.83.0", 2, 1, "alpha.lock.web.83.0"),
    ]
    observation = seen(files, processes={83: GONE})
    assert not any(removable(one) for one in examine(observation))
    found = examine(observation, "web")
    assert [one.verdict for one in found] == [Verdict.MALFORMED, Verdict.MALFORMED]
    assert all(removable(one) for one in found)


def test_who_waits_and_what_was_left_behind() -> None:
    observation = seen(
        lock("alpha.lock", "alpha.lock.lists.83.0"),
        waiting("alpha.lock.lists.90.0", 10, ctime_ns=TAKEN + 2 * NS),
        waiting("alpha.lock.lists.91.0", 11, ctime_ns=TAKEN + NS),
        waiting("alpha.lock.lists.92.0", 12),
        waiting("alpha.lock.web.93.0", 13, ctime_ns=TAKEN + 3 * NS),
        waiting("beta.lock.lists.94.0", 14),
        processes={83: GONE, 90: running(), 91: running(), 92: GONE, 94: running()},
    )
    found = examine(observation)
    assert [(one.name, one.verdict) for one in found] == [
        ("alpha.lock", Verdict.STALE),
        ("alpha.lock", Verdict.DEBRIS),
        ("beta.lock", Verdict.WAITING),
    ]
    assert [waiter.claim.pid for waiter in found[0].waiters] == [91, 90, 93]
    assert find(found, "alpha") is found[0]
    assert find(found, "beta") is None
    assert left_behind(found, "alpha") == [found[1]]
    assert left_behind(found, "beta") == []
    debris = found[1]
    assert removable(debris)
    assert debris.order()["files"] == ["alpha.lock.lists.92.0"]
    assert (
        describe(debris) == "left behind at 05:28 UTC by process 92 on lists, which no longer runs"
    )
    assert not removable(found[2])
    assert describe(found[2]).startswith(
        "wanted since 05:28 UTC by process 94 on lists, which runs"
    )


def test_lists_of_similar_names_have_their_own_waiters() -> None:
    observation = seen(
        lock("alpha.lock", "alpha.lock.lists.83.0", 1),
        lock("alpha.lock.lock", "alpha.lock.lock.lists.84.0", 2),
        processes={83: GONE, 84: running()},
    )
    alpha, beside = examine(observation)
    assert (alpha.list, alpha.verdict) == ("alpha", Verdict.STALE)
    assert (beside.list, beside.verdict) == ("alpha.lock", Verdict.HELD)
    assert find([alpha, beside], "alpha.lock") is beside


def test_a_claim_whose_host_may_be_another_is_left_alone() -> None:
    observation = seen(waiting("alpha.lock.lock.lists.83.0"), processes={83: GONE})
    found = only(observation)
    assert found.verdict is Verdict.MALFORMED
    assert "its host may be lists or lock.lists" in found.reason


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        ("", Verdict.DEBRIS),
        ("alpha.lock.lists.84.0", Verdict.DEBRIS),
        ("alpha.lock.lists.85.0", Verdict.WAITING),
        ("alpha.lock.web.84.0", Verdict.MALFORMED),
        ("beta.lock.lists.84.0", Verdict.MALFORMED),
        ("alpha.lock.lists.83", Verdict.DEBRIS),
        ("alpha.loc", Verdict.MALFORMED),
    ],
)
def test_contents_of_claims_without_a_lock(content: str, verdict: Verdict) -> None:
    files = [entry("alpha.lock.lists.83.0", 1, 1, content)]
    found = only(seen(files, processes={83: GONE, 84: GONE, 85: running()}))
    assert found.verdict is verdict
    if content.endswith("84.0") and verdict is Verdict.DEBRIS:
        assert found.order()["processes"] == [[83, None], [84, None]]


def test_a_claim_whose_file_has_a_name_that_is_not_seen_is_left_alone() -> None:
    found = only(seen(waiting("alpha.lock.lists.83.0", nlink=2), processes={83: GONE}))
    assert found.verdict is Verdict.MALFORMED
    assert found.reason == "its file has 2 names"


def test_what_an_interrupted_removal_leaves_is_one_piece_of_debris() -> None:
    content = f"{FOLDER}/alpha.lock.lists.83.0"
    files = [
        entry(name, 1, 2, content) for name in ("alpha.lock.lists.83.0", "alpha.lock.lists.99.0")
    ]
    found = only(seen(files, processes={83: GONE, 99: GONE}))
    assert found.verdict is Verdict.DEBRIS
    assert found.files == ("alpha.lock.lists.83.0", "alpha.lock.lists.99.0")
    assert found.order()["processes"] == [[83, None], [99, None]]
    busy = examine(seen(files, processes={83: GONE, 99: running()}))
    assert not any(removable(one) for one in busy)
    elsewhere = [*files, entry("alpha.lock.web.5.0", 1, 2, content)]
    kept = examine(seen(elsewhere, processes={83: GONE, 99: GONE}))
    assert not any(removable(one) for one in kept)


@pytest.mark.parametrize(
    ("namesake", "verdict"),
    [
        ({"sees_folder": True}, Verdict.HELD),
        ({"sees_folder": True, "uid": 1}, Verdict.HELD),
        ({"sees_folder": None}, Verdict.HELD),
        ({"sees_folder": None, "uid": 1}, Verdict.STALE),
        ({"sees_folder": True, "start_ticks": ticks(NOW)}, Verdict.STALE),
    ],
)
def test_a_process_in_a_container_that_has_the_id_there(
    namesake: dict[str, Any], verdict: Verdict
) -> None:
    found = only(
        seen(
            lock("alpha.lock", "alpha.lock.lists.83.0"),
            processes={83: GONE},
            namesakes={"83": [{**running(), "pid": 5000, **namesake}]},
        )
    )
    assert found.verdict is verdict
    if verdict is Verdict.HELD:
        assert found.reason == "process 5000 here is 83 in its container"


def test_mailmanctls_lock() -> None:
    files = lock(MASTER, "master-qrunner.lists.83")
    ctl = {**running(), "pid": 83}
    held = only(seen(files, processes={83: running()}, mailmanctl=[ctl]))
    assert (held.verdict, held.list) == (Verdict.HELD, None)
    assert "mailmanctl stop ends it" in (refusal(held) or "")
    stale = only(seen(files, processes={83: GONE}))
    assert removable(stale)
    other = only(seen(files, processes={83: GONE}, mailmanctl=[{**ctl, "pid": 99}]))
    assert other.verdict is Verdict.STALE
    assert refusal(other) == (
        "mailmanctl runs (process 99), for this site or another:"
        " mailmanctl -s start for this site removes the lock and starts it"
    )
    assert find([other], MASTER) is other


def test_runners_that_outlived_mailmanctl() -> None:
    files = lock(MASTER, "master-qrunner.lists.83")
    qrunner = "python2.7 /usr/lib/mailman/bin/qrunner"
    left = [
        {**running(command=f"{qrunner} --runner=ArchRunner:0:1 -s"), "pid": 84},
        {**running(command=f"{qrunner} -r All"), "pid": 85},
    ]
    ctl = [{**running(), "pid": 99}]
    for observation in (
        seen(files, processes={83: GONE}, orphans=left),
        seen(files, processes={83: GONE}, orphans=left, mailmanctl=ctl),
    ):
        found = only(observation)
        assert found.verdict is Verdict.STALE
        assert refusal(found) == (
            "queue runners of a mailmanctl that is gone still work (ArchRunner 84, qrunner 85); a"
            " new mailmanctl would start a second set beside them: end them first (sudo kill 84"
            " 85), and run this again when they have ended"
        )
    # A host that is gone leaves none here; but who is to say that they are not of this site?
    foreign = seen(lock(MASTER, "master-qrunner.web.83"), processes={83: GONE}, orphans=left[:1])
    assert "sudo kill 84" in (refusal(only_of(foreign, "web")) or "")
    other = seen(lock(MASTER, "master-qrunner.web.83"), processes={83: GONE}, mailmanctl=ctl)
    assert "mailmanctl stop" in (refusal(only_of(other, "web")) or "")
    # What a dead process only wanted holds nobody up, whoever runs.
    debris = only(seen(waiting("master-qrunner.lists.83"), processes={83: GONE}, mailmanctl=ctl))
    assert (debris.verdict, removable(debris)) == (Verdict.DEBRIS, True)


def test_a_lock_of_another_name_is_known_by_its_content() -> None:
    found = examine(
        seen(
            lock("creator", "creator.lists.83.0"),
            waiting("creator.lists.90.0"),
            waiting("README", 20),
            processes={83: GONE, 90: running()},
        )
    )
    assert [(one.name, one.verdict) for one in found] == [
        ("creator", Verdict.STALE),
        ("README", Verdict.MALFORMED),
    ]
    assert [waiter.claim.pid for waiter in found[0].waiters] == [90]


def test_times_are_the_hosts() -> None:
    observation = seen(lock("alpha.lock", "alpha.lock.lists.83.0"), utc_offset=-6 * 3600)
    assert observation.time(NOW) == "23:30 -0600"
    assert observation.time(NOW + 1800 * NS) == "2026-03-04 00:00 -0600"
    assert observation.time(-(10**9) * NS) == "1938-04-24 16:13 -0600"


def test_evidence_and_json() -> None:
    found = only(
        seen(
            lock("alpha.lock", "alpha.lock.lists.83.0"),
            waiting("alpha.lock.lists.90.0"),
            processes={83: GONE, 90: running()},
        )
    )
    assert found.evidence == (
        "alpha.lock and alpha.lock.lists.83.0 in /var/lib/mailman/locks",
        "inode 7, link count 2, taken 05:28 UTC, expires 10:28 UTC",
        "no process has the id 83",
        "process 90 on lists waits since 05:28 UTC",
    )
    told = found.as_json()
    assert (told["lock"], told["list"], told["verdict"]) == ("alpha.lock", "alpha", "stale")
    assert told["removable"] is True
    assert told["holder"] == {"host": "lists", "pid": 83, "command": None, "stopped": False}
    assert told["waiters"] == [{"host": "lists", "pid": 90, "since": TAKEN / NS}]


def test_evidence_of_what_is_no_lock_has_its_content() -> None:
    files = lock("alpha.lock", "alpha.lock.lists.83.0", nlink=1)
    found = only(seen(files, processes={83: GONE}))
    assert found.verdict is Verdict.MALFORMED
    assert found.evidence[-2:] == (
        f"{len(FOLDER) + 22} bytes: {FOLDER}/alpha.lock.lists.83.0",
        found.reason,
    )


def test_nothing_from_the_host_reaches_the_terminal_raw() -> None:
    assert printable("a\x1b[31m\n\u202eb\udcff") == "a\\x1b[31m\\n\\u202eb\\udcff"
    assert len(printable("x" * 10_000)) == 300
    process = running(command="evil\x1b]0;x\x07" + "y" * 5000)
    found = only(seen(lock("alpha.lock", "alpha.lock.lists.83.0"), processes={83: process}))
    for text in (describe(found), refusal(found) or "", *found.evidence):
        assert text.isprintable()
