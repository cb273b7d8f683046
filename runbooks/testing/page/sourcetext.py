"""The pieces of text in a source file, each with its exact place, to be changed one at a time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

#: One character of a text as it is written in a source; or none, where a line goes on.
_ESCAPE = (
    r"\\N\{[^}]*\}|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[0-7]{1,3}|\\\r?\n|\\."
)
#: What a step has its expected output in, when it is not named.
_SHOWS = {"Step": 4}


@dataclass(frozen=True)
class Edit:
    """A part of a source file, and what is to be there."""

    path: str
    start: int
    end: int
    new: str

    def overlaps(self, other: Edit) -> bool:
        if self.path != other.path:
            return False
        return (self.start < other.end and other.start < self.end) or self.start == other.start


def edited(text: str, edits: Sequence[Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: -edit.start):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


@dataclass(frozen=True)
class Literal:
    """A piece of text in a source file: of an f-string what stands between two expressions."""

    path: str
    #: where it is written
    start: int
    line: int
    written: str
    prefix: str
    quote: str

    @property
    def is_formatted(self) -> bool:
        return "f" in self.prefix.lower()

    @property
    def is_raw(self) -> bool:
        return "r" in self.prefix.lower()

    def characters(self) -> Iterator[tuple[int, str]]:
        """Each character that it stands for, and where that is written."""
        escape = "(?!)" if self.is_raw else _ESCAPE
        braces = r"\{\{|\}\}" if self.is_formatted else "(?!)"
        for found in re.finditer(rf"({escape})|({braces})|.", self.written, re.DOTALL):
            text = found.group()
            if found.group(1):
                text = ast.literal_eval(f"'{text}'") if text != '\\"' else '"'
            yield found.start(), text[:1]

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.characters())

    def changed(self, start: int, end: int, new: str) -> Edit | None:
        """What makes another text of a part of it; None where it cannot be written here."""
        places = [at for at, text in self.characters() if text] + [len(self.written)]
        written = self._written(new)
        if written is None:
            return None
        return Edit(self.path, self.start + places[start], self.start + places[end], written)

    def _written(self, new: str) -> str | None:
        if self.is_raw:
            fits = new.isprintable() and not {*self.quote, "\\", *"{}"} & {*new}
            return new if fits else None
        found = []
        for text in new:
            if text in ("\\", self.quote[0]):
                found.append(f"\\{text}")
            elif text in "{}" and self.is_formatted:
                found.append(text * 2)
            else:
                found.append(text if text.isprintable() else repr(text)[1:-1])
        return "".join(found)


@dataclass
class Source:
    """A source file."""

    path: str
    text: str
    literals: list[Literal] = field(default_factory=list)
    #: the lines of each function and of each statement of the module
    scopes: list[tuple[int, int]] = field(default_factory=list)
    #: by the line of a step or procedure: where its expected output is one text
    whole: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str, text: str) -> Source:
        found = cls(path, text)
        MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True).visit(_Visitor(found))
        found.literals.sort(key=lambda literal: literal.start)
        return found

    def scope(self, line: int) -> tuple[int, int]:
        """The lines of the smallest function, or statement of the module, that has a line."""
        around = [scope for scope in self.scopes if scope[0] <= line <= scope[1]]
        return min(around, key=lambda scope: scope[1] - scope[0], default=(line, line))


class _Visitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.around: list[cst.FormattedString] = []
        self.starts = [0]
        for line in source.text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def range(self, node: cst.CSTNode) -> CodeRange:
        found = self.get_metadata(PositionProvider, node)
        assert isinstance(found, CodeRange)
        return found

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        found = self.range(node)
        return tuple(self.starts[at.line - 1] + at.column for at in (found.start, found.end))  # type: ignore[return-value]

    def add(self, start: int, written: str, prefix: str, quote: str) -> None:
        line = self.source.text.count("\n", 0, start) + 1
        self.source.literals.append(Literal(self.source.path, start, line, written, prefix, quote))

    def visit_Module(self, node: cst.Module) -> None:
        for statement in node.body:
            self._scope(statement)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._scope(node)

    def _scope(self, node: cst.CSTNode) -> None:
        found = self.range(node)
        self.source.scopes.append((found.start.line, found.end.line))

    def visit_Expr(self, node: cst.Expr) -> bool:
        # What stands alone describes the code.
        return not isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)

    def visit_Call(self, node: cst.Call) -> None:
        name = node.func.value if isinstance(node.func, cst.Name) else ""
        for at, argument in enumerate(node.args):
            is_shows = argument.keyword is not None and argument.keyword.value == "shows"
            is_fifth = argument.keyword is None and at == _SHOWS.get(name)
            kinds = cst.SimpleString | cst.FormattedString | cst.ConcatenatedString
            is_its = name in ("Step", "Procedure") and (is_shows or is_fifth)
            if is_its and isinstance(argument.value, kinds):
                self.source.whole[self.range(node).start.line] = self.span(argument.value)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        start = self.span(node)[0] + len(node.prefix) + len(node.quote)
        self.add(start, node.raw_value, node.prefix, node.quote)

    def visit_FormattedString(self, node: cst.FormattedString) -> None:
        self.around.append(node)
        # Where there is no text yet, there may be one.
        ends = [self.span(node)[0] + len(node.start), *(self.span(part)[1] for part in node.parts)]
        kinds = [None, *map(type, node.parts), None]
        for end, before, after in zip(ends, kinds, kinds[1:], strict=False):
            if cst.FormattedStringText not in (before, after):
                self.add(end, "", node.prefix, node.quote)

    def leave_FormattedString(self, original_node: cst.FormattedString) -> None:
        self.around.pop()

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        around = self.around[-1]
        self.add(self.span(node)[0], node.value, around.prefix, around.quote)
