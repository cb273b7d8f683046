"""The blocks of a procedure on a page: commands that can be copied, and what they print."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from pygments.lexer import Lexer, inherit
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.lexers.shell import BashLexer
from pygments.token import Name, Text, _TokenType
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.directives.code import LiteralIncludeReader

import runbooks
from runbooks.book import expected
from runbooks.book.procedure import Step, paste
from runbooks.book.typed import Place
from runbooks.sphinxext.typed import typed_block

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

PACKAGE = Path(runbooks.__file__).parent

#: The class of a block that the copy button copies, and that a test runs.
COMMAND = "command"
#: The class of a block that shows what the command above it prints.
OUTPUT = "output"


def command(text: str, lexer: str = "sh", places: Sequence[Place] = ()) -> nodes.literal_block:
    """A command, ready to be copied. In `places` it has what the reader types."""
    if places:
        return typed_block(text, text, classes=[COMMAND], language=lexer, places=places)
    return nodes.literal_block(text, text, classes=[COMMAND], language=lexer)


def step_command(step: Step, places: Sequence[Place], config: Any) -> nodes.literal_block:
    """The command of a step; one that creates a file has the file's text in it."""
    text = paste(step)
    path = creates_source(step)
    if path is not None:
        text = _included(step, path, text, config)
    return command(text, "paste" if step.creates else "sh", places)


def download(step: Step, env: BuildEnvironment) -> list[nodes.Node]:
    """A link to the file of ours that a step has the reader create, if it is one."""
    path = creates_source(step)
    if path is None:
        return []
    # From the folder of the pages, as Sphinx wants it.
    target = f"/{os.path.relpath(path, env.srcdir)}"
    link = addnodes.download_reference("", f"Download {path.name}", reftarget=target)
    return [nodes.paragraph("", "", link, classes=["download"])]


def creates_source(step: Step) -> Path | None:
    """The file of ours that a step has the reader create, if it is one."""
    if step.creates is None:
        return None
    for path in sorted(PACKAGE.rglob(f"*{Path(step.creates.path).suffix}")):
        if path.is_file() and path.read_text(encoding="utf-8") == step.creates.content:
            return path
    return None


def _included(step: Step, path: Path, text: str, config: Any) -> str:
    """The text as ``literalinclude`` puts it together from the file itself."""
    assert step.creates is not None
    start, end = text.split("\n", 1)[0], text.rsplit("\n", 1)[1]
    included, _ = LiteralIncludeReader(str(path), {"prepend": start, "append": end}, config).read()
    if included.rstrip("\n") != text:
        raise ValueError(f"{path} is not what the step {step.name} has the reader create")
    return included.rstrip("\n")


def output(text: str) -> nodes.literal_block:
    """What a command prints, with the parts that differ from run to run marked as such."""
    # Sphinx highlights a block whose raw source is its text, and drops the marks.
    block = nodes.literal_block(f"output: {text}", "", classes=[OUTPUT])
    lines = text.strip("\n").splitlines()
    for number, line in enumerate(lines):
        parts = list(expected.parts(line))
        # A narrow screen shows a question whole, with its answer.
        into: nodes.Element = block
        if any(part.is_answer for part in parts):
            into = nodes.inline(classes=["question"])
            block += into
        for part in parts:
            if part.is_answer:
                into += nodes.strong("", part.text, classes=["typed"])
            elif part.varies:
                into += nodes.emphasis("", part.text, classes=["varies"])
            else:
                into += nodes.Text(part.text)
        if number < len(lines) - 1:
            block += nodes.Text("\n")
    return block


class ShellLexer(BashLexer):
    """Shell, with an option as one token: a narrow screen does not break it behind its dash."""

    tokens: ClassVar[dict[str, list[Any]]] = {
        "root": [(r"(?<=\s)--?[A-Za-z][-\w]*", Name.Attribute), inherit]
    }


class PasteLexer(Lexer):
    """A here-document: shell around it, and inside it the language that the file's name tells."""

    name = "Paste"
    aliases = ("paste",)
    url = ""

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        first, _, rest = text.partition("\n")
        body, _, last = rest.rstrip("\n").rpartition("\n")
        shell = get_lexer_by_name("sh")
        yield from self._shifted(shell, first, 0)
        yield len(first), Text, "\n"
        start = len(first) + 1
        yield from self._shifted(self._inside(first), body + "\n", start)
        yield start + len(body) + 1, Name.Constant, last
        yield start + len(body) + 1 + len(last), Text, "\n"

    def _inside(self, first_line: str) -> Lexer:
        names = re.findall(r"[-\w]+\.\w+", first_line.partition("<<")[0])
        try:
            return get_lexer_for_filename(names[-1] if names else "")
        except ClassNotFound:
            return get_lexer_by_name("text")

    def _shifted(
        self, lexer: Lexer, text: str, offset: int
    ) -> Iterator[tuple[int, _TokenType, str]]:
        for index, token, value in lexer.get_tokens_unprocessed(text):
            yield offset + index, token, value


def _let_the_keyboard_scroll(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """A block that is wider or longer than its frame is reached with the Tab key."""
    if "body" in context:
        context["body"] = re.sub(r"<pre(?=[ >])", '<pre tabindex="0"', context["body"])


#: What a narrow screen breaks between words: commands, and what stands between backquotes.
_BREAKABLE = re.compile(
    r'(?<=class=")[^"]*\bhighlight-sh\b.*?</pre>|<code class="[^"]*\bliteral\b.*?</code>', re.DOTALL
)
#: A tag, or where a path may be broken: behind a part of it, and where it begins.
_JOINT = re.compile(r"(?<=\w/)(?=\w)|(?<==)(?=(?:</span>)?(?:/|\w+://))|(<[^>]*>)")


def _break_paths_between_words(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Say where a path may be broken that is too long for a line."""
    if "body" in context:
        context["body"] = _BREAKABLE.sub(
            lambda found: _JOINT.sub(lambda at: at[1] or "<wbr>", found[0]), context["body"]
        )


def setup(app: Sphinx) -> None:
    app.add_lexer("sh", ShellLexer)
    app.add_lexer("paste", PasteLexer)
    app.connect("html-page-context", _let_the_keyboard_scroll)
    app.connect("html-page-context", _break_paths_between_words)
