"""The mailing lists that a Puppet manifest declares, read from its tokens.

Reads the `maillist` resources of Puppet's own type and the `mailman_list` resources of hosts with
several sites. What cannot be read but may concern lists is named in notes: a manifest is a
program, and only Puppet can run it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from runbooks.add_list.manifest.language import Kind, NotUnderstood, Source, Token, line_of, scan

MAILLIST = "maillist"
MAILMAN_LIST = "mailman_list"
SITE_TYPE = "mailman::site"

# Blocks whose statements Puppet carries out once, without a condition.
_PLAIN_BLOCKS = {"file", "class", "node"}
_BLOCK_KEYWORDS = {
    "application",
    "case",
    "class",
    "define",
    "else",
    "elsif",
    "function",
    "if",
    "node",
    "site",
    "unless",
}
# What may stand before a resource's type, besides the end of an expression.
_BEFORE_RESOURCE = ("{", "}", ";", "]", ")", "->", "~>", "<-", "<~", "=", "(", "[", ",", "=>", "|")
_OPENING = ("{", "[", "(")
_CLOSING = ("}", "]", ")")


@dataclass(frozen=True)
class Value:
    """An attribute's value: as the manifest writes it, and the text that Puppet makes of it.

    `text` is `None` where only Puppet can tell: variables, function calls, heredocs, numbers.
    """

    source: str
    text: str | None


@dataclass(frozen=True)
class Note:
    """Something that this module does not follow and that may concern lists."""

    line: int
    text: str


@dataclass(frozen=True)
class Block:
    """What is inside a pair of brackets, or the whole file.

    `kind` is file, class, node, define, code or data; `header` is where the keyword that
    belongs to it begins, `start` and `end` are what is between the brackets, in characters.
    """

    kind: str
    name: str
    header: int
    start: int
    end: int
    parent: Block | None = field(default=None, repr=False)

    @property
    def plain(self) -> bool:
        """Whether Puppet carries out its statements once and without a condition."""
        return self.kind in _PLAIN_BLOCKS and (self.parent is None or self.parent.plain)

    def __str__(self) -> str:
        return "the top level" if self.kind == "file" else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class MailList:
    """One mailing list that the manifest declares.

    `title` is the resource's title, `name` what Mailman will call the list (without `@site` or
    `@host`), `site` the site of a `mailman_list`, `None` for a `maillist`. `span` is the place of
    its whole resource statement, which it may share with others, in characters; `line` the line of
    its title. `conditional` is true unless Puppet declares it wherever its class is used: in a
    condition, a loop, a defined type, virtual or exported.
    """

    title: str
    name: str
    site: str | None
    attributes: Mapping[str, Value]
    line: int
    span: tuple[int, int]
    block: Block
    conditional: bool

    @property
    def present(self) -> bool:
        """Whether the manifest wants the list to exist."""
        ensure = self.attributes.get("ensure")
        return ensure is None or ensure.text not in ("absent", "purged")


@dataclass(frozen=True)
class Attribute:
    """One `name => value` of a resource; `text` as in `Value`. The name may be `*`."""

    name: Token
    arrow: Token
    value: tuple[Token, ...]
    text: str | None


@dataclass(frozen=True)
class Body:
    """One `title: attributes` of a resource.

    `titles` are the tokens of its literal titles; `trailing` is the comma after the last
    attribute, if there is one.
    """

    title: tuple[Token, ...]
    colon: Token
    attributes: tuple[Attribute, ...]
    titles: tuple[Token, ...]
    trailing: Token | None


@dataclass(frozen=True)
class Resource:
    """A resource statement of one of the list types.

    `first`, `brace` and `last` are the indexes of its first token (`@` of a virtual one), its
    opening and its closing brace.
    """

    type: str
    first: int
    brace: int
    last: int
    block: Block
    virtual: bool
    bodies: tuple[Body, ...]


@dataclass(frozen=True)
class Reading:
    """What was read of a manifest.

    `declared_sites` are the literal titles of `mailman::site`; `defaults` the attributes for
    which `Maillist { … }` or `Mailman_list { … }` sets a default, by type.
    """

    source: Source
    lists: tuple[MailList, ...]
    notes: tuple[Note, ...]
    resources: tuple[Resource, ...]
    blocks: tuple[Block, ...]
    declared_sites: frozenset[str]
    defaults: Mapping[str, frozenset[str]]


def read(content: bytes | str) -> Reading:
    """Reads a manifest: the bytes of the file, or its text with its line ends as they are.

    Raises `NotUnderstood`: not UTF-8, a byte order mark (Puppet refuses one too), or a construct
    around lists that is not followed here. Syntax elsewhere is not judged: that is what
    `puppet parser validate` is for.
    """
    if isinstance(content, bytes):
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise NotUnderstood(
                f"line {line}: the file is not UTF-8; Puppet reads nothing else: convert it first"
            ) from None
    else:
        text = content
    if text.startswith("\ufeff"):
        raise NotUnderstood(
            "line 1: the file begins with a byte order mark, which Puppet refuses: remove it"
        )
    return _Reader(scan(text)).reading()


@dataclass
class _Frame:
    opener: int
    kind: str
    name: str
    parent: Block | None
    header: int
    pending: int | None = None
    resource: tuple[str, int, bool] | None = None


class _Reader:
    """Walks the tokens once, keeps track of brackets, and picks out what concerns lists."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = source.tokens
        self.notes: list[Note] = []
        self.resources: list[Resource] = []
        self.blocks: list[Block] = []
        self.declared_sites: set[str] = set()
        self.partners = self.match_brackets()
        self.defaults: dict[str, set[str]] = {MAILLIST: set(), MAILMAN_LIST: set()}

    def fail(self, token: Token, what: str) -> NotUnderstood:
        return NotUnderstood(f"line {self.line(token)}: {what}")

    def line(self, token: Token) -> int:
        return line_of(self.source.text, token.start)

    def note(self, token: Token, what: str) -> None:
        self.notes.append(Note(self.line(token), what))

    def reading(self) -> Reading:
        self.walk()
        lists = [entry for resource in self.resources for entry in self.lists_of(resource)]
        return Reading(
            source=self.source,
            lists=tuple(lists),
            notes=tuple(sorted(self.notes, key=lambda note: note.line)),
            resources=tuple(self.resources),
            blocks=tuple(self.blocks),
            declared_sites=frozenset(self.declared_sites),
            defaults={kind: frozenset(names) for kind, names in self.defaults.items()},
        )

    def walk(self) -> None:
        tokens = self.tokens
        whole = Block("file", "", 0, 0, len(self.source.text))
        self.blocks.append(whole)
        frames = [_Frame(-1, "file", "", None, 0)]
        block_at = {0: whole}
        for index, token in enumerate(tokens):
            frame = frames[-1]
            if token.is_operator(*_OPENING):
                inner = self.open(index, frame, block_at[len(frames) - 1])
                frames.append(inner)
                block_at[len(frames) - 1] = Block(
                    inner.kind,
                    inner.name,
                    tokens[inner.header].start,
                    token.end,
                    tokens[self.partners[index]].start,
                    inner.parent,
                )
                self.blocks.append(block_at[len(frames) - 1])
            elif token.is_operator(*_CLOSING):
                self.settled(frame)
                frames.pop()
                if frame.resource:
                    self.resource(frame, index, block_at[len(frames) - 1])
            elif token.kind is Kind.KEYWORD and token.text in _BLOCK_KEYWORDS:
                if not self.followed_by(index, "=>", "+>", ":") and not self.preceded_by(
                    index, "."
                ):
                    self.settled(frame)
                    frame.pending = index
            elif token.kind in (Kind.NAME, Kind.TYPE):
                self.mention(index)
        self.settled(frames[-1])

    def match_brackets(self) -> dict[int, int]:
        closing = {"{": "}", "[": "]", "(": ")"}
        opened: list[int] = []
        partners: dict[int, int] = {}
        for index, token in enumerate(self.tokens):
            if token.is_operator(*_OPENING):
                opened.append(index)
            elif token.is_operator(*_CLOSING):
                if not opened:
                    raise self.fail(token, f"a {token.text} that closes nothing")
                start = opened.pop()
                if closing[self.tokens[start].text] != token.text:
                    line = self.line(self.tokens[start])
                    raise self.fail(
                        token,
                        f"a {token.text} where the {self.tokens[start].text} of line {line} "
                        "should be closed",
                    )
                partners[start] = index
        if opened:
            token = self.tokens[opened[-1]]
            raise self.fail(token, f"a {token.text} that is never closed")
        return partners

    def settled(self, frame: _Frame) -> None:
        """Raises when a keyword that begins a block was not followed by one."""
        if frame.pending is not None:
            token = self.tokens[frame.pending]
            raise self.fail(token, f"{token.text} without a block that belongs to it")

    def previous(self, index: int) -> Token | None:
        return self.tokens[index - 1] if index > 0 else None

    def following(self, index: int) -> Token | None:
        return self.tokens[index + 1] if index + 1 < len(self.tokens) else None

    def followed_by(self, index: int, *texts: str) -> bool:
        token = self.following(index)
        return token is not None and token.is_operator(*texts)

    def preceded_by(self, index: int, *texts: str) -> bool:
        token = self.previous(index)
        return token is not None and token.is_operator(*texts)

    def open(self, index: int, frame: _Frame, block: Block) -> _Frame:
        """What the bracket at `index` opens."""
        token = self.tokens[index]
        before = self.previous(index)
        data = _Frame(index, "data", "", block, index)
        if token.text != "{":
            return data
        if before is None or before.is_operator("{", ";"):
            return data
        if frame.pending is not None:
            keyword = self.tokens[frame.pending]
            if before is keyword:
                if keyword.is_keyword("class"):  # class { 'name': … }, a resource
                    frame.pending = None
                    return data
                if keyword.is_keyword("else", "site"):
                    header, frame.pending = frame.pending, None
                    kind = "code" if keyword.text == "else" else "node"
                    return _Frame(index, kind, keyword.text, block, header)
                return data  # a hash in a condition
            if _ends_value(before):
                name = self.block_name(frame.pending, index)
                header, frame.pending = frame.pending, None
                kind = keyword.text
                if kind == "class" and block.kind == "class":
                    name = f"{block.name}::{name}"
                if kind not in ("class", "node", "define"):
                    kind = "code"
                return _Frame(index, kind, name, block, header)
            if not before.is_operator("|"):
                return data
        if before.is_operator("|"):
            return _Frame(index, "code", "", block, index)
        if before.kind is Kind.NAME:
            kind = before.text.removeprefix("::")
            if kind in (MAILLIST, MAILMAN_LIST, SITE_TYPE):
                data.resource = (kind, *self.statement(index - 1))
        elif _ends_value(before) and not before.is_operator("}") and self.has_title(index):
            self.note(token, "a resource whose type is computed: it may be a list")
        return data

    def statement(self, index: int) -> tuple[int, bool]:
        """The first token of the resource whose type is at `index`; whether it is virtual."""
        before = self.previous(index)
        if before is not None and before.is_operator("@", "@@"):
            return index - 1, True
        if before is None or before.is_operator(*_BEFORE_RESOURCE) or _ends_value(before):
            return index, False
        token = self.tokens[index]
        raise self.fail(token, f"{token.text} {{ after {before.text}")

    def block_name(self, keyword: int, brace: int) -> str:
        first = self.tokens[keyword + 1]
        if self.tokens[keyword].is_keyword("class", "define"):
            return first.text
        return " ".join(self.source.text[first.start : self.tokens[brace - 1].end].split())

    def has_title(self, brace: int) -> bool:
        """Whether `{` is followed by `title:` as in a resource, not by `key =>`."""
        depth = 0
        for token in self.tokens[brace + 1 :]:
            if token.is_operator(*_OPENING):
                depth += 1
            elif token.is_operator(*_CLOSING):
                depth -= 1
                if depth < 0:
                    return False
            elif depth == 0 and token.is_operator(":"):
                return True
            elif depth == 0 and token.is_operator("=>", "+>", ";", ","):
                return False
        return False

    def mention(self, index: int) -> None:
        """Notes functions, defaults, overrides and collectors that concern lists."""
        token = self.tokens[index]
        if token.kind is Kind.TYPE:
            kind = token.text.removeprefix("::").lower()
            if kind not in (MAILLIST, MAILMAN_LIST):
                return
            if self.followed_by(index, "{"):
                self.note(token, f"defaults for every {kind}")
                self.defaults[kind] |= self.attribute_names(index + 1)
            elif self.followed_by(index, "<|", "<<|"):
                self.note(token, f"a collector that may realize or change a {kind}")
            elif self.followed_by(index, "["):
                end = self.partners[index + 1]
                if self.followed_by(end, "{"):
                    self.note(token, f"an override of a {kind}'s attributes")
            return
        function = token.text.removeprefix("::")
        if function not in ("create_resources", "ensure_resource", "ensure_resources"):
            return
        first = index + 2 if self.followed_by(index, "(") else index + 1
        argument = self.tokens[first] if first < len(self.tokens) else None
        if argument is None or self.followed_by(index, "=>", "{"):
            return
        declared = argument.literal if self.followed_by(first, ",") else None
        if declared is None or declared.removeprefix("::").lower() in (MAILLIST, MAILMAN_LIST):
            self.note(token, f"{function} may declare lists that are not read here")

    def attribute_names(self, brace: int) -> set[str]:
        end = self.partners[brace]
        return {
            token.text
            for index, token in enumerate(self.tokens[brace + 1 : end], brace + 1)
            if self.followed_by(index, "=>")
        }

    def resource(self, frame: _Frame, close: int, block: Block) -> None:
        assert frame.resource
        kind, first, virtual = frame.resource
        parts = self.split(frame.opener + 1, close, ";")
        bodies: list[Body] = []
        for start, end in parts:
            if start == end:
                if bodies and end == close:
                    continue  # a semicolon after the last body
                raise self.fail(self.tokens[close], f"a {kind} without a title")
            bodies.append(self.body(kind, start, end))
        if kind == SITE_TYPE:
            for body in bodies:
                self.declared_sites |= {t.literal for t in body.titles if t.literal is not None}
            return
        self.resources.append(
            Resource(kind, first, frame.opener, close, block, virtual, tuple(bodies))
        )

    def split(self, start: int, end: int, mark: str) -> list[tuple[int, int]]:
        """The stretches of tokens between `mark`s that are not inside brackets."""
        parts: list[tuple[int, int]] = []
        depth = 0
        begin = start
        for index in range(start, end):
            token = self.tokens[index]
            if token.is_operator(*_OPENING):
                depth += 1
            elif token.is_operator(*_CLOSING):
                depth -= 1
            elif depth == 0 and token.is_operator(mark):
                parts.append((begin, index))
                begin = index + 1
        parts.append((begin, end))
        return parts

    def body(self, kind: str, start: int, end: int) -> Body:
        tokens = self.tokens
        parts = self.split(start, end, ":")
        if len(parts) != 2 or parts[0][0] == parts[0][1]:
            raise self.fail(tokens[start], f"a {kind} that is not written as title: attributes")
        title = tokens[start : parts[0][1]]
        colon = tokens[parts[0][1]]
        attributes: list[Attribute] = []
        trailing: Token | None = None
        stretches = self.split(parts[1][0], end, ",")
        for number, (first, last) in enumerate(stretches):
            if first == last:
                if number != len(stretches) - 1:
                    raise self.fail(tokens[first], f"a comma too many in the {kind}")
                trailing = tokens[first - 1] if number else None
                continue
            attributes.append(self.attribute(kind, first, last))
        seen: set[str] = set()
        for attribute in attributes:
            if attribute.name.text in seen:
                raise self.fail(attribute.name, f"{attribute.name.text} is set twice in the {kind}")
            seen.add(attribute.name.text)
        return Body(title, colon, tuple(attributes), self.titles(kind, title), trailing)

    def attribute(self, kind: str, first: int, last: int) -> Attribute:
        name, value = self.tokens[first], self.tokens[first + 2 : last]
        named = name.kind in (Kind.NAME, Kind.KEYWORD) or name.is_operator("*")
        if not named or not value or not self.followed_by(first, "=>"):
            raise self.fail(name, f"an attribute of the {kind} that is not name => value")
        depth = 0
        for before, token in pairwise(self.tokens[first + 1 : last]):
            depth += token.is_operator(*_OPENING) - token.is_operator(*_CLOSING)
            operands = before.kind is not Kind.OPERATOR and token.kind is not Kind.OPERATOR
            words = Kind.KEYWORD in (before.kind, token.kind)  # 'a' in 'b', if … else …
            if not depth and (token.is_operator("=>", ":", ";") or (operands and not words)):
                raise self.fail(token, f"a comma is missing before this, in the {kind}")
        text = value[0].literal if len(value) == 1 else None
        return Attribute(name, self.tokens[first + 1], tuple(value), text)

    def titles(self, kind: str, title: Sequence[Token]) -> tuple[Token, ...]:
        """The tokens of literal titles. Computed ones are noted, `default` has none."""
        first = title[0]
        if len(title) == 1:
            if first.is_keyword("default"):
                return ()
            if first.literal is not None:
                return (first,)
        elif first.is_operator("[") and title[-1].is_operator("]"):
            titles = title[1:-1]
            items = [t for t in titles if not t.is_operator(",")]
            if all(t.literal is not None for t in items):
                return tuple(items)
        if kind != SITE_TYPE:
            shown = " ".join(self.source.text[first.start : title[-1].end].split())
            self.note(first, f"a {kind} whose title is computed: {shown}")
        return ()

    def lists_of(self, resource: Resource) -> Iterator[MailList]:
        tokens = self.tokens
        defaults: dict[str, Value] = {}
        for body in resource.bodies:
            if body.title[0].is_keyword("default") and len(body.title) == 1:
                defaults = self.values(body)
        for body in resource.bodies:
            own = self.values(body)
            attributes = {**defaults, **own}
            for token in body.titles:
                assert token.literal is not None
                called = attributes.get("name")
                if called is not None and called.text is None:
                    self.note(token, f"a {resource.type} whose name is computed: {called.source}")
                title = token.literal if called is None or called.text is None else called.text
                name, _, site = title.partition("@")
                of_site = resource.type == MAILMAN_LIST and site
                yield MailList(
                    title=token.literal,
                    name=name,
                    site=site if of_site else None,
                    attributes=MappingProxyType(attributes),
                    line=self.line(token),
                    span=(tokens[resource.first].start, tokens[resource.last].end),
                    block=resource.block,
                    conditional=resource.virtual or not resource.block.plain,
                )

    def values(self, body: Body) -> dict[str, Value]:
        text = self.source.text
        return {
            a.name.text: Value(text[a.value[0].start : a.value[-1].end], a.text)
            for a in body.attributes
        }


def _ends_value(token: Token) -> bool:
    """Whether an expression can end with this token."""
    if token.kind is Kind.OPERATOR:
        return token.text in (*_CLOSING, "|>", "|>>")
    if token.kind is Kind.KEYWORD:
        return token.text in ("true", "false", "undef", "default")
    return True
