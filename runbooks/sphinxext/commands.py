"""The command line's own help, as a page and as the man page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from runbooks.sphinxext.blocks import PACKAGE

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: Click's mark for a paragraph that is not to be wrapped.
_UNWRAPPED = "\b"

#: What is a literal in a help text, where a terminal shows no other mark: a word or a command in
#: single quotes, an option, a variable, and how a host is named.
_LITERAL = re.compile(
    r"(?<!\w)'(?P<quoted>[^']+)'(?!\w)"
    r"|(?<![\w-])(?P<plain>--[a-z][-a-z]*|[A-Z]+(?:_[A-Z]+)+|\$[a-z]\w*|[a-z]+:(?://[\w@./]*|[A-Z]+))"
)


class CommandHelp(SphinxDirective):
    """``command-help``: every subcommand of ``runbook``, from click's definitions."""

    def run(self) -> list[nodes.Node]:
        from runbooks.cli import cli, epilog

        for path in [PACKAGE / "cli.py", *sorted(PACKAGE.glob("*/command.py"))]:
            self.env.note_dependency(str(path))
        context = click.Context(cli, info_name="runbook", **cli.context_settings)
        found = [
            self.part("Synopsis", usage(context)),
            self.part("Description", *prose(cli.help or "")),
            self.part("Options", options(context)),
        ]
        for title, block in verbatim(epilog()):
            found.append(self.part(title.rstrip(":"), block))
        return [*found, *self.subcommands(context)]

    def part(self, title: str, *children: nodes.Node) -> nodes.section:
        section = nodes.section("", nodes.title(title, title), ids=[nodes.make_id(title)])
        self.set_source_info(section)
        section += list(children)
        return section

    def subcommands(self, context: click.Context) -> list[nodes.Node]:
        group = context.command
        assert isinstance(group, click.Group)
        found: list[nodes.Node] = []
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if not command.hidden:
                found.append(self.section(click.Context(command, context, info_name=name)))
        return found

    def section(self, context: click.Context) -> nodes.section:
        title = context.command_path
        name = nodes.make_id(title)
        section = nodes.section("", nodes.title(title, title), ids=[name], names=[name])
        self.set_source_info(section)
        self.state.document.note_explicit_target(section, section)
        section += [usage(context), *prose(context.command.help or ""), options(context)]
        for title, block in verbatim(context.command.epilog or ""):
            section += [nodes.paragraph("", "", nodes.strong("", title)), block]
        if isinstance(context.command, click.Group):
            section += self.subcommands(context)
        return section


def usage(context: click.Context) -> nodes.literal_block:
    """The command line, in one line."""
    text = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    return nodes.literal_block(text, text, language="text")


def options(context: click.Context) -> nodes.option_list:
    """All options of a command."""
    return nodes.option_list(
        "",
        *(
            option(context, parameter)
            for parameter in context.command.get_params(context)
            if isinstance(parameter, click.Option) and not parameter.hidden
        ),
    )


def option(context: click.Context, parameter: click.Option) -> nodes.option_list_item:
    """One option: its names, what it is for, its default."""
    record = parameter.get_help_record(context)
    assert record is not None
    names, text = record
    group = nodes.option_group()
    for name in names.split(", "):
        word, _, argument = name.partition(" ")
        one = nodes.option("", nodes.option_string(word, word))
        if argument:
            one += nodes.option_argument(argument, argument, delimiter=" ")
        group += one
    description = nodes.description("", paragraph(re.sub(r"\s+", " ", text)))
    return nodes.option_list_item("", group, description)


def prose(text: str) -> list[nodes.paragraph]:
    """The paragraphs of a help text that click wraps."""
    return [paragraph(" ".join(lines)) for mark, lines in _paragraphs(text) if not mark]


def paragraph(text: str) -> nodes.paragraph:
    """A paragraph of a help text, with its literals marked up."""
    found = nodes.paragraph(text)
    end = 0
    for match in _LITERAL.finditer(text):
        literal = match["quoted"] or match["plain"].rstrip(".")
        if match.start() > end:
            found += nodes.Text(text[end : match.start()])
        found += nodes.literal(literal, literal)
        end = match.end() if match["quoted"] else match.start() + len(literal)
    if end < len(text):
        found += nodes.Text(text[end:])
    return found


def verbatim(text: str) -> list[tuple[str, nodes.literal_block]]:
    """The paragraphs that click leaves as they are: their first line, and the rest."""
    found = []
    for mark, (title, *body) in _paragraphs(text):
        if mark:
            block = inspect.cleandoc("\n".join(body))
            found.append((title.strip(), nodes.literal_block(block, block, language="text")))
    return found


def _paragraphs(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Each paragraph, and whether it has click's mark for 'do not wrap'."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = paragraph.splitlines()
        mark = bool(lines) and lines[0].strip() == _UNWRAPPED
        if lines[mark:]:
            yield mark, lines[mark:]


def setup(app: Sphinx) -> None:
    app.add_directive("command-help", CommandHelp)
