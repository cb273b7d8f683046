"""Any manifest, any values: one list more and not another byte changed, or a refusal."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from runbooks.add_list.manifest.insertion import ListInManifest, Manifest, NotUnderstood, read
from runbooks.add_list.manifest.language import quote, scan
from runbooks.errors import BadInputError
from tests.fuzz.manifests import DESCRIPTIONS, WISHES, Made, Wish, manifests

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def summary(manifest: Manifest) -> list[tuple[object, ...]]:
    return [
        (e.title, e.name, e.site, {n: (v.source, v.text) for n, v in e.attributes.items()})
        for e in manifest.lists
    ]


def check_added(
    before: Manifest, wish: Wish, made: Made, class_name: str | None
) -> tuple[str, dict[str, tuple[str, str | None]]]:
    """Adds the list and looks at all that may not be otherwise.

    Returns what was inserted, and the new list's attributes.
    """
    site = made.sites[0] if made.sites else None
    asked = {"admin": wish.admin, "description": wish.description, "site": site}
    new = before.insertion(wish.name, **asked, class_name=class_name)
    result = before.text[: new.offset] + new.text + before.text[new.offset :]
    after = read(result.encode())
    left = summary(after)
    for entry in summary(before):
        left.remove(entry)
    assert len(left) == 1
    title, name, found_site, attributes = left[0]
    assert (name, found_site) == (wish.name, site)
    assert title == (wish.name if site is None else f"{wish.name}@{site}")
    assert isinstance(attributes, dict)
    assert attributes["admin"][1] == wish.admin
    assert attributes["description"][1] == wish.description
    assert attributes["ensure"][1] == "present"
    return new.text, attributes


@FUZZ
@given(made=manifests(), wish=WISHES, data=st.data())
def test_one_list_more_or_a_refusal(made: Made, wish: Wish, data: st.DataObject) -> None:
    before = read(made.text.encode())
    class_name = data.draw(st.sampled_from(made.holders)) if len(made.holders) > 1 else None
    try:
        inserted, attributes = check_added(before, wish, made, class_name)
    except NotUnderstood:
        return
    assert inserted.count("\r\n") == (inserted.count("\n") if "\r\n" in made.text else 0)
    assert attributes["password"] == ("$listpassword", None)


@FUZZ
@given(made=manifests(), data=st.data())
def test_a_list_that_is_there_is_refused_in_any_case(made: Made, data: st.DataObject) -> None:
    manifest = read(made.text)
    assume(manifest.lists)
    entry = data.draw(st.sampled_from(manifest.lists))
    name = data.draw(st.sampled_from([entry.name, entry.name.upper(), entry.name.lower()]))
    if name.lower() != entry.name.lower():  # ß and its kin
        return
    with pytest.raises(ListInManifest, match="already"):
        manifest.insertion(name, admin="a@example.com", description="", site=entry.site)


@FUZZ
@given(made=manifests(), wish=WISHES, data=st.data())
def test_a_damaged_manifest_is_refused_or_served(
    made: Made, wish: Wish, data: st.DataObject
) -> None:
    """Characters taken out or put in anywhere; the error, if any, is one line with the place."""
    text = made.text
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        put = data.draw(
            st.sampled_from(
                [
                    "",
                    "'",
                    '"',
                    "{",
                    "}",
                    "\\",
                    "$",
                    "${",
                    "#",
                    "/*",
                    "@(",
                    ";",
                    ",",
                    ":",
                    "/",
                    "\n",
                    "\r",
                    "\ufeff",
                    " ",
                    "if ",
                ]
            )
        )
        text = text[:at] + put + text[at + cut :]
    try:
        manifest = read(text.encode())
        check_added(manifest, wish, made, None)
    except BadInputError as error:
        refused = str(error)
    else:
        return
    assert "\n" not in refused


@FUZZ
@given(DESCRIPTIONS, st.sampled_from(["'", '"']))
@example("\\", "'")
@example("\\'", "'")
@example("\\\n", '"')
@example("$\\{x}", '"')
def test_a_quoted_value_is_one_string_with_that_value(value: str, mark: str) -> None:
    written = quote(value, mark)
    (token,) = scan(written).tokens
    assert token.literal == value
    assert "\n" not in written
    assert "\r" not in written


def test_few_are_refused() -> None:
    """The fuzz above would also pass if everything was refused."""
    outcomes: Counter[str] = Counter()

    @settings(FUZZ, max_examples=200, derandomize=True, database=None)
    @given(made=manifests(), wish=WISHES)
    def count(made: Made, wish: Wish) -> None:
        try:
            holder = made.holders[0] if made.holders else None
            check_added(read(made.text), wish, made, holder)
            outcomes["added"] += 1
        except NotUnderstood:
            outcomes["refused"] += 1

    count()
    assert outcomes["refused"] < outcomes["added"] / 4, outcomes
