"""The command ``runbook``: finds the subcommand, prints errors as one line, sets the exit status.

Exit statuses: 0 all done; 1 something named in the output was not done; 2 the arguments
or the answer (nothing was changed); 3 the host could not be reached or has no Mailman 2.

Subcommands are imported when they are called: ``runbook --help`` loads none of them.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import click
from click.exceptions import NoArgsIsHelpError, NoSuchOption
from click.shell_completion import CompletionItem

from runbooks.errors import BadInputError, RunbookError, did_you_mean, short
from runbooks.procedures import FOLDERS, installed, load, module_of, modules
from runbooks.terminal.commands import Commands, unknown_command

#: Folders that have subcommands and no procedure.
OTHERS = ("history", "new_page", "practice", "sites", "verify")

#: The variable by which a shell asks for completions.
COMPLETE = "_RUNBOOK_COMPLETE"

#: The subcommand that is defined here.
HELP = "help"


@cache
def ours() -> dict[str, tuple[str, str]]:
    """Subcommand: its module, and its help in one line. Of the module, ``command`` has it."""
    found = _of([module_of(name) for name in FOLDERS], {})
    found = _of([f"runbooks.{folder}" for folder in OTHERS], found)
    return {**found, HELP: ("", "Show the help of a command.")}


@cache
def subcommands() -> dict[str, tuple[str, str]]:
    """The same with those that the page takes in, and those of packages that are installed.

    A function, since the file that names some of the modules may be bad. Raises BadInputError.
    """
    return _of(dict.fromkeys((*modules(), *installed())), ours())


def _of(named: Iterable[str], known: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """`known` subcommands and those of the modules that are named."""
    found = dict(known)
    for module in named:
        for name, line in load(module, "", "SUBCOMMANDS").items():
            if found.setdefault(name, (module, line))[0] != module:
                raise BadInputError(f"{module} and {found[name][0]} both have 'runbook {name}'")
    return found


def epilog() -> str:
    """What follows the help of ``runbook``. A function, since the file that it reads may be bad."""
    from runbooks.book.whose import whose

    return f"""\b
Examples:
  runbook practice                                    see everything, on a site of your own
  runbook ban target@example.com                      on this machine
  runbook ban target@example.com --host {whose().server.spec} --dry-run
  runbook ban target@example.com --explain            the same by hand, ready to paste

\b
Completion in the shell; put the line for yours in ~/.bashrc or ~/.zshrc:
  eval "$(_RUNBOOK_COMPLETE=bash_source runbook)"      bash 4.4 or later
  eval "$(_RUNBOOK_COMPLETE=zsh_source runbook)"       zsh
or in ~/.config/fish/completions/runbook.fish:
  _RUNBOOK_COMPLETE=fish_source runbook | source       fish
Lists, sites and runs are those of the host that --host or RUNBOOK_HOST names.

\b
Exit status:
  0  everything was done
  1  something was not done; the output says what
  2  the arguments are wrong, or the answer was no; nothing was changed
  3  the host could not be reached, or has no Mailman 2
"""


class Subcommands(Commands):
    """A group whose members are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(subcommands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # Whatever else is installed, and however it is: ours need none of it.
        known = ours() if cmd_name in ours() else subcommands()
        if cmd_name not in known:
            return None
        module, line = known[cmd_name]
        if cmd_name == HELP:
            command = show_help
        else:
            command = load(module, "command", cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        command.short_help = line  # for the completion of a shell
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.epilog = epilog()
        super().format_epilog(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in subcommands().items()])


def _command_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The commands that help can be had of, for the completion of a shell."""
    return [
        CompletionItem(name, help=line)
        for name, (_, line) in subcommands().items()
        if name.startswith(incomplete) and not ctx.params.get("names")
    ]


@click.group(
    cls=Subcommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="mailman2-runbooks", prog_name="runbook")
def cli() -> None:
    """Carry out the procedures of the documentation on a Mailman 2 server.

    Every command asks the host what is there, shows a plan, asks before it changes
    anything, and reports as done only what it has read back.
    """


@click.command(
    HELP,
    epilog="""\b
Examples:
  runbook help ban
  runbook help practice new
""",
)
@click.argument("names", metavar="[COMMAND]...", nargs=-1, shell_complete=_command_names)
@click.pass_context
def show_help(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or of runbook itself: the same as --help."""
    context = ctx.find_root()
    for name in names:
        group = context.command
        known = group.list_commands(context) if isinstance(group, click.Group) else []
        command = group.get_command(context, name) if isinstance(group, click.Group) else None
        if command is None:
            raise unknown_command(name, known, context)
        context = click.Context(command, context, info_name=name, **command.context_settings)
    click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  for as long as it runs
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or a pipe that cannot show a dot or an arrow is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    if COMPLETE in os.environ:
        from runbooks.terminal import completion

        completion.prepare()
    try:
        # What was typed, for the journal.
        typed = list(sys.argv[1:] if arguments is None else arguments)
        status = cli(
            typed, prog_name="runbook", complete_var=COMPLETE, standalone_mode=False, obj=typed
        )
        sys.stdout.flush()
    except NoArgsIsHelpError as e:
        click.echo(e.format_message())
        return 2
    except NoSuchOption as e:
        name = e.ctx.command_path if e.ctx else "runbook"
        known = [o for p in e.ctx.command.get_params(e.ctx) for o in p.opts] if e.ctx else []
        hint = did_you_mean(e.option_name, [option for option in known if option.startswith("--")])
        line = f"{name}: there is no option {short(e.option_name)}{hint} (see {name} --help)"
        return _complain(_one_line(line), 2)
    except click.UsageError as e:
        name = e.ctx.command_path if e.ctx else "runbook"
        return _complain(f"{name}: {_one_line(e.format_message())} (see {name} --help)", 2)
    except click.ClickException as e:
        return _complain(f"runbook: {_one_line(e.format_message())}", 2)
    except RunbookError as e:
        return _complain(f"runbook: {_one_line(str(e))}", e.exit_status)
    except (click.Abort, KeyboardInterrupt):
        return _complain("\nrunbook: interrupted; nothing was changed", 2)
    except BrokenPipeError:
        # Whoever read the output (a pager, head) has gone.
        _give_up_output()
        return 1
    except OSError as e:
        _give_up_output()
        return _complain(
            f"runbook: {_one_line(str(e))}; 'runbook history' shows what was changed, if anything",
            1,
        )
    return status if isinstance(status, int) else 0


def _give_up_output() -> None:
    """Have Python not complain once more, when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str, status: int) -> int:
    click.echo(line, err=True)
    return status


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
