"""What is typed once, at the top of the page: in every command, quoted, or refused."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks.add_list.rules import NOT_AN_OPTION
from runbooks.ban import entries
from runbooks.book.procedure import paste
from runbooks.book.typed import ADDRESS, HOST, LIST, with_values
from runbooks.errors import BadInputError, HostError
from runbooks.host.host import Host
from runbooks.mailman.documented import REACHED
from runbooks.mailman.installation import list_name
from runbooks.mailman.printed import COMMAND, anchor, by_command, from_elsewhere, steps_of
from runbooks.procedures import all_procedures
from runbooks.testing.page import reader
from runbooks.testing.page.pages import Page
from tests.page.view.browser import until, window

WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")

#: For each of many inputs: what the page says of it, and what the commands of some sections, or
#: of all, are then.
TYPE_EACH = """([inputs, sections]) => inputs.map(values => {
    for (const [kind, text] of Object.entries(values))
        document.getElementById(`typed-${kind}`).value = text;
    document.getElementById('typed').dispatchEvent(new Event('input'));
    const blocks = {};
    for (const pre of document.querySelectorAll(':not(.procedures) > div.command pre')) {
        const section = pre.closest('section').id;
        if (!sections || sections.includes(section))
            blocks[section] = pre.textContent.replace(/\\n$/, '');
    }
    return {said: document.getElementById('typed-said').textContent, blocks};
})"""

#: As many as are typed in one call.
TOGETHER = 200


def type_in(page, **values):
    for kind, text in values.items():
        page.locator(f"#typed-{kind}").fill(text)


def type_each(page, inputs, *sections):
    return page.evaluate(TYPE_EACH, [inputs, list(sections) or None])


def wait_for_fragment(page, fragment):
    until(page, "fragment => location.hash.slice(1) === fragment", fragment)


def blocks_at(page):
    """The commands of the page as they are now, by their sections."""
    return page.evaluate(
        """() => Object.fromEntries(
            [...document.querySelectorAll(':not(.procedures) > div.command pre')].map(
                pre => [pre.closest('section').id, pre.textContent.replace(/\\n$/, '')]))"""
    )


def blocks_of(page):
    return type_each(page, [{}])[0]["blocks"]


def copied(page, section):
    """What the copy button of a section's command puts on the clipboard."""
    page.evaluate("navigator.clipboard.writeText('')")
    button = page.locator(f"#{section} > div.command button.copybtn")
    button.scroll_into_view_if_needed()
    button.click()
    # As soon as there is something. What was seen to be something, and not read a second time.
    return page.evaluate(
        """async () => {
            for (let tries = 0; tries < 500; tries++) {
                const text = await navigator.clipboard.readText();
                if (text) return text;
                await new Promise(done => setTimeout(done, 20));
            }
            return "";
        }"""
    )


def arguments_of(command):
    """What a shell makes of a command of runbook."""
    script = f'runbook() {{ printf "%s\\0" "$@"; }}\n{command}'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split("\0")[:-1]


def reason(make, text):
    """Why the command refuses a text; "" when it does not."""
    try:
        make(text)
    except BadInputError as e:
        return str(e)
    return ""


def printed(page):
    """The commands of a page as it was built, by their sections."""
    return {block.anchor: block.text for block in page.blocks if block.kind == "command"}


def made_for(values, sections):
    """What the procedures themselves make of such arguments."""
    found = {}
    for procedure in all_procedures():
        told = dataclasses.replace(procedure, example=with_values(procedure.example, values))
        for step in (*by_command(told), *steps_of(told)):
            text = paste(step)
            if step.command.startswith("runbook ") and values.get(HOST):
                text = text.replace(f"--host {REACHED}", f"--host {shlex.quote(values[HOST][0])}")
            if anchor(procedure, step.name) in sections:
                found.setdefault(anchor(procedure, step.name), text)
    return found


# -- what it is for ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    """A practice site, and how a command is run there from a terminal."""
    folder = tmp_path_factory.mktemp("practice") / "site"
    command = [sys.executable, "-m", "runbooks", "practice", "new", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return f"practice:{folder}"


def refusing(host, address):
    """How many lists refuse an address, and how many accept it, as read from the lists."""
    done = subprocess.run(
        [sys.executable, "-m", "runbooks", "banned", address, "--json", "--host", host],
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = [json.loads(line).get("outcome") for line in done.stdout.splitlines()]
    return outcomes.count("refuses"), outcomes.count("accepts")


@pytest.mark.parametrize(
    ("width", "victim"), [(390, "victim@example.net"), (1440, "o'brien+{x}&co@example.net")]
)
def test_what_was_typed_once_and_copied_bans_that_address(
    open_page, practice, tmp_path, width, victim
):
    page = open_page("lists.html", width)
    type_in(page, address=victim, host=practice)
    command = copied(page, "ban-command")
    assert refusing(practice, victim)[0] == 0
    answers = {r"\[y/N\] ": "y"}
    ran = reader.by_command(command, "", {"HOME": str(tmp_path)}, tmp_path, always=answers)
    refuse, accept = refusing(practice, victim)
    assert refuse >= 10, ran.text
    # One list of a practice site has a stale lock.
    assert accept <= 1, ran.text


HOSTILE = (
    *("$(id)@x.org", "o'brien@x.org", "a;b@x.org", "`id`@x.org", "a&b@x.org", '"@x.org'),
    *("a|b@x.org", "-rf@x.org", "^.*@x.org", "{a,b}@x.org", "~@x.org", "#@x.org", "!!@x.org"),
    *("<img/src=x>@x.org", "a\\@x.org", "*@x.org", "=@x.org", "a@x.org\u00ad", "a\u202e@x.org"),
)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_hostile_address_is_one_argument_or_refused(open_page, published, width):
    page = open_page("lists.html", width)
    built = printed(Page(published, "lists"))["ban-command"]
    refused = set()
    for hostile in HOSTILE:
        type_in(page, address=hostile)
        said = page.locator("#typed-said").inner_text()
        why = reason(entries.entry, hostile)
        if hostile.startswith("^"):
            assert "is a pattern, which the command alone can check" in said
        elif "," in hostile:
            assert "is not an address" in said  # its first part
        else:
            assert said == why.partition("; did you mean ")[0], hostile
        command = copied(page, "ban-command")
        if said:
            refused.add(hostile)
            assert command == built, hostile
            assert page.locator("#typed-address").get_attribute("aria-invalid") == "true"
            assert page.locator("mark.typed").count() == 1, hostile  # the one that explains it
        else:
            assert arguments_of(command) == ["ban", hostile, "--host", REACHED]
            assert hostile in shlex.split(blocks_at(page)["ban-openstack"])
    assert {"$(id)@x.org", "a;b@x.org", "`id`@x.org"} <= refused
    assert "o'brien@x.org" not in refused


# -- the same rules, the same quoting -----------------------------------------------------------

_LOCAL = "abzAZ09!#%&'*+-./=?_{}~"
_ANY = st.characters(exclude_categories=["Cn", "Cs", "Zs", "Zl", "Zp", "Cc"])
_MISCHIEF = st.sampled_from([*"\"$()[]|;:^\\`@-.*'", "\x00", "\x7f", "\x85", "ſ", "K", "é", "😀"])
_DOMAIN = st.text("ab-.9Z", max_size=12) | st.sampled_from(["x.org", "a" * 64 + ".org", "b.c" * 84])
_TEXT = (
    st.builds("{}@{}".format, st.text(_LOCAL, max_size=10), _DOMAIN)
    | st.builds("{}@x.org".format, st.text(st.sampled_from(_LOCAL) | _MISCHIEF, max_size=8))
    | st.text(_ANY | _MISCHIEF, max_size=70)
    | st.builds(
        lambda text, n: f"{text}{'a' * n}@b.org", st.text(_LOCAL, max_size=3), st.integers(240, 260)
    )
)


def _many(strategy, fits):
    return st.lists(strategy.filter(fits), min_size=TOGETHER, max_size=TOGETHER)


def _one_word(text):
    """What the page does not take apart: it may be several."""
    return bool(text) and not re.search(r"[\s,<>]|^\ufeff|\ufeff$", text)


_MANY = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)


@_MANY
@given(texts=_many(_TEXT, _one_word))
def test_an_address_is_refused_for_the_reason_of_the_command(open_page_once, texts):
    found = type_each(open_page_once, [{ADDRESS: text} for text in texts], "ban-command")
    for text, seen in zip(texts, found, strict=True):
        if text.startswith("^") and text.isascii() and text.isprintable():
            assert "is a pattern, which the command alone can check" in seen["said"]
            continue
        why = reason(entries.entry, text)
        assert seen["said"] == why.partition("; did you mean ")[0], text
        if not why:
            command = from_elsewhere(shlex.join(["runbook", "ban", text]))
            assert seen["blocks"]["ban-command"] == command


@_MANY
@given(
    texts=_many(
        st.text(_ANY | _MISCHIEF, max_size=70) | st.text("aZ9-_.+= K", max_size=205),
        lambda text: not re.search(r"[\r\n]", text),
    )
)
def test_the_name_of_a_list_is_refused_for_the_reason_of_the_command(open_page_once, texts):
    found = type_each(open_page_once, [{LIST: text} for text in texts], "clear-lock-command")
    for text, seen in zip(texts, found, strict=True):
        if not text.strip(" "):
            assert seen["said"] == ""
            continue
        why = reason(list_name, text)
        if not why and NOT_AN_OPTION.is_met_by(list_name(text)):
            why = NOT_AN_OPTION.told(text)
        assert seen["said"] == why
        if not why:
            command = from_elsewhere(f"runbook clear-lock {list_name(text)}")
            assert seen["blocks"]["clear-lock-command"] == command


_SCHEMES = ("ssh://", "docker://", "local://", "ansible://", "practice:", "", "1x://", "s-.+x://")
_ENCODED = ("%2d", "%2D", "%40", "%5b", "%00", "%0A", "%c3", "%zz", "%7F", "%24")
_HOST = st.builds(
    "{}{}{}".format,
    st.sampled_from(_SCHEMES),
    st.lists(st.sampled_from([*"ab-.@:/?#=%&2dD40 '\"$;", *_ENCODED]) | _MISCHIEF, max_size=9).map(
        "".join
    ),
    st.sampled_from(["", "?mailman=/a b", "/x", "#y", "?x=://'"]),
)


@_MANY
@given(
    texts=_many(
        _HOST, lambda text: text.strip() == text and not re.search(r"[\r\n\ufeff]", text) and text
    )
)
def test_a_host_is_refused_for_the_reason_of_the_command(open_page_once, texts):
    found = type_each(open_page_once, [{HOST: text} for text in texts], "clear-lock-command")
    for text, seen in zip(texts, found, strict=True):
        if "has brackets, which the command alone can check" in seen["said"]:
            assert re.search(r"[\[\]]", text)
            continue
        try:
            why = reason(Host, text)
        except HostError:
            why = ""  # a practice site that is not there
        assert seen["said"] == why, text
        if not why:
            host = ["runbook", "clear-lock", "openstack-foo", "--host", text]
            assert seen["blocks"]["clear-lock-command"] == shlex.join(host)


_ADDRESS = st.text("azAZ09!#%&'+-=?_{}~", min_size=1, max_size=12).map("x{}@example.org".format)
_NAME = st.text("az09_.+=-", max_size=12).map("l{}".format)
_SPEC = st.text("az'\" $&;~/", max_size=12).map("practice:/{}x".format)
_TYPED = st.fixed_dictionaries(
    {
        ADDRESS: st.lists(_ADDRESS, max_size=3, unique_by=str.lower),
        LIST: st.lists(_NAME, max_size=1),
        HOST: st.lists(_SPEC, max_size=1),
    }
)


@settings(_MANY, max_examples=10)
@given(typed=st.lists(_TYPED, min_size=30, max_size=30))
def test_every_block_is_what_the_procedure_makes_of_what_was_typed(open_page_once, typed):
    fields = [{kind: "\n".join(texts) for kind, texts in one.items()} for one in typed]
    found = type_each(open_page_once, fields)
    for one, seen in zip(typed, found, strict=True):
        assert seen["said"] == ""
        assert seen["blocks"] == made_for(one, seen["blocks"])


def test_the_commands_under_the_title_are_those_of_the_procedures(open_page):
    page = open_page("lists.html")
    type_in(page, address="o'brien@x.org", list="zuul-discuss", host="docker://ID")
    blocks = blocks_at(page)
    shown = page.locator("div.procedures pre").all_inner_texts()
    assert [text.strip() for text in shown] == [
        blocks[anchor(procedure, COMMAND)] for procedure in all_procedures()
    ]


@pytest.fixture(scope="module")
def open_page_once(browser, address):
    """The page with the procedures, for thousands of inputs."""
    context = window(browser)
    page = context.new_page()
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"{address}lists.html", wait_until="load")
    yield page
    context.close()
    assert not failures


@pytest.fixture(autouse=True)
def _start_with_nothing(request):
    if "open_page_once" in request.fixturenames:
        page = request.getfixturevalue("open_page_once")
        type_each(page, [dict.fromkeys((ADDRESS, LIST, HOST), "")], "ban-command")


# -- several ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "addresses"),
    [
        ("a@x.org\nb@x.org", ["a@x.org", "b@x.org"]),
        (" a@x.org, b@x.org ,", ["a@x.org", "b@x.org"]),
        ("a@x.org A@x.org", ["a@x.org"]),
        ("Ann O'Brien <a@x.org>\n<b@x.org>\n", ["a@x.org", "b@x.org"]),
    ],
)
def test_several_addresses_are_taken_as_they_are_pasted(open_page, typed, addresses):
    page = open_page("lists.html")
    type_in(page, address=typed)
    assert page.locator("#typed-said").inner_text() == ""
    blocks = blocks_of(page)
    assert blocks == made_for({ADDRESS: addresses}, blocks)
    wait_for_fragment(page, "?" + "&".join(f"address={one}" for one in addresses))


def test_one_that_is_bad_among_several_leaves_all_of_them_out(open_page, published):
    page = open_page("lists.html")
    type_in(page, address="a@x.org b;c@x.org d", list="zuul-discuss")
    assert page.locator("#typed-said").inner_text() == (
        "'b;c@x.org' is not an address: try target@example.com; 1 more is bad"
    )
    blocks = blocks_of(page)
    assert blocks["ban-command"] == printed(Page(published, "lists"))["ban-command"]
    assert blocks["clear-lock-command"] == from_elsewhere("runbook clear-lock zuul-discuss")


# -- the fragment, and back ---------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_a_link_brings_a_colleague_to_the_same_commands(open_page, width):
    page = open_page("lists.html", width)
    values = {ADDRESS: "o'brien+1%41@x.org", LIST: "zuul-discuss", HOST: "practice:/a b&list=c#d"}
    type_in(page, **values)
    page.evaluate("location.hash = 'ban'")
    wait_for_fragment(
        page,
        "ban?address=o%27brien%2B1%2541@x.org&list=zuul-discuss&host=practice:/a%20b%26list%3Dc%23d",
    )
    wanted = blocks_of(page)
    other = open_page("lists.html" + page.url.partition("lists.html")[2], width)
    assert blocks_of(other) == wanted
    assert arguments_of(wanted["ban-command"]) == ["ban", values[ADDRESS], "--host", values[HOST]]
    assert other.url == page.url
    box = other.locator("#ban > h2").bounding_box()
    form = other.locator("#typed").bounding_box()
    assert form["y"] + form["height"] <= box["y"] + 1 < other.viewport_size["height"]


def test_a_link_that_somebody_wrote_by_hand_is_read(open_page):
    page = open_page("lists.html#ban?address=a+b@x.org&address=c@x.org&unknown=1&address=100%")
    assert page.locator("#typed-address").input_value() == "a+b@x.org c@x.org 100%"
    assert "'100%' is not an address" in page.locator("#typed-said").inner_text()
    assert page.locator("#ban > h2").bounding_box()["y"] < 400


def test_a_link_can_do_no_more_than_typing(open_page):
    hostile = quote("<img src=x onerror=alert(1)>@x.org", safe="")
    page = open_page(f"lists.html#ban?address={hostile}&__proto__=x&host=%00")
    said = page.locator("#typed-said").inner_text()
    assert "is not a name" in said
    assert page.locator("article img").count() == 0
    assert page.locator("article mark.typed").count() == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_button_puts_the_examples_back(open_page, published, width):
    page = open_page("lists.html", width)
    button = page.get_by_role("button", name="Back to the examples")
    assert not button.is_visible()
    type_in(page, address="a@x.org", list="zuul-discuss", host="docker://ID")
    wait_for_fragment(page, "?address=a@x.org&list=zuul-discuss&host=docker://ID")
    assert blocks_of(page) != printed(Page(published, "lists"))
    button.click()
    wait_for_fragment(page, "")
    assert blocks_of(page) == printed(Page(published, "lists"))
    for kind in (ADDRESS, LIST, HOST):
        assert page.locator(f"#typed-{kind}").input_value() == ""


# -- where it is, and how it looks --------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_the_form_stays_in_sight_and_leaves_the_page_in_sight(open_page, width):
    page = open_page("lists.html", width)
    type_in(page, address="a@x.org", list="zuul-discuss", host="docker://ID")
    for section in ("ban-command", "clear-lock-troubles"):
        page.evaluate("anchor => { location.hash = anchor }", section)
        page.wait_for_timeout(300)
        assert page.evaluate("scrollY") > 500
        assert page.evaluate(
            """() => [...document.querySelectorAll('#typed [data-kind]')].every(field => {
                const {x, y, width, height} = field.getBoundingClientRect();
                return document.elementFromPoint(x + width / 2, y + height / 2) === field;
            })"""
        )
        assert page.locator("#typed").bounding_box()["height"] < page.viewport_size["height"] / 4
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth && scrollX === 0")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("hostile", ["o'brien@x.org", "a;b@x.org"])
def test_axe_finds_nothing_serious_with_something_typed(open_page, width, scheme, hostile):
    page = open_page("lists.html", width, scheme)
    type_in(page, address=hostile, list="zuul-discuss", host="docker://ID")
    faults = [
        f"{fault['impact']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
        for fault in Axe().run(page, {"include": [["#typed"], ["#ban"]]}).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert not faults


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_was_typed_is_told_from_what_was_verified(open_page, scheme):
    page = open_page("lists.html#ban-one", scheme=scheme)
    type_in(page, address="o'brien@x.org", list="zuul-discuss")
    looks = """element => {
        const {color, borderBottomStyle} = getComputedStyle(element);
        return [color, borderBottomStyle];
    }"""
    pre = page.locator("#ban-one > div.command pre")
    typed = pre.locator("mark.typed")
    assert typed.all_inner_texts() == ["zuul-discuss", "o'\"'\"'brien@x.org"]
    for mark in typed.all():
        (color, line), (around, no_line) = mark.evaluate(looks), pre.evaluate(looks)
        assert color != around
        assert (line, no_line) == ("solid", "none")


def test_without_a_script_the_page_is_as_it_was(browser, address, published):
    context = window(browser, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}lists.html#ban?address=a@x.org")
    assert not page.locator("#typed").is_visible()
    assert page.locator("mark:visible").count() == 0
    texts = page.locator("article :not(.procedures) > div.command pre").all_inner_texts()
    assert [text.rstrip("\n") for text in texts] == list(printed(Page(published, "lists")).values())
    context.close()


def test_on_paper_the_page_is_as_it_was(open_page, published):
    page = open_page("lists.html")
    type_in(page, address="a@x.org", list="zuul-discuss", host="docker://ID")
    typed = blocks_of(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")  # as a browser does
    until(page, "!document.querySelector('pre mark.typed')")
    texts = page.locator("article :not(.procedures) > div.command pre").all_inner_texts()
    assert [text.rstrip("\n") for text in texts] == list(printed(Page(published, "lists")).values())
    assert not page.locator("#typed").is_visible()
    page.emulate_media(media="screen")
    until(page, "!!document.querySelector('pre mark.typed')")
    assert blocks_of(page) == typed


def test_it_needs_no_script_or_style_within_the_page_and_sends_nothing(browser, address):
    strict = (
        "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'none';"
        " img-src 'self' data:; form-action 'none'"
    )
    context = window(browser)
    page = context.new_page()

    def serve(route):
        answer = route.fetch()
        headers = {**answer.headers, "content-security-policy": strict}
        route.fulfill(response=answer, headers=headers)

    page.route("**/*.html", serve)
    page.goto(f"{address}lists.html", wait_until="load")
    sent, broken = [], []
    page.on("request", lambda request: sent.append(request.url))
    page.on("console", lambda message: broken.append(message.text))
    type_in(page, address="o'brien@x.org", list="zuul-discuss", host="docker://ID")
    page.locator("#typed-host").press("Enter")
    wait_for_fragment(page, "?address=o%27brien@x.org&list=zuul-discuss&host=docker://ID")
    assert arguments_of(blocks_of(page)["ban-command"]) == [
        *("ban", "o'brien@x.org", "--host", "docker://ID")
    ]
    assert page.locator("pre mark.typed").first.evaluate("e => getComputedStyle(e).color") != (
        page.locator("#ban-command pre").first.evaluate("e => getComputedStyle(e).color")
    )
    # A browser asks for the icon again when the address changes, without the fragment.
    assert set(sent) <= {f"{address}_static/icon.svg"}
    assert broken == []
    assert page.evaluate("Object.keys(localStorage).concat(document.cookie || [])") == []
    context.close()
