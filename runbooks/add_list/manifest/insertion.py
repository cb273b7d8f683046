"""The mailing lists of a Puppet manifest: which ones it has, and the text with one more.

Reads the `maillist` resources of Puppet's own type and the `mailman_list` resources of hosts with
several sites (`mailman_list { 'openstack-foo@openstack': require => Mailman::Site['openstack'] …`).
Text in, text out: nothing here opens a file or asks Puppet.

Where a new list goes:

* into the class (or node, or top level) that has the lists of its kind; with several sites, the
  lists of its own site. When two classes have some, the caller names the class;
* behind its alphabetical neighbour when three or more lists are there and in order, otherwise
  behind the last one. The site list `mailman` takes no part in the order;
* never into a condition, a loop, a defined type or between `->` arrows.

How it looks: like the nearest list that is present, written alone in its resource and without
comments inside: type name, indentation, spacing, line breaks, alignment of the arrows, trailing
comma, kind of quotes, line ends. Its attributes are that neighbour's, in its order: `password`,
`webserver`, `mailserver`, `provider` and `require` as they are written there, any other only when
every list around has it in the same words. A password that is written out in a neighbour is never
repeated: `$listpassword` is used. A class without a list gets the form of the documentation.

Every result is read again before it is handed out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from runbooks.add_list.manifest.language import Kind, NotUnderstood, Token, line_of, quote
from runbooks.add_list.manifest.lists import (
    MAILLIST,
    MAILMAN_LIST,
    Attribute,
    Block,
    Body,
    MailList,
    Note,
    Reading,
    Resource,
    Value,
)
from runbooks.add_list.manifest.lists import read as read_lists
from runbooks.errors import BadInputError

__all__ = [
    "Insertion",
    "ListInManifest",
    "MailList",
    "Manifest",
    "NotUnderstood",
    "Note",
    "Value",
    "read",
]

# The order of the documentation's example; `require` first, as the manifests of several sites do.
_ORDER = (
    "require",
    "ensure",
    "admin",
    "password",
    "description",
    "webserver",
    "mailserver",
)
_COPIED = {"password", "webserver", "mailserver", "provider"}
_HOSTS = {"webserver", "mailserver"}
_NAMING = {"name", "alias"}
_PRESENT = Value("present", "present")


class ListInManifest(BadInputError):
    """The manifest has a list of that name already, perhaps in another case."""


@dataclass(frozen=True)
class Insertion:
    """What to insert, and the character offset to insert it at. `line` is its first line."""

    offset: int
    text: str
    line: int


@dataclass(frozen=True)
class Manifest:
    """A manifest that was understood. `lists` are in the order of the text.

    `notes` name what may declare or change lists without being read: computed titles,
    `create_resources`, collectors, overrides, defaults. `sites` are the sites that the manifest
    declares or has lists of.
    """

    reading: Reading = field(repr=False)

    @property
    def text(self) -> str:
        """The manifest as it was read."""
        return self.reading.source.text

    @property
    def lists(self) -> tuple[MailList, ...]:
        """The lists that the manifest declares under literal titles."""
        return self.reading.lists

    @property
    def notes(self) -> tuple[Note, ...]:
        """What may declare or change lists and is not read, in the order of the text."""
        return self.reading.notes

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that the manifest declares or has lists of, in alphabetical order."""
        sites = {entry.site for entry in self.lists if entry.site is not None}
        return tuple(sorted(sites | self.reading.declared_sites))

    def find(self, name: str, site: str | None = None) -> MailList | None:
        """The list of that name on that site, without regard to case, as Mailman sees names."""
        for entry in self.lists:
            if entry.name.lower() == name.lower() and entry.site == site:
                return entry
        return None

    def insertion(
        self,
        name: str,
        *,
        admin: str,
        description: str,
        site: str | None = None,
        class_name: str | None = None,
    ) -> Insertion:
        """The text that declares list `name`, and its place.

        `site` is required where the manifest has lists of several sites, `class_name` (as the
        manifest writes it, nested classes as `outer::inner`) where several classes have lists of
        that kind. The values are data and are quoted here.

        Raises `ListInManifest`; `BadInputError` for a name, address or description that no
        manifest can hold, a site or a class that is missing or unknown; `NotUnderstood` where
        there is no place or no example to follow. Each in one line.
        """
        return _Adding(self, name, admin, description, site, class_name).insertion()


def read(content: bytes | str) -> Manifest:
    """Reads a manifest: the bytes of the file, or its text with its line ends as they are.

    Raises `NotUnderstood` in one line with the place: not UTF-8, a byte order mark (Puppet
    refuses one too), or a construct around lists that is not followed here.
    """
    return Manifest(read_lists(content))


@dataclass(frozen=True)
class _Layout:
    """How a resource is written; gaps are the white space between two parts of it."""

    indent: str
    type: str = MAILLIST
    before_brace: str = " "
    after_brace: str = " "
    mark: str = "'"
    before_colon: str = ""
    after_colon: str = ""
    between: str = ""
    at_end: str = ""
    aligned: bool = True
    before_arrow: str = " "
    after_arrow: str = " "
    trailing_comma: bool = True
    marks: Mapping[str, str] = field(default_factory=dict)

    def render(self, title: str, attributes: Sequence[tuple[str, str | Value]]) -> str:
        width = max(len(name) for name, _ in attributes)
        written = []
        for name, value in attributes:
            source = (
                value.source
                if isinstance(value, Value)
                else quote(value, self.marks.get(name, self.mark))
            )
            pad = " " * (width - len(name)) if self.aligned else ""
            written.append(f"{name}{pad}{self.before_arrow}=>{self.after_arrow}{source}")
        return "".join(
            (
                self.type,
                self.before_brace,
                "{",
                self.after_brace,
                quote(title, self.mark),
                self.before_colon,
                ":",
                self.after_colon,
                ("," + self.between).join(written),
                "," if self.trailing_comma else "",
                self.at_end,
                "}",
            )
        )


@dataclass(frozen=True)
class _Example:
    """The list that the new one takes its attributes from; all its titles, if it has several."""

    attributes: tuple[Attribute, ...]
    titles: frozenset[str]


class _Adding:
    """One list on its way into a manifest."""

    def __init__(
        self,
        manifest: Manifest,
        name: str,
        admin: str,
        description: str,
        site: str | None,
        class_name: str | None,
    ) -> None:
        self.manifest = manifest
        self.text = manifest.text
        self.source = manifest.reading.source
        self.tokens = manifest.reading.source.tokens
        self.name = name
        self.admin = admin
        self.description = description
        self.site = site
        self.class_name = class_name
        self.kind = MAILLIST if site is None else MAILMAN_LIST
        self.title = name if site is None else f"{name}@{site}"
        self.lists_at: dict[tuple[int, int], list[MailList]] = {}
        for entry in manifest.lists:
            self.lists_at.setdefault(entry.span, []).append(entry)

    def insertion(self) -> Insertion:
        self.check()
        block, group = self.place()
        found = self.beside(group) if group else self.at_end_of(block)
        self.read_back(found)
        return found

    def check(self) -> None:
        for what, value in (("name", self.name), ("address", self.admin)):
            if not value:
                raise BadInputError(f"the {what} of the list is empty")
        if "@" in self.name:
            raise BadInputError(f"{self.name}: a list's name has no @; the site is given apart")
        if self.site is not None and (not self.site or "@" in self.site):
            raise BadInputError(f"{self.site!r} is not the name of a site")
        for value in (self.title, self.admin, self.description):
            quote(value)
        there = self.manifest.find(self.name, self.site)
        if there is not None:
            shown = there.title if there.title == self.title else f"{there.title} ({self.title})"
            raise ListInManifest(f"line {there.line}: the manifest has the list {shown} already")

    def span(self, resource: Resource) -> tuple[int, int]:
        return self.tokens[resource.first].start, self.tokens[resource.last].end

    def lists_of(self, resource: Resource) -> list[MailList]:
        return self.lists_at.get(self.span(resource), [])

    # where

    def place(self) -> tuple[Block, list[Resource]]:
        """The block to add to, and the resources in it that the new list belongs with."""
        manifest = self.manifest
        kinds = {resource.type for resource in manifest.reading.resources}
        if self.site is None and kinds == {MAILMAN_LIST}:
            sites = ", ".join(manifest.sites)
            raise BadInputError(f"the manifest's lists belong to sites ({sites}): name the site")
        if self.site is not None and kinds == {MAILLIST}:
            raise BadInputError("the manifest's lists belong to no site: name none")
        chosen = [
            resource
            for resource in manifest.reading.resources
            if resource.type == self.kind and resource.block.plain and not resource.virtual
        ]
        own = [r for r in chosen if any(e.site == self.site for e in self.lists_of(r))]
        if self.site is not None and not own:
            self.known_site()
        chosen = own or chosen
        blocks = list(dict.fromkeys(id(r.block) for r in chosen))
        by_id = {id(block): block for block in manifest.reading.blocks}
        if self.class_name is not None:
            block = self.named_class(self.class_name)
            return block, [r for r in chosen if r.block is block]
        if len(blocks) > 1:
            names = ", ".join(str(by_id[b]) for b in blocks)
            raise BadInputError(f"the manifest has such lists in {names}: name the class")
        if blocks:
            return by_id[blocks[0]], chosen
        if kinds:
            raise NotUnderstood(
                f"line {manifest.lists[0].line if manifest.lists else 1}: no {self.kind} is "
                "declared outside of conditions and defined types, so there is no place to add one"
            )
        classes = [b for b in manifest.reading.blocks if b.kind == "class" and b.plain]
        if len(classes) == 1:
            return classes[0], []
        if classes:
            names = ", ".join(block.name for block in classes)
            raise BadInputError(
                f"the manifest has no list yet, and the classes {names}: name the class"
            )
        raise NotUnderstood("line 1: the manifest has no list, and no class to put one into")

    def named_class(self, name: str) -> Block:
        wanted = name.removeprefix("::")
        found = [
            block
            for block in self.manifest.reading.blocks
            if block.kind == "class" and block.name.removeprefix("::") == wanted
        ]
        if len(found) != 1 or not found[0].plain:
            raise BadInputError(f"the manifest has no class {name}, or not just one")
        return found[0]

    def known_site(self) -> None:
        if self.site not in self.manifest.reading.declared_sites:
            raise BadInputError(
                f"the manifest has no list of site {self.site} and no "
                f"mailman::site {{ '{self.site}': … }}: add the site first"
            )

    def beside(self, group: list[Resource]) -> Insertion:
        after = [r for r in group if self.room_after(r)]
        neighbour = self.in_order(group)
        if isinstance(neighbour, Resource) and neighbour in after:
            return self.behind(neighbour, group)
        if neighbour == "first" and self.room_before(group[0]):
            return self.in_front(group[0], group)
        if not after:
            last = self.tokens[group[-1].last]
            raise NotUnderstood(
                f"line {line_of(self.text, last.start)}: no list here ends a line of its own, so "
                "there is no place to add one"
            )
        return self.behind(after[-1], group)

    def in_order(self, group: list[Resource]) -> Resource | str | None:
        """The alphabetical neighbour before the new list, "first", or `None`: no order here."""
        named: list[tuple[str, Resource]] = []
        site_list: Resource | None = None
        for resource in group:
            lists = self.lists_of(resource)
            if len(lists) != 1:
                return None
            if lists[0].name.lower() == "mailman":
                site_list = resource
                continue
            named.append((lists[0].name.lower(), resource))
        names = [name for name, _ in named]
        if len(names) < 3 or names != sorted(names):
            return None
        smaller = [resource for name, resource in named if name < self.name.lower()]
        if smaller:
            return smaller[-1]
        if site_list is not None and site_list.first < named[0][1].first:
            return site_list
        return "first" if group[0] is named[0][1] else None

    def room_after(self, resource: Resource) -> bool:
        """Whether a new statement may begin on the line after this one's last."""
        end = self.tokens[resource.last].end
        following = self.tokens[resource.last + 1] if resource.last + 1 < len(self.tokens) else None
        line_end = self.line_end(end)
        if following is not None:
            if following.start < line_end:
                return False
            goes_on = following.kind is Kind.OPERATOR and following.text not in ("}", "@", "@@")
            if goes_on or following.is_keyword("in", "and", "or"):
                return False
        if any(start < line_end < stop for start, stop in self.source.comments):
            return False
        return not any(start == line_end for start, _ in self.source.heredocs)

    def room_before(self, resource: Resource) -> bool:
        start = self.tokens[resource.first].start
        before = self.tokens[resource.first - 1] if resource.first else None
        if self.text[self.line_start(start) : start].strip(" \t"):
            return False
        return before is None or before.is_operator("{", "}")

    def line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """Behind the line end that follows `offset`, or the end of the text."""
        return self.text.find("\n", offset) + 1 or len(self.text)

    def eol(self, near: int) -> str:
        """The line end in use around `near`."""
        end = self.text.find("\n", self.line_start(near))
        if end < 0:
            end = self.text.find("\n")
        return "\r\n" if end > 0 and self.text[end - 1] == "\r" else "\n"

    def behind(self, anchor: Resource, group: list[Resource]) -> Insertion:
        eol = self.eol(self.tokens[anchor.last].start)
        offset = self.line_end(self.tokens[anchor.last].end)
        lines = self.rendered(anchor, group, eol)
        blank = eol * self.blank_lines(anchor.block)
        if not self.text.endswith("\n", 0, offset):  # the last line, and it has no end
            return self.inserted(offset, eol + blank + lines, skipped=eol + blank)
        behind = "" if self.blank_or_closing(offset) else blank
        return self.inserted(offset, blank + lines + eol + behind, skipped=blank)

    def in_front(self, anchor: Resource, group: list[Resource]) -> Insertion:
        start = self.tokens[anchor.first].start
        eol = self.eol(start)
        offset = self.line_start(start)
        comments = {self.line_start(begin): begin for begin, _ in self.source.comments}
        while offset:
            above = self.line_start(offset - 1)
            begin = comments.get(above)
            # A comment right above the list is that list's.
            if begin is None or self.text[above:begin].strip() or self.text[begin] != "#":
                break
            offset = above
        return self.inserted(
            offset, self.rendered(anchor, group, eol) + eol + eol * self.blank_lines(anchor.block)
        )

    def inserted(self, offset: int, text: str, skipped: str = "") -> Insertion:
        return Insertion(offset, text, line_of(self.text, offset) + skipped.count("\n"))

    def blank_or_closing(self, offset: int) -> bool:
        line = self.text[offset : self.line_end(offset)].strip()
        return not line or line.startswith("}")

    def blank_lines(self, block: Block) -> int:
        """How many empty lines the lists of a block have between them, most of the time."""
        counts: Counter[int] = Counter()
        lists = [r for r in self.manifest.reading.resources if r.block is block]
        for one, other in pairwise(lists):
            start = self.line_end(self.tokens[one.last].end)
            gap = self.text[start : self.tokens[other.first].start]
            if one.last + 1 == other.first:
                counts[len([line for line in gap.split("\n")[:-1] if not line.strip()])] += 1
        return max(counts, key=lambda count: (counts[count], count)) if counts else 1

    # what

    def rendered(self, anchor: Resource, group: list[Resource], eol: str) -> str:
        example = self.example(anchor, group)
        layout = self.layout(anchor, group, eol)
        return layout.indent + layout.render(
            self.title, self.attributes(example, anchor.block, group)
        )

    def nearest(self, anchor: Resource, group: list[Resource]) -> list[Resource]:
        at = group.index(anchor)
        return [*group[at::-1], *group[at + 1 :]]

    def example(self, anchor: Resource, group: list[Resource]) -> _Example:
        """The list whose attributes the new one takes."""
        for resource in self.nearest(anchor, group):
            for body in reversed(resource.bodies):
                attributes = self.with_defaults(resource, body)
                heredoc = any(t.kind is Kind.HEREDOC for a in attributes for t in a.value)
                if body.titles and self.wanted(attributes) and not heredoc:
                    titles = {title.literal or "" for title in body.titles}
                    return _Example(attributes, frozenset(titles))
        line = line_of(self.text, self.tokens[anchor.first].start)
        raise NotUnderstood(f"line {line}: no list here can serve as an example for a new one")

    def with_defaults(self, resource: Resource, body: Body) -> tuple[Attribute, ...]:
        """The body's attributes, and those of the resource's `default:` that it does not set."""
        own = {a.name.text for a in body.attributes}
        defaults = [
            a
            for other in resource.bodies
            if len(other.title) == 1 and other.title[0].is_keyword("default")
            for a in other.attributes
            if a.name.text not in own
        ]
        return (*defaults, *body.attributes)

    def wanted(self, attributes: Sequence[Attribute]) -> bool:
        """Whether the list is to exist and says something about itself."""
        for attribute in attributes:
            if attribute.name.text == "ensure" and attribute.text in ("absent", "purged"):
                return False
        return bool(attributes)

    def attributes(
        self, example: _Example, block: Block, group: list[Resource]
    ) -> list[tuple[str, str | Value]]:
        chosen: list[tuple[str, str | Value]] = []
        shared = self.shared(group)
        spread = any(a.name.text == "*" for a in example.attributes)
        for attribute in example.attributes:
            name = attribute.name.text
            source = self.words(attribute)
            value = Value(source, attribute.text)
            if name == "admin":
                chosen.append((name, self.admin))
            elif name == "description":
                chosen.append((name, self.description))
            elif name == "password":
                chosen.append((name, self.password(attribute, example, block)))
            elif name == "require" and self.site is not None:
                chosen.append((name, self.required(attribute, example)))
            elif name in _NAMING:
                continue
            elif name in _HOSTS and self.site is not None and not self.of_site(example):
                raise NotUnderstood(
                    f"line {line_of(self.text, attribute.name.start)}: {name} is given here, and "
                    f"no list shows what it is for site {self.site}"
                )
            elif name == "ensure":  # anything but present is about that list alone
                chosen.append((name, value if value.text == "present" else _PRESENT))
            elif name in _COPIED or name == "*" or shared.get(name) == source:
                chosen.append((name, value))
        there = {name for name, _ in chosen} | self.manifest.reading.defaults[self.kind]
        if not spread and "ensure" not in there:
            self.put(chosen, "ensure", _PRESENT)
        if "admin" not in dict(chosen):
            self.put(chosen, "admin", self.admin)
        if not spread and "password" not in there:
            self.put(chosen, "password", self.variable("$listpassword", "password", block))
        if "description" not in dict(chosen):
            self.put(chosen, "description", self.description)
        return chosen

    def words(self, attribute: Attribute) -> str:
        return self.text[attribute.value[0].start : attribute.value[-1].end]

    def put(self, chosen: list[tuple[str, str | Value]], name: str, value: str | Value) -> None:
        """Adds an attribute where the documentation's example has it."""
        later = _ORDER[_ORDER.index(name) + 1 :]
        at = next((i for i, (other, _) in enumerate(chosen) if other in later), len(chosen))
        chosen.insert(at, (name, value))

    def shared(self, group: list[Resource]) -> dict[str, str]:
        """Attributes that every list here that is present has in the same words."""
        common: dict[str, str] | None = None
        for resource in group:
            for body in resource.bodies:
                attributes = self.with_defaults(resource, body)
                if not body.titles or not self.wanted(attributes):
                    continue
                own = {a.name.text: self.words(a) for a in attributes}
                common = (
                    own if common is None else {n: w for n, w in common.items() if own.get(n) == w}
                )
        return common or {}

    def of_site(self, example: _Example) -> bool:
        return any(title.partition("@")[2] == self.site for title in example.titles)

    def password(self, attribute: Attribute, example: _Example, block: Block) -> Value:
        """The neighbour's password if it is computed and not for that list, or `$listpassword`."""
        first = attribute.value[0]
        computed = (
            first.kind is Kind.VARIABLE
            or (first.kind is Kind.NAME and len(attribute.value) > 1)
            or (first.kind is Kind.STRING and first.literal is None)
        )
        names = example.titles | {title.partition("@")[0] for title in example.titles}
        if computed and not any(token.literal in names for token in attribute.value):
            return Value(self.words(attribute), None)
        return self.variable("$listpassword", "password", block)

    def variable(self, name: str, purpose: str, block: Block) -> Value:
        """A variable of the documentation's example, if the block or its parameters have it."""
        for token in self.tokens:
            inside = block.header <= token.start < block.end
            if inside and token.kind is Kind.VARIABLE and token.text == name:
                return Value(name, None)
        raise NotUnderstood(
            f"line {line_of(self.text, block.header)}: no list here shows what to use as "
            f"{purpose}, and {block} has no {name}: add the list by hand"
        )

    def required(self, attribute: Attribute, example: _Example) -> Value:
        """What a list of the new list's site requires."""
        words = self.words(attribute)
        if self.of_site(example):
            return Value(words, None)
        shape = [token.text for token in attribute.value]
        if len(shape) == 4 and shape[:2] == ["Mailman::Site", "["]:
            assert self.site is not None
            return Value(f"Mailman::Site[{quote(self.site, shape[2][0])}]", None)
        line = line_of(self.text, attribute.name.start)
        raise NotUnderstood(
            f"line {line}: require is not Mailman::Site['…'], and no list shows what a list of "
            f"site {self.site} requires"
        )

    # how it looks

    def layout(self, anchor: Resource, group: list[Resource], eol: str) -> _Layout:
        for resource in self.nearest(anchor, group):
            found = self.layout_of(resource, eol)
            if found:
                return found
        start = self.tokens[anchor.first].start
        line = self.text[self.line_start(start) : start]
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        return self.documented(indent, eol, "\t" if indent.startswith("\t") else "  ")

    def documented(self, indent: str, eol: str, step: str) -> _Layout:
        inner = eol + indent + step
        return _Layout(
            indent=indent,
            type=self.kind,
            after_colon=inner,
            between=inner,
            at_end=eol + indent,
        )

    def layout_of(self, resource: Resource, eol: str) -> _Layout | None:
        """How `resource` is written, if it is a single list, alone on its lines, uncommented."""
        tokens, text = self.tokens, self.text
        start, end = self.span(resource)
        if len(resource.bodies) != 1 or any(
            start < begin < end for begin, _ in self.source.comments
        ):
            return None
        body = resource.bodies[0]
        if len(body.title) != 1 or len(body.titles) != 1 or not self.wanted(body.attributes):
            return None
        indent = text[self.line_start(start) : start]
        if indent.strip(" \t"):
            return None
        brace, close = tokens[resource.brace], tokens[resource.last]
        attributes = body.attributes
        lasts = [a.value[-1].end for a in attributes]
        commas = [text.index(",", stop) + 1 for stop in lasts[:-1]]
        behind = body.trailing.end if body.trailing else lasts[-1]
        if text[behind : close.start].strip():  # a semicolon
            return None

        def gap(begin: int, stop: int) -> str:
            white = text[begin:stop]
            return eol + white.rpartition("\n")[2] if "\n" in white else white

        after_colon = gap(body.colon.end, attributes[0].name.start)
        if len(attributes) > 1:
            between = gap(commas[0], attributes[1].name.start)
        else:
            between = after_colon if "\n" in after_colon else " "
        pads = {text[a.name.end : a.arrow.start] for a in attributes}
        columns = {a.arrow.start - self.line_start(a.arrow.start) for a in attributes}
        # One column, or one that was meant: puppet-lint wants a single space behind the longest.
        aligned = "\n" in between and pads != {""} and (len(columns) == 1 or not pads <= {"", " "})
        after_arrow = text[attributes[0].arrow.end : attributes[0].value[0].start]
        title = body.title[0]
        return _Layout(
            indent=indent,
            type=tokens[resource.brace - 1].text,
            before_brace=gap(tokens[resource.brace - 1].end, brace.start),
            after_brace=gap(brace.end, title.start),
            mark=_mark(title),
            before_colon=gap(title.end, body.colon.start),
            after_colon=after_colon,
            between=between,
            at_end=gap(behind, close.start),
            aligned=aligned,
            before_arrow="" if "" in pads else " ",
            after_arrow=" " if "\n" in after_arrow else after_arrow,
            trailing_comma=body.trailing is not None,
            marks={a.name.text: _mark(a.value[0]) for a in attributes if a.text is not None},
        )

    def at_end_of(self, block: Block) -> Insertion:
        """The first list of a class: before its closing brace, in the documentation's form."""
        offset = self.line_start(block.end)
        outer = self.text[offset : block.end]
        opening = self.text[self.line_start(block.start) : block.start]
        if outer.strip(" \t") or offset <= block.start:
            raise NotUnderstood(
                f"line {line_of(self.text, block.end)}: {block} has no line of its own for its "
                "closing brace, so there is no place to add a list"
            )
        eol = self.eol(block.start)
        inside = [t for t in self.tokens if block.start <= t.start < block.end]
        step = "\t" if outer.startswith("\t") else "  "
        indent = opening[: len(opening) - len(opening.lstrip(" \t"))] + step
        if inside:
            line = self.text[self.line_start(inside[0].start) : inside[0].start]
            if not line.strip(" \t") and line:
                indent = line
                step = "\t" if line.startswith("\t") else (line[len(outer) :] or step)
        attributes: list[tuple[str, str | Value]] = [
            ("ensure", _PRESENT),
            ("admin", self.admin),
            ("password", self.variable("$listpassword", "password", block)),
            ("description", self.description),
        ]
        if self.site is None:
            host = self.variable("$listdomain", "host name", block)
            attributes += [("webserver", host), ("mailserver", host)]
        else:
            self.known_site()
            site = Value(f"Mailman::Site[{quote(self.site)}]", None)
            attributes.insert(0, ("require", site))
        layout = self.documented(indent, eol, step)
        above = self.text[: max(offset - 1, 0)]
        blank = "" if not inside or not above[above.rfind("\n") + 1 :].strip() else eol
        lines = indent + layout.render(self.title, attributes)
        return self.inserted(offset, blank + lines + eol, skipped=blank)

    def read_back(self, new: Insertion) -> None:
        """Raises unless the new text has the same lists, and this one with these values."""
        text = self.text[: new.offset] + new.text + self.text[new.offset :]
        after = read(text)
        stop = new.offset + len(new.text)
        added = [e for e in after.lists if new.offset <= e.span[0] and e.span[1] <= stop]
        others = [self.comparable(e) for e in after.lists if e not in added]
        right = (
            len(added) == 1
            and (added[0].title, added[0].name, added[0].site) == (self.title, self.name, self.site)
            and not added[0].conditional
            and added[0].attributes["admin"].text == self.admin
            and added[0].attributes["description"].text == self.description
            and others == [self.comparable(e) for e in self.manifest.lists]
            and [n.text for n in after.notes] == [n.text for n in self.manifest.notes]
        )
        if not right:
            raise NotUnderstood(
                f"line {new.line}: with the list added here the manifest does not read as it "
                "should; add it by hand"
            )

    @staticmethod
    def comparable(entry: MailList) -> tuple[object, ...]:
        return entry.title, entry.name, entry.site, dict(entry.attributes), entry.conditional


def _mark(token: Token) -> str:
    """The kind of quotes to follow: double ones count where single ones would have done."""
    double = token.kind is Kind.STRING and token.text[0] == '"'
    return '"' if double and "'" not in token.text and "\\" not in token.text else "'"
