"""What a literal on a page can name, and how each kind is looked up.

Its form says what it is: an option starts with a dash, a path with a slash. What nothing on this
machine can answer is asked of a list server (`tests.page.asked`); without one it is left open.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

import click
from docutils import nodes
from testinfra.backend import BACKENDS
from testinfra.backend.base import BaseBackend

from runbooks.add_list.page import PROCEDURE, befalls
from runbooks.add_list.rules import SUFFIXES
from runbooks.book import expected, whose
from runbooks.cli import cli
from runbooks.errors import RunbookError
from runbooks.host.host import Host
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.events import Outcome
from runbooks.sphinxext.blocks import PACKAGE
from runbooks.sphinxext.roles import EXAMPLE, MARKS, OURS
from runbooks.sphinxext.shared import FILES
from runbooks.sphinxext.verification import VERIFICATION
from runbooks.testing.containers.selection import OWN
from tests.page import toxcalls
from tests.page.asked import Server
from tests.page.conftest import BUILD, RECORDS, ROOT
from tests.page.literals import Literal

#: What stands in a command for something that is left out.
LEFT_OUT = "…"


class OpenError(Exception):
    """Only a list server can tell, and none is asked."""


class Lookup:
    """Judges literals: by what is here, and by what a list server says where there is one."""

    def __init__(self, server: Server | None = None) -> None:
        self._server = server

    @property
    def server(self) -> Server:
        if self._server is None:
            raise OpenError
        return self._server

    def fault(self, literal: Literal) -> str | None:
        """Why a literal must not stay as it is, in one line; None where it may, or is left open."""
        try:
            why = self._mark(literal) if literal.mark else self._name(literal)
        except OpenError:
            return None
        return None if why is None else f"{literal}: {why}"

    def _mark(self, literal: Literal) -> str | None:
        kind = self._known(literal.text, literal.mark == EXAMPLE)
        return f"is marked as {literal.mark}, and is {kind}" if kind else None

    def _known(self, text: str, everywhere: bool) -> str | None:
        """What a text names, of what can be told without a sentence around it."""
        if command_fault(["runbook", *text.split()]) is None:
            return "a command of runbook"
        return self.server.kind_of(text, everywhere)

    def _name(self, literal: Literal) -> str | None:
        for form, judge in FORMS:
            if form.fullmatch(literal.text):
                return judge(self, literal)
        raise AssertionError(f"{literal} has no form")

    # -- by form ----------------------------------------------------------------------------

    def _free(self, literal: Literal) -> str | None:
        """An address or a pattern: what nobody can look up has to be marked."""
        return f"is no name of anything: mark it with :{EXAMPLE}:"

    def _tox(self, literal: Literal) -> str | None:
        return toxcalls.fault(words(literal.text))

    def _command(self, literal: Literal) -> str | None:
        return command_fault(without_open_option(words(literal.text)))

    def _host(self, literal: Literal) -> str | None:
        return host_fault(literal.text)

    def _role(self, literal: Literal) -> str | None:
        return None if literal.text.strip(":") in (*MARKS, OURS) else "is no role of the extension"

    def _query(self, literal: Literal) -> str | None:
        key = literal.text[1:].partition("=")[0]
        host = Host(f"ssh://name{literal.text}")
        if host.mailman_dirs or key in inspect.signature(BaseBackend.__init__).parameters:
            return None
        return f"neither runbook nor testinfra reads {key!r} there"

    def _puppet_variable(self, literal: Literal) -> str | None:
        (known,) = (file.content for file in befalls(INSTALLATION, PROCEDURE.example).clone)
        return None if shown(literal) or literal.text in known else "no manifest here has it"

    def _placeholder(self, literal: Literal) -> str | None:
        return None if is_placeholder(literal.text) else "is no placeholder of expected.py"

    def _reference(self, literal: Literal) -> str | None:
        """Of the example on the page: what it is called, and what its steps are called."""
        target = literal.text.split("`")[1]
        names = re.findall(r'name=f?"([-\w]+)', "\n".join(literal.blocks))
        procedure, *steps = sorted(names, key=lambda name: not target.startswith(name))
        rest = target.removeprefix(procedure).lstrip("-")
        if target.startswith(procedure) and (not rest or any(map(rest.startswith, steps))):
            return None
        return f"the example has the names {names}"

    def _option(self, literal: Literal) -> str | None:
        """An option, with or without a value, of a command in its sentence or in its section.

        Where the section has no command, also of any command of ``runbook``.
        """
        if literal.text.removeprefix("-") in SUFFIXES:
            return None
        option, *values = literal.text.split()
        for value in values:
            if "://" in value and (why := host_fault(value)):
                return why
        if own := help_of(literal):
            commands = [own]
        else:
            commands = [line for block in literal.commands for line in lines(block)]
            commands = commands or [["runbook"]]
            commands += filter(self._is_command, map(words, literal.in_sentence))
        if any(self._has_option(command, option) for command in commands):
            return None
        asked = sorted({shlex.join(command)[:60] for command in commands})
        return f"the option {option} is of none of: {'; '.join(asked)}"

    def _is_command(self, line: Sequence[str]) -> bool:
        if not line or line[0].startswith("-"):
            return False
        return subcommand(line) is not None or line[0] in self.server.programs

    def _has_option(self, command: Sequence[str], option: str) -> bool:
        if command[0] == "tox":
            return toxcalls.has_option(command, option)
        found = subcommand(command)
        called = all_commands() if found is cli else (found,) if found else ()
        if any(option in all_options(one) for one in called):
            return True
        return command[0] != "runbook" and any(
            self.server.has_option(program, option)
            for word in command
            if (program := PurePosixPath(word).name) in self.server.programs
        )

    def _path(self, literal: Literal) -> str | None:
        return self._path_fault(literal.text)

    def _path_fault(self, path: str) -> str | None:
        """Up to the first part that stands for something else."""
        parts: list[str] = []
        for part in PurePosixPath(path).parts:
            if part.isupper() or LEFT_OUT in part:
                break
            parts.append(part)
        wanted = str(PurePosixPath(*parts))
        if not self.server.is_about(wanted) or wanted in self.server.files:
            return None
        return f"the list server has no {wanted}"

    def _assignment(self, literal: Literal) -> str | None:
        name, _, value = literal.text.partition("=")
        return self._variable_fault(name, literal) or self._path_fault(value)

    def _call_with_variable(self, literal: Literal) -> str | None:
        """A variable that is set for one command: ``RUNBOOK_WALK_ONLY=moderation tox -e page``."""
        if shown(literal):
            return None
        assignment, _, rest = literal.text.partition(" ")
        name, _, value = assignment.partition("=")
        if not (words(rest)[:1] == ["tox"] and name in toxcalls.variables()) and (
            why := self._variable_fault(name, literal)
        ):
            return f"{name} {why}"
        if value.startswith("/"):
            if why := self._path_fault(value):
                return why
        elif not shown(dataclasses.replace(literal, text=value)):
            return f"nothing on the page is called {value}"
        return self._name(dataclasses.replace(literal, text=rest))

    def _capitals(self, literal: Literal) -> str | None:
        return self._variable_fault(literal.text, literal)

    def _variable_fault(self, name: str, literal: Literal) -> str | None:
        if name in variables() or is_placeholder(f"{{{name}}}") or defined_beside(literal, name):
            return None
        if name.startswith("RUNBOOK_"):
            return "the command reads no such variable"
        if name in self.server.variables | self.server.settings | self.server.process_states:
            return None
        return "is no environment variable, no setting of Mailman and no name in a file beside it"

    def _call(self, literal: Literal) -> str | None:
        """A call of a method of a list, ``m.Lock(timeout=10)``."""
        try:
            call = ast.parse(literal.text, mode="eval").body
        except SyntaxError as problem:
            return f"is no Python: {problem.msg}"
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            return "is no call of a method"
        takes = self.server.methods.get(call.func.attr)
        if takes is None:
            return f"a list has no method {call.func.attr!r}"
        unknown = [one.arg for one in call.keywords if one.arg not in takes]
        return f"{call.func.attr}() takes no {', '.join(map(str, unknown))}" if unknown else None

    def _prefix(self, literal: Literal) -> str | None:
        """The beginning of a name that the package makes."""
        return None if literal.text[:-1] in constants() else "nothing of the package begins so"

    def _words(self, literal: Literal) -> str | None:
        """A command line, or what a program says."""
        command = words(literal.text)
        # Mailman has a program `withlist`, and so has runbook a subcommand.
        if shown(literal) or (subcommand(command) and command_fault(command) is None):
            return None
        if command and command[0] in self.server.programs:
            return self._program_fault(command)
        if any(literal.text in said for said in self.server.said):
            return None
        return f"{command[0] if command else literal.text!r} is no program, and nothing says so"

    def _program_fault(self, command: Sequence[str]) -> str | None:
        """The options of a command line, the paths and the other words in it."""
        program = command[0]
        for before, word in pairwise(command):
            if before == "-exec":
                program = word
            elif word.startswith("-"):
                if not self.server.has_option(program, word):
                    return f"{program} has no option {word}"
            elif word.startswith("/"):
                if why := self._path_fault(word):
                    return why
            elif re.fullmatch(r"\w+(?:/\w+)+", word):
                if self.server.kind_of(word, True) is None:
                    return f"no file is called {word}"
            else:
                for part in re.findall(r"[a-z][-\w]*", word):
                    if not self.server.knows_argument(program, part):
                        return f"{program} knows nothing of {part!r}"
        return None

    def _directive(self, literal: Literal) -> str | None:
        """A line of a page that has a directive in it."""
        name, _, argument = literal.text.removeprefix(".. ").partition(":: ")
        if name not in directives():
            return f"the extension has no directive {name!r}"
        pages = {path.stem for path in (FILES / "pages").glob("*.rst")}
        if name == "shared-page" and argument not in pages:
            return f"the package has no page {argument!r}"
        return None

    def _word(self, literal: Literal) -> str | None:
        """A name of nearly anything."""
        text = literal.text
        if (
            command_fault(["runbook", *text.split()]) is None
            or text in keys()
            or text in fixtures()
            or text in OWN
            or text in {outcome.value for outcome in Outcome}
            or text in directives()
            or is_file_here(text)
            or defined_beside(literal, text)
            or shown(literal)
        ):
            return None
        if self.server.kind_of(text, True) is None and not self.server.begins_a_line(text):
            return (
                "is no program, no user, no file, no attribute of a list, no setting of Mailman "
                "and no parameter of Puppet's maillist; and no file or name beside it here"
            )
        return None


#: The first that fits.
FORMS: tuple[tuple[re.Pattern[str], Callable[[Lookup, Literal], str | None]], ...] = tuple(
    (re.compile(pattern), judge)
    for pattern, judge in (
        (r"runbook(?: .*)?", Lookup._command),
        (r"tox(?: .*)?", Lookup._tox),
        (r"[a-z]+:(?://.*|[A-Z]+)", Lookup._host),
        (r":\w+:", Lookup._role),
        (r"\.\. [-\w]+::(?: .*)?", Lookup._directive),
        (r"\{[A-Z_]+.*\}", Lookup._placeholder),
        (r"[^ -].*@\S+|@\S+|[\^$].*[@.*].*|[\^$]", Lookup._free),
        (r"\$\w+", Lookup._puppet_variable),
        (r"\?\w+=.*", Lookup._query),
        (r":\w+:`[^`]+`", Lookup._reference),
        (r"--?[A-Za-z].*", Lookup._option),
        (r"/\S*", Lookup._path),
        (r"[A-Z][A-Z_]*=/\S*", Lookup._assignment),
        (r"[A-Z][A-Z_]*=\S+ \S.*", Lookup._call_with_variable),
        (r"[A-Z][A-Z_0-9]*", Lookup._capitals),
        (r"m\.\w+\(.*\)", Lookup._call),
        (r"\S+…", Lookup._prefix),
        (r".* .*", Lookup._words),
        (r"\S+", Lookup._word),
    )
)


# -- what is here ---------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """A text as a command line, without what is left out of it."""
    try:
        return [word for word in shlex.split(text) if word != LEFT_OUT]
    except ValueError:
        return []


def lines(block: str) -> Iterator[list[str]]:
    """The command lines of a block of shell, roughly: enough to see what is called in it."""
    shell, has_document, _ = block.partition("<<")
    for line in (shell if has_document else block).replace("\\\n", " ").splitlines():
        if found := re.findall(r"[^\s'\"(){};&|$]+", line):
            yield found


@cache
def all_commands() -> tuple[click.Command, ...]:
    return tuple(_commands_of(cli, click.Context(cli, info_name="runbook")))


def _commands_of(command: click.Command, context: click.Context) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _commands_of(found, click.Context(found, context, info_name=name))


def all_options(command: click.Command) -> set[str]:
    context = click.Context(command, help_option_names=["-h", "--help"])
    return {name for one in command.get_params(context) for name in one.opts}


def _found(command: Sequence[str]) -> tuple[click.Command, click.Context, list[str]] | None:
    """The subcommand that a command line calls, with or without ``runbook`` in front."""
    rest = list(command[1:] if command[:1] == ["runbook"] else command)
    found: click.Command = cli
    context = click.Context(cli, info_name="runbook", **cli.context_settings)
    while isinstance(found, click.Group) and rest and not rest[0].startswith("-"):
        inner = found.get_command(context, rest[0])
        if inner is None:
            return None
        context = click.Context(inner, context, info_name=rest.pop(0))
        found = inner
    return found, context, rest


def subcommand(command: Sequence[str]) -> click.Command | None:
    found = _found(command)
    if found is None or (found[0] is cli and command[:1] != ["runbook"]):
        return None
    return found[0]


def command_fault(command: Sequence[str]) -> str | None:
    """What click has against a command line of ``runbook``."""
    found = _found(command)
    if found is None:
        return f"runbook has no subcommand {(command[1:] or command)[0]!r}"
    inner, context, rest = found
    if inner is cli and not rest and command[:1] != ["runbook"]:
        return "names no command"
    try:
        inner.make_parser(context).parse_args(rest)
    except click.UsageError as problem:
        return f"{context.command_path}: {problem.format_message()}"
    return None


def without_open_option(command: list[str]) -> list[str]:
    """A command line, but for an option at its end that wants a value: a sentence may name it."""
    found = _found(command)
    if found is None or not found[2]:
        return command
    inner, context, rest = found
    wants_value = any(
        isinstance(one, click.Option) and not one.is_flag and rest[-1] in one.opts
        for one in inner.get_params(context)
    )
    return command[:-1] if wants_value else command


def help_of(literal: Literal) -> list[str]:
    """The command whose help text a literal stands in, on the page that prints the help."""
    for command in all_commands():
        for path in (["runbook", command.name or ""], ["runbook", "practice", command.name or ""]):
            if command is not cli and nodes.make_id(" ".join(path)) == literal.anchor:
                return path
    return []


def host_fault(spec: str) -> str | None:
    scheme = spec.partition(":")[0]
    if f"{scheme}:" in constants():  # of our own: a practice site
        return None
    if scheme not in BACKENDS:
        return f"testinfra reaches no {scheme}://"
    try:
        Host(spec)
    except RunbookError as problem:
        return str(problem)
    return None


def is_placeholder(text: str) -> bool:
    """Whether what a command shows may have this in it."""
    found = expected.parts(text)
    return len(found) == 1 and bool(found[0].name)


@cache
def _trees() -> dict[Path, ast.Module]:
    """The package, without the stand-in."""
    package = ROOT / "runbooks"
    return {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for path in package.rglob("*.py")
        if package / "standin" not in path.parents
    }


@cache
def constants() -> frozenset[str]:
    """Every string of the package."""
    return frozenset(
        node.value
        for tree in _trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def variables() -> set[str]:
    """The environment variables that the command reads."""
    return {text for text in constants() if re.fullmatch(r"RUNBOOK(?:_[A-Z]+)+", text)}


@cache
def directives() -> frozenset[str]:
    """The directives that the extension adds."""
    return frozenset(
        node.args[0].value
        for path, tree in _trees().items()
        if path.parent.name == "sphinxext"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "add_directive"
        and isinstance(node.args[0], ast.Constant)
    )


@cache
def keys() -> frozenset[str]:
    """The keys of ``site.toml``."""
    kinds = [kind for kind in vars(whose).values() if dataclasses.is_dataclass(kind)]
    return frozenset(field.name for kind in kinds for field in dataclasses.fields(kind))


@cache
def fixtures() -> frozenset[str]:
    """The fixtures that the plugin of pytest has."""
    return frozenset(
        node.name
        for path, tree in _trees().items()
        if "testing" in path.parts
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any("fixture" in ast.unparse(mark) for mark in node.decorator_list)
    )


def is_file_here(text: str) -> bool:
    """A file of the repository or of the package, or one that the tests of the pages make."""
    made = (BUILD / VERIFICATION, BUILD / "html", RECORDS)
    if "/" in text:
        return (ROOT / text).exists() or ROOT / text in made
    # A folder called `lists` would let any such word pass.
    known = (ROOT / text).is_file() or (PACKAGE / text).is_file()
    return "." in text and (known or text in {path.name for path in made})


def defined_beside(literal: Literal, name: str) -> bool:
    """Whether a Python file that the same sentence names has something of this name."""
    for text in literal.beside:
        path = ROOT / text
        if text.endswith(".py") and path.is_file():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Name) and node.id == name:
                    return True
    return False


def shown(literal: Literal) -> bool:
    """Whether the page prints it in a block, as a whole word: in what is run, or shows."""
    word = re.compile(rf"(?<![-\w]){re.escape(literal.text)}(?![-\w])")
    return any(word.search(block) for block in literal.blocks)
