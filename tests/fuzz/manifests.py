"""Manifests with mailing lists in every shape that Puppet allows, for the fuzz of `puppet.py`."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

# What goes wrong in quotes comes often; anything that UTF-8 can carry comes too.
AWKWARD = ["'", '"', "\\", "$", "{", "}", "${", "#", "/*", "*/", "\\'", "\\\\", "$listpassword"]
AWKWARD += [
    "=>",
    "@(END)",
    ";",
    ",",
    ":",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\x01",
    "é",
    "\u200c",
    "\u202e",
]
AWKWARD += [
    "\u2028",
    "\ufeff",
    "日本",
    "😀",
    " ",
    "%",
    "<%= x %>",
    "\\u0041",
    "\\n",
    "maillist { 'x':",
]

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.lists(st.one_of(st.sampled_from(AWKWARD), st.text(CHARACTERS, max_size=6)), max_size=8)
DESCRIPTIONS = TEXTS.map("".join)
ADDRESSES = st.one_of(
    st.sampled_from(["admin@example.com", "o'neil@example.com", "a+b@example.com"]),
    DESCRIPTIONS.filter(bool),
)
NAMES = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_.+=-]{0,8}", fullmatch=True),
    st.sampled_from(["Openstack-Foo", "a'b", "a\\", 'a"b', "$a", "default", "mailman-x", "éa"]),
)

LISTPASSWORD = "se'cret"
LISTDOMAIN = "lists.example.org"


@dataclass(frozen=True)
class Made:
    """A manifest, the classes to include, the classes that have lists, and its sites."""

    text: str
    classes: tuple[str, ...]
    holders: tuple[str, ...]
    sites: tuple[str, ...]


def single(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def double(value: str) -> str:
    for character in '\\"$':
        value = value.replace(character, "\\" + character)
    return '"' + value.replace("\n", "\\n").replace("\t", "\\t") + '"'


# Written by hand in a manifest: a bare carriage return in code is the one thing never written.
WRITTEN = DESCRIPTIONS.filter(lambda text: "\r" not in text)
LITERALS = st.one_of(WRITTEN.map(single), WRITTEN.map(double))


@dataclass(frozen=True)
class Style:
    step: str
    quote: str
    arrows: str
    brace: str
    comma: bool
    one_line: bool


STYLES = st.builds(
    Style,
    step=st.sampled_from(["  ", "    ", "\t"]),
    quote=st.sampled_from(["'", "'", '"']),
    arrows=st.sampled_from(["aligned", "aligned", "single", "ragged", "none"]),
    brace=st.sampled_from(["maillist { ", "maillist {", "maillist{"]),
    comma=st.booleans(),
    one_line=st.sampled_from([False, False, False, True]),
)


@st.composite
def lists(draw: st.DrawFn, style: Style, titles: list[str], site: str | None, deep: int) -> str:
    """A resource with one or more lists in it."""
    indent = style.step * deep
    brace = style.brace if site is None else style.brace.replace("maillist", "mailman_list")
    shape = draw(st.sampled_from(["one", "one", "one", "array", "bodies", "default", "bare"]))
    mark = single if style.quote == "'" else double
    if site is not None:
        titles = [f"{title}@{site}" for title in titles]

    def body(title: str, extra: str = "") -> str:
        attributes = [
            ("ensure", draw(st.sampled_from(["present", "present", "'present'"]))),
            ("admin", draw(st.one_of(st.just("'admin@example.com'"), LITERALS))),
            ("password", "$listpassword"),
            ("description", draw(LITERALS)),
        ]
        if site is not None:
            attributes.insert(0, ("require", f"Mailman::Site[{mark(site)}]"))
        else:
            attributes += [("webserver", "$listdomain"), ("mailserver", "$listdomain")]
        if draw(st.booleans()):
            nested = "{ 'a' => [1, { b => '}' }], 'c' => 4 ? { 4 => 'y', default => '{' } }"
            more = [("tag", "'one'"), ("tag", "['a', 'b']"), ("audit", nested)]
            attributes.append(draw(st.sampled_from(more)))
        if draw(st.sampled_from([False, False, True])):
            attributes.append(("loglevel", "\"${listdomain ? { default => 'info' }}\""))
        width = max(len(name) for name, _ in attributes)
        between = ", " if style.one_line else f",\n{indent}{style.step}"
        written = []
        for name, value in attributes:
            pad = {"aligned": " " * (width - len(name) + 1), "single": " ", "none": ""}.get(
                style.arrows, " " * draw(st.integers(0, 3))
            )
            arrow = "=>" if style.arrows == "none" else "=> "
            written.append(f"{name}{pad}{arrow}{value}")
        comment = draw(st.sampled_from(["", "", "", " # it's { the \" admin"]))
        if comment and not style.one_line:
            written[0] += f",{comment}\n{indent}{style.step}loglevel2 => 1".replace(
                "loglevel2", "noop"
            )
            written[0] = written[0].replace("noop => 1", "noop => false")
        first = " " if style.one_line else f"\n{indent}{style.step}"
        return f"{title}:{first}{between.join(written)}{extra}"

    end = " }" if style.one_line else f"\n{indent}}}"
    comma = "," if style.comma and not style.one_line else ""
    quoted = [mark(title) for title in titles]
    if shape == "array" and site is None:
        return f"{indent}{brace}{body('[' + ', '.join(quoted) + ']', comma)}{end}"
    if shape == "bodies" or len(titles) > 1:
        bodies = ";\n".join(body(title) for title in quoted)
        return f"{indent}{brace}{bodies}{draw(st.sampled_from(['', ';']))}{end}"
    if shape == "default":
        return f"{indent}{brace}default: loglevel => 'info'; {body(quoted[0])}{end}"
    if shape == "bare" and titles[0].isascii() and titles[0].isalpha() and site is None:
        return f"{indent}{brace}{titles[0]}: ensure => absent }}"
    return f"{indent}{brace}{body(quoted[0], comma)}{end}"


@st.composite
def others(draw: st.DrawFn, deep: int, number: int, title: str) -> str:
    """A statement that is not a list of its own, but may look like one."""
    i = "  " * deep
    text = draw(LITERALS)
    drawn = draw(LITERALS)
    # Two resources of one title are an error to Puppet, and so is one without a title.
    named = f"{drawn[:-1]} {title}{drawn[-1]}"
    own = f"maillist {{ {single(title)}: ensure => present }}"
    return draw(
        st.sampled_from(
            [
                f"{i}# a comment with ' and \" and {{ and maillist {{ 'no': ensure => present }}",
                f"{i}/* maillist {{ 'no': }} ' \" # */ $v{number} = 1 / 2",
                f"{i}/* two\n maillist {{ 'no':\n*/",
                f"{i}$v{number} = {text}",
                f'{i}$v{number} = "${{listdomain}} # {{ ${{[1].map |$n| {{ "x${{n}}}}" }}}} b"',
                f"{i}$v{number} = @(END)\n  maillist {{ 'no': }} '\n  | END",
                f'{i}$v{number} = [@(A), @("B")]\n \'\n |- A\n " ${{listdomain}}\n |- B',
                f"{i}notify {{ {named}: message => {text}, }}",
                f"{i}if $listdomain =~ /a'b\\/[{{]/ {{ {own} }}",
                f"{i}unless $listdomain in ['x'] {{\n{i}  $w{number} = 1\n{i}}} else {{\n{i}}}",
                f"{i}if $listdomain == {{ 'a' => 1 }} {{ $u{number} = 1 }} else {{ }}",
                f"{i}case $listdomain {{ 'a', /b/: {{ {own} }} default: {{ }} }}",
                f"{i}@{own}",
                f"{i}Maillist <| title == 'no' |>",
                f"{i}Maillist {{ loglevel => 'info' }}" if number == 1 else "",
                f"{i}[{single(title)}].each |$x| {{ maillist {{ $x: ensure => present }} }}",
                f"{i}create_resources('maillist', {{ {single(title)} => {{ ensure => absent }} }})",
                f"{i}Resource['maillist'] {{ {single(title)}: ensure => present }}",
                f"{i}notify {{ 'a {title}': }} -> notify {{ 'b {title}': }}",
                f"{i}define d{number}($x = {{}}) {{ maillist {{ $title: ensure => present }} }}",
                "",
                "",
            ]
        )
    )


@st.composite
def classes(draw: st.DrawFn, name: str, titles: list[str], site: str | None) -> str:
    """A class, or the top level if it has no name, with lists of the titles in it."""
    style = draw(STYLES)
    deep = 1 if name else 0
    parts = []
    left = list(titles)
    number = 0
    while left:
        count = draw(st.sampled_from([1, 1, 1, 2]))
        own, left = left[:count], left[count:]
        parts.append(draw(lists(style, own, site, deep)))
        if draw(st.sampled_from([False, False, True])):
            number += 1
            parts.append(draw(others(deep, number, f"other-{name}-{number}")))
    for _ in range(draw(st.integers(0, 2))):
        number += 1
        at = draw(st.sampled_from([0, len(parts)]))
        parts.insert(at, draw(others(deep, number, f"other-{name}-{number}")))
    tail = draw(st.sampled_from(["", "", " # the end", " /* the end */"]))
    gap = draw(st.sampled_from(["\n\n", "\n\n", "\n"]))
    body = gap.join(part + (tail if part.endswith("}") else "") for part in parts)
    domain = f"{style.step * deep}$listdomain = '{LISTDOMAIN}'\n"
    if not name:
        return f"$listpassword = {double(LISTPASSWORD)}\n{domain}\n{body}\n"
    header = draw(
        st.sampled_from(
            [
                f"class {name}($listpassword = {double(LISTPASSWORD)}) {{\n",
                f"class {name}(\n  $listadmins = {{ 'a' => '}}' }},\n"
                f"  String $listpassword = {double(LISTPASSWORD)},\n) {{\n",
            ]
        )
    )
    return f"{header}{domain}\n{body}\n{draw(st.sampled_from(['', chr(10)]))}}}\n"


@st.composite
def manifests(draw: st.DrawFn) -> Made:
    """A whole manifest, with LF or CRLF, with or without an end of its last line."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.lower))
    if draw(st.booleans()):
        names.sort(key=str.lower)
    with_sites = draw(st.sampled_from([False, False, True]))
    sites = ("openstack", "zuul") if with_sites else ()
    declared = "".join(f"mailman::site {{ '{site}': }}\n" for site in sites)
    kinds = draw(st.sampled_from(["class", "class", "top", "two"]))
    text = draw(st.sampled_from(["", "# == Class: lists\n#\n", "/* {{{ ' */\n", "\n\n"])) + declared
    site = "openstack" if with_sites else None
    if kinds == "top":
        text += draw(classes("", names, site))
        found, holders = (), ()
    elif kinds == "class" or len(names) < 2:
        text += draw(classes("lists", names, site))
        found, holders = ("lists",), ("lists",)
    else:
        half = len(names) // 2
        other = draw(st.booleans())
        text += draw(classes("lists", names[:half], site)) + "\n"
        if other:
            text += draw(classes("other::lists", names[half:], site))
            holders = ("lists", "other::lists")
        else:
            text += "class other::lists {\n  notify { 'no': }\n}\n"
            holders = ("lists",)
        found = ("lists", "other::lists")
    if draw(st.booleans()):
        text = text.rstrip("\n")
    if draw(st.sampled_from([False, False, True])):
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return Made(text, found, holders, sites)


@dataclass(frozen=True)
class Wish:
    """A list to add."""

    name: str
    admin: str
    description: str


WISHES = st.builds(
    Wish, name=NAMES.map(lambda name: name + "-new"), admin=ADDRESSES, description=DESCRIPTIONS
)
