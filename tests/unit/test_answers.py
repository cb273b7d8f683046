"""What is kept of many answers, and that no list is an object while nothing is to be told of it."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

from runbooks.mailman.answers import Answer, Answers
from runbooks.mailman.events import ListEvent, Outcome


def answer(
    name: str | None, outcome: Outcome = Outcome.BANNED, site: str = "a", **said: str
) -> Answer:
    event = ListEvent(site, name or "", outcome, **said)
    return Answer(site, name, outcome, event.detail, said=event)


def test_answers_come_by_site_and_name_whatever_they_say() -> None:
    given = [
        answer("ö"),
        answer("b", did="0"),
        answer("z", site="0"),
        answer("a"),
        answer("c", Outcome.LOCKED, detail="by process 5"),
        answer("\udcff"),
        answer(None, Outcome.ERROR),
        answer("B"),
    ]
    kept = Answers(given)
    wanted = sorted(given, key=lambda one: (one.site, one.list or ""))
    assert [(one.site, one.list) for one in kept] == [(one.site, one.list) for one in wanted]
    for one, before in zip(kept, wanted, strict=True):
        assert one == replace(before, said=before.said.without_list())
    assert kept[:2] == list(kept)[:2]
    assert kept[-1] == list(kept)[-1]
    assert len(kept) == 8


def test_those_that_say_the_same_are_of_one_kind() -> None:
    kept = Answers(answer(f"list-{n}", did=str(n % 2)) for n in range(10))
    assert [(one.said.did, number) for one, number in kept.kinds] == [("0", 5), ("1", 5)]
    odd = kept.those(lambda one: one.said.did == "1")
    assert [one.list for one in odd] == [f"list-{n}" for n in (1, 3, 5, 7, 9)]
    kept.append(answer("list-0"))
    assert len(odd) == 5


def test_what_no_other_list_says_is_kept_of_each() -> None:
    kept = Answers(answer(f"list-{n:02}", detail=f"because of {n}") for n in range(50))
    assert [one.detail for one in kept] == [f"because of {n}" for n in range(50)]
    assert [one.said.detail for one in kept] == [one.detail for one in kept]


def test_explained_leaves_alone_what_needs_no_words() -> None:
    kept = Answers([answer("b"), answer("a", Outcome.LOCKED), answer("c", Outcome.LOCKED)])

    def explain(one: Answer) -> Answer:
        if one.outcome is Outcome.BANNED:
            return one
        return replace(one, help=("clear-lock", str(one.list)))

    assert [one.help for one in kept.explained(explain)] == [
        ("clear-lock", "a"),
        (),
        ("clear-lock", "c"),
    ]


def test_of_a_list_that_went_well_its_name_alone_is_kept() -> None:
    many = 10_000
    # What every answer of the kind needs is made.
    Answers([answer("first")])
    gc.collect()
    tracemalloc.start()
    try:
        kept = Answers(answer(f"list-{n:05}", did="0") for n in reversed(range(many)))
        assert sum(1 for _ in kept) == many
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The name has 10 bytes; while they are sorted for the first time, each is an object.
    assert now < 25 * many
    assert most < 110 * many
