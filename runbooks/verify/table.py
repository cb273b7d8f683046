"""What each program on the page needs, read from the command that has it.

Each is probed with the very options that are printed, on something that does no harm. A program, an
option or a form of a command that is not known here raises `UnknownError`: no step of the page is
passed over. A test has every step of every procedure go through this.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from runbooks.book.expected import FORMS
from runbooks.book.shell import Simple, Word
from runbooks.mailman.installation import Site
from runbooks.verify.here import Here
from runbooks.verify.needs import Answer, Need, fact

#: Nothing has this name: its folder is not there.
_NOTHING = '"/nonexistent-$$/x"'

_SITE_TOML = "correct doc/site.toml if this server is right, or the server if the page is"


class UnknownError(Exception):
    """The page has something that nothing here can probe."""


@dataclass(frozen=True)
class Call:
    """A program that is called, and what has to be there before it can be."""

    here: Here
    #: as the shell is told
    program: str
    arguments: tuple[Word, ...]
    #: what stands before it, with ``sudo`` so that it does not ask for a password
    before: str = ""
    after: tuple[Need, ...] = ()
    #: as whom it is run, where that is not whoever logs in, and whose lists it is about
    user: str = ""
    site: Site | None = None
    #: why some of it cannot be tried here though nothing is wrong
    moot: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.arguments]

    @property
    def options(self) -> list[str]:
        return [text for text in self.texts if text.startswith("-") and len(text) > 1]

    def line(self, *arguments: str) -> str:
        """A command line that has the program do something else."""
        return f"{self.before}{self.program} {shlex.join(arguments)}".rstrip()


def needs_of(simple: Simple, here: Here, moot: list[str]) -> Iterator[Need]:
    """What a simple command needs. `moot` gets why some of it cannot be tried."""
    for _, value in simple.assignments:
        if value.is_literal and value.text.startswith("/"):
            yield is_folder(posixpath.dirname(value.text))
    for how, word in simple.redirections:
        if how.startswith((">", "1>", "2>")) and not how.endswith("&"):
            yield _writable(word.text)
    if not simple.words:
        return
    call = Call(here, simple.words[0].raw, simple.words[1:], moot=moot)
    if call.program == "sudo":
        yield from _behind_sudo(call)
    else:
        program = _program(call.program, here)
        yield program
        yield from _of_program(_with(call, (program,)))


def _with(call: Call, after: tuple[Need, ...]) -> Call:
    return replace(call, after=after)


def _of_program(call: Call) -> Iterator[Need]:
    name = PurePosixPath(call.program).name
    if call.program.startswith("$("):
        name = PYTHON
    try:
        found = TABLE[name]
    except KeyError:
        raise UnknownError(f"nothing is known of the program {call.program}") from None
    yield from found(call)


# -- what any program needs -------------------------------------------------------------------


def _program(name: str, here: Here) -> Need:
    """It is there and can be run."""
    quoted = shlex.quote(name)
    test = f"[ -f {quoted} ] && [ -x {quoted} ]" if "/" in name else f"command -v {quoted}"
    return Need(
        test,
        lambda answer: f"there is no program {name} here" if answer.status else "",
        "install it, or put it on the PATH" if "/" not in name else "install it there",
        _in_place(name, here),
    )


def _in_place(path: str, here: Here) -> tuple[Need, ...]:
    """What a file in the folder of Mailman's programs needs."""
    is_there = posixpath.dirname(path) == here.page.bin
    return (programs(here),) if is_there else ()


def programs(here: Here) -> Need:
    """Mailman's programs are in the folder of the page."""
    found, page = here.found.bin, here.page.bin
    return Need(
        f"[ {shlex.quote(page)} -ef {shlex.quote(found)} ]",
        lambda answer: (
            f"Mailman's programs are in {found} here, and the page says {page}"
            if answer.status
            else ""
        ),
        _SITE_TOML,
    )


def is_folder(path: str) -> Need:
    """A folder is there."""
    return Need(
        f"[ -d {shlex.quote(path)} ]",
        lambda answer: f"there is no folder {path} here" if answer.status else "",
        _SITE_TOML,
    )


def _file(path: str, after: tuple[Need, ...] = ()) -> Need:
    return Need(
        f"[ -f {shlex.quote(path)} ]",
        lambda answer: f"there is no file {path} here" if answer.status else "",
        _SITE_TOML,
        after,
    )


def _writable(path: str, there: Need | None = None) -> Need:
    """A file that is there can be written, or made where it is not."""
    parent = posixpath.dirname(path)
    quoted = shlex.quote(path)
    return Need(
        f"if [ -e {quoted} ]; then [ -w {quoted} ]; else [ -w {shlex.quote(parent)} ]; fi",
        lambda answer: f"whoever logs in may not write {path}" if answer.status else "",
        "log in as root, as the page says",
        (there or is_folder(parent),),
    )


def _prints(probe: str, wanted: str, why: str, call: Call, help: str = "") -> Need:
    """A probe that has to succeed, and to print what the expression `wanted` matches."""

    def judge(answer: Answer) -> str:
        if answer.status == 0 and re.fullmatch(wanted, answer.text.strip()):
            return ""
        return f"{why}: it says {answer.said}"

    return Need(probe, judge, help or f"install the {call.program} of GNU", call.after)


# -- as Mailman's user ------------------------------------------------------------------------


def _behind_sudo(call: Call) -> Iterator[Need]:
    """``sudo -u USER NAME=VALUE … PROGRAM …``"""
    words = list(call.arguments)
    if [word.raw for word in words[:1]] != ["-u"] or len(words) < 3:
        raise UnknownError(f"sudo with {' '.join(call.texts)}")
    user = words[1].text
    words = words[2:]
    variables = []
    while words and re.match("[A-Z_]+=", words[0].text):
        variables.append(words.pop(0))
    program = words.pop(0)
    found = call.here.found
    sudo = _program("sudo", call.here)
    exists = Need(
        f"id -u {shlex.quote(user)}",
        lambda answer: f"there is no user {user} here" if answer.status else "",
        _SITE_TOML,
    )
    theirs = fact(
        f"Mailman's user here is {found.user}, and the page says {user}"
        if found.user != user
        else "",
        "the page is for a Mailman that runs as another user",
    )
    site, sites = None, []
    for variable in variables:
        name, _, value = variable.text.partition("=")
        if name == "MAILMAN_SITE_DIR":
            site = call.here.site(value)
            sites += list(_site(call.here, value))
        elif value.startswith("/"):
            sites.append(is_folder(value))
    yield from (sudo, exists, theirs, *sites)
    path = program.raw
    there = (_program(path, call.here),) if program.is_literal else ()
    as_printed = shlex.join(["sudo", "-n", "-l", "-u", user, *(one.text for one in variables)])
    lets = Need(
        f"{as_printed} {path} {' '.join(word.raw for word in words)}",
        lambda answer: _refusal(user, answer),
        f"a rule like: {'root' if found.uid == 0 else 'LOGIN'} ALL=({user}) NOPASSWD: SETENV: ALL",
        (sudo, exists, *there),
    )
    yield from there
    yield lets
    before = shlex.join(["sudo", "-n", "-u", user, *(one.text for one in variables)]) + " "
    after = (lets, *there, *sites)
    behind = Call(call.here, path, tuple(words), before, after, user, site, call.moot)
    yield from _of_program(behind)


def _refusal(user: str, answer: Answer) -> str:
    if answer.status == 0:
        return ""
    if "password" in answer.text:
        return f"sudo asks for a password before it runs a program as {user}"
    return f"sudo does not let the login run this as {user}: it says {answer.said}"


def _site(here: Here, folder: str) -> Iterator[Need]:
    """The site is there, answers, and has lists."""
    name = PurePosixPath(folder).name
    there = is_folder(folder)
    yield there
    site = here.site(folder)
    if site is None:
        why = here.found.silent.get(name)
        said = f"the site {folder} does not answer: {why}" if why else f"{folder} is no site here"
        yield Need("", lambda answer: said, "runbook sites shows which sites there are", (there,))
        return
    if not site.lists:
        why = f"the site {name} has no list: its lines on the page stand for none"
        yield fact(why, "nothing has to be done where it is meant to have none")


# -- Mailman's programs -------------------------------------------------------------------------


def _options(call: Call) -> Need:
    """The program's own help has each option that is printed."""
    name = PurePosixPath(call.program).name
    wanted = [option.partition("=")[0] for option in call.options if option != "--"]

    def judge(answer: Answer) -> str:
        if answer.status and answer.said.startswith("sudo: "):
            return _refusal(call.user, answer)
        if answer.status:
            return f"{name} --help fails: it says {answer.said}"
        lacking = [
            option
            for option in wanted
            if not re.search(rf"(?<![-\w]){re.escape(option)}(?![-\w])", answer.text)
        ]
        return f"{name} here has no option {', '.join(lacking)}" if lacking else ""

    return Need(
        call.line("--help"), judge, "see its --help; the page is for 2.1 and 2.2", call.after
    )


def _loadable(call: Call) -> Need:
    """Mailman can load every list of the site without changing any."""
    why = ""
    if call.site and (broken := call.here.broken.get(call.site.name)):
        name, detail = broken
        what = f"the list {name} of {call.site.name}" if name else f"the site {call.site.name}"
        why = f"{what} cannot be loaded as it is: {detail}"
    return fact(why, "restore its config.pck, or have Mailman load it once (list_lists)")


def _of_mailman(call: Call) -> Iterator[Need]:
    """One that changes lists: only what it offers is looked at."""
    yield _options(call)


def _names(call: Call) -> list[str]:
    return [one.name for one in call.here.of(call.site)] if call.site else []


def _list_lists(call: Call) -> Iterator[Need]:
    """It names the lists that there are."""
    options, loadable = _options(call), _loadable(call)
    yield from (options, loadable)
    names = sorted(_names(call))

    def judge(answer: Answer) -> str:
        found = re.findall(r"^\s+(\S+) - ", answer.text, re.MULTILINE)
        if answer.status == 0 and sorted(name.lower() for name in found) == names:
            return ""
        return f"list_lists does not name the lists that there are: it says {answer.said}"

    yield Need(call.line(*call.texts), judge, "", (options, loadable))


def _find_member(call: Call) -> Iterator[Need]:
    """It names the lists that have such a member."""
    options, loadable = _options(call), _loadable(call)
    yield from (options, loadable)
    patterns = [text for text in call.texts if not text.startswith("-")]
    having = {
        one.name
        for one in (call.here.of(call.site) if call.site else ())
        for member in one.has["members"]
        if any(re.search(pattern, member, re.IGNORECASE) for pattern in patterns)
    }

    def judge(answer: Answer) -> str:
        found = set(re.findall(r"^ +(\S+)$", answer.text, re.MULTILINE))
        if answer.status == 0 and found == having:
            return ""
        return f"find_member does not name the lists that have such a member: it says {answer.said}"

    yield Need(call.line(*call.texts), judge, "", (options, loadable))


def _withlist(call: Call) -> Iterator[Need]:
    """It loads each list, and gives a function the list and the arguments.

    The command is run as it is printed, with Python's own ``print`` in the place of the function.
    """
    options, loadable = _options(call), _loadable(call)
    yield from (options, loadable)
    words = call.texts
    at = words.index("-r") + 1
    arguments = words[at + 1 :]
    if arguments[:1] == ["--"]:
        arguments.pop(0)
    names = _names(call)
    if "-a" not in words:
        named = arguments.pop(0)
        if call.site and named not in names:
            call.moot.append(f"there is no list {named} on {call.site.name}")
            return
        names = [named]
    builtins = "__builtin__" if call.here.found.python.startswith("2.") else "builtins"
    harmless = [*words[:at], f"{builtins}.print", *words[at + 1 :]]
    given = "".join(f" {one}" for one in arguments)

    def judge(answer: Answer) -> str:
        lists = re.compile(r'^<mailing list "([^"]+)" \S+ at \w+>(.*)$', re.MULTILINE)
        printed = lists.findall(answer.text)
        if answer.status or not printed:
            return f"withlist calls no function: it says {answer.said}"
        if left_out := sorted(set(names) - {name for name, _ in printed}):
            return f"withlist calls no function for the list {left_out[0]}"
        if sorted(printed) != sorted((name, given) for name in names):
            return "withlist does not give a function each list once, and what follows it"
        return ""

    yield Need(call.line(*harmless), judge, "try it with a script of your own", (options, loadable))


def _python(call: Call) -> Iterator[Need]:
    """It imports what the code imports. The rest of the code is not run."""
    if len(call.texts) < 2 or call.texts[0] != "-c":
        raise UnknownError(f"Python with {call.texts}")
    imports = [
        ast.unparse(statement)
        for statement in ast.parse(call.texts[1]).body
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        or ast.unparse(statement).startswith("sys.path.insert(")
    ]
    # Mailman's programs have been compiled or cannot be: nothing is to be left behind.
    code = "; ".join(
        ["import sys", "sys.dont_write_bytecode = True", *imports, "print('imported')"]
    )
    yield Need(
        call.line("-c", code),
        lambda answer: (
            ""
            if answer.text.strip() == "imported"
            else f"Mailman's Python does not import Mailman: it says {answer.said}"
        ),
        "runbook sites shows what is wrong with it",
        call.after,
    )


# -- the system's programs ----------------------------------------------------------------------


def _folders(call: Call) -> Iterator[Need]:
    """Those of the files that it shows. The files themselves may come and go."""
    for text in call.texts:
        if text.startswith("/"):
            yield is_folder(posixpath.dirname(text))


def _ls(call: Call) -> Iterator[Need]:
    options = _known(call, "-l", "--time-style=full-iso")
    yield from _folders(call)
    yield _prints(
        call.line(*options, "-d", "/"),
        rf"d\S+ +\d+ \S+ +\S+ +\d+ {FORMS['STAMP']} /",
        "ls does not show times as on the page",
        call,
    )


def _stat(call: Call) -> Iterator[Need]:
    if call.texts[:1] != ["-c"] or len(call.texts) != 3:
        raise UnknownError(f"stat with {call.texts}")
    format = call.texts[1]
    wanted = re.escape(format).replace(re.escape("%.19z"), r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    if "%" in wanted:
        raise UnknownError(f"stat with the format {format}")
    yield _prints(
        call.line("-c", format, "/"), wanted, "stat does not show times as on the page", call
    )


#: What ``ps`` shows in its columns.
_COLUMNS = {
    "stat=": r"[A-Z]\S*",
    "lstart=": r"[A-Z]\w\w [A-Z]\w\w +\d+ \d\d:\d\d:\d\d \d{4}",
    "args=": r"\S.*",
}


def _ps(call: Call) -> Iterator[Need]:
    columns = [text for text in call.texts if text.endswith("=")]
    if call.texts != [*(w for c in columns for w in ("-o", c)), "-p", "$pid"]:
        raise UnknownError(f"ps with {call.texts}")
    if unknown := set(columns) - set(_COLUMNS):
        raise UnknownError(f"ps with the columns {unknown}")
    printed = call.line(*(word for column in columns for word in ("-o", column)))
    yield _prints(
        # No process has the second id: nothing is printed of it, and the status is not 0.
        f"{printed} -p $$ && ! {printed} -p 2147483646",
        " +".join(_COLUMNS[column] for column in columns),
        "ps does not show what the page has it show",
        call,
        "install the ps of procps",
    )


def _touch(call: Call) -> Iterator[Need]:
    if call.texts[:1] != ["-d"] or len(call.texts) != 3:
        raise UnknownError(f"touch with {call.texts}")
    line = f"{call.line('-c', '-d', call.texts[1])} {_NOTHING}"
    yield _prints(line, "", f"touch does not take the time {call.texts[1]!r}", call)


def _sed(call: Call) -> Iterator[Need]:
    match call.texts:
        case ["-n", script, path]:
            yield _prints(
                call.line("-n", script, path),
                r"\S.*",
                f"sed does not find the interpreter in {path}",
                _with(call, (*call.after, _file(path, _in_place(path, call.here)))),
                "runbook sites shows the interpreter",
            )
        case ["-i", "$e cat" as script, path]:
            file = _file(path)
            yield file
            yield _writable(path, file)
            cat = _program("cat", call.here)
            passes_on = _passes_on(Call(call.here, "cat", (), after=(cat,)))
            yield _prints(
                f"echo new 2> /dev/null | {call.line(script, '/proc/sys/kernel/ostype')}",
                r"new\nLinux",
                "sed has no command 'e'",
                _with(call, (*call.after, passes_on)),
            )
            yield Need(
                call.line("--help"),
                lambda answer: (
                    "" if re.search(r"(?<!\S)-i", answer.text) else "sed has no option -i"
                ),
                "install the sed of GNU",
                call.after,
            )
        case _:
            raise UnknownError(f"sed with {call.texts}")


def _grep(call: Call) -> Iterator[Need]:
    options = _known(call, "-iF")
    patterns = [text for text in call.texts if text not in options]
    if len(patterns) != 1:
        raise UnknownError(f"grep with {call.texts}")
    line = f"A{patterns[0].upper()}B"
    # In the second line a dot would match as a pattern, and does not as text.
    lines = shlex.join([line, patterns[0].replace(".", "x").replace(" ", "  "), "other"])
    yield _prints(
        f"printf '%s\\n' {lines} 2> /dev/null | {call.line(*options, patterns[0])}",
        re.escape(line.strip()),
        "grep does not find what the page has it find",
        call,
    )


def _tee(call: Call) -> Iterator[Need]:
    if len(call.texts) != 1:
        raise UnknownError(f"tee with {call.texts}")
    yield _prints(
        f"echo yes 2> /dev/null | {call.line('/dev/null')}", "yes", "tee passes nothing on", call
    )
    path = call.texts[0]
    yield _writable(path, *_in_place(path, call.here))


def _cat(call: Call) -> Iterator[Need]:
    _known(call)
    yield from _folders(call)
    yield _passes_on(call)


def _passes_on(cat: Call) -> Need:
    probe = f"echo yes 2> /dev/null | {cat.line()}"
    return _prints(probe, "yes", f"{cat.program} passes nothing on", cat)


def _rm(call: Call) -> Iterator[Need]:
    _known(call)
    yield Need(
        f"! {call.line()} {_NOTHING}",
        lambda answer: (
            f"rm says nothing of a file that is not there: {answer.said}" if answer.status else ""
        ),
        "install the rm of GNU",
        call.after,
    )


def _uname(call: Call) -> Iterator[Need]:
    _known(call, "-n")
    page = call.here.page.hostname

    def judge(answer: Answer) -> str:
        name = answer.text.strip()
        return "" if name == page else f"this host calls itself {name}, and the page says {page}"

    yield Need(call.line(*call.texts), judge, _SITE_TOML, call.after)


def _echo(call: Call) -> Iterator[Need]:
    _known(call)
    yield _prints(call.line("a  b"), "a  b", "echo prints something else", call)


#: What a shell's ``[`` is asked, for each operator: what is true, and what is not.
_TESTS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "=": (("a", "=", "a"), ("a", "=", "b")),
    "-gt": (("2", "-gt", "1"), ("1", "-gt", "2")),
    "-e": (("-e", "/"), ("-e", "/dev/null/x")),
    "-ef": (("/bin/sh", "-ef", "/bin/sh"), ("/bin/sh", "-ef", "/")),
    "!": (("!", "a", "=", "b"), ("!", "a", "=", "a")),
}


def _test(call: Call) -> Iterator[Need]:
    if call.texts[-1:] != ["]"]:
        raise UnknownError(f"[ with {call.texts}")
    # An operand has quotes or a number; what has neither is an operator.
    for operator in [word.raw for word in call.arguments[:-1]]:
        if operator in _TESTS:
            true, false = _TESTS[operator]
            yield Need(
                f"{call.line(*true, ']')} && ! {call.line(*false, ']')}",
                lambda answer, operator=operator: (  # type: ignore[misc]
                    f"the shell's [ does not know {operator}" if answer.status else ""
                ),
                "use the shell of Debian or Ubuntu",
            )
        elif not re.fullmatch(r'"[^"]*.*"|[0-9]+', operator):
            raise UnknownError(f"[ with the operator {operator}")


def _puppet(call: Call) -> Iterator[Need]:
    """It takes the options, and what it is to apply is there."""
    match call.texts:
        case ["apply", *options, path] if not path.startswith("-"):
            yield _file(path)
            modules = [o.partition("=")[2] for o in options if o.startswith("--modulepath=")]
            for searched in modules:
                yield _any_folder(searched.split(":"))
            # Puppet makes the parents of these where they are missing, whatever it is asked. Before
            # version 4 it had no codedir.
            folders = ("--confdir=/", "--vardir=/", "--logdir=/")
            line = call.line("apply", *options, *folders, "--version")
            yield _prints(
                f'said=$({line} --codedir=/ 2>&1) && echo "$said" || case $said in'
                f' *codedir*) {line};; *) echo "$said"; false;; esac',
                r"\d+(\.\d+)+",
                "puppet apply does not take the options of the page",
                call,
                "see puppet apply --help",
            )
        case _:
            raise UnknownError(f"puppet with {call.texts}")


def _any_folder(folders: Sequence[str]) -> Need:
    tests = " || ".join(f"[ -d {shlex.quote(folder)} ]" for folder in folders)
    return Need(
        tests,
        lambda answer: f"none of the folders {', '.join(folders)} is here" if answer.status else "",
        _SITE_TOML,
    )


def _known(call: Call, *options: str) -> list[str]:
    """The options of a call. Raises UnknownError for others than these."""
    if unknown := set(call.options) - set(options):
        raise UnknownError(f"{call.program} with {', '.join(sorted(unknown))}")
    return call.options


#: Mailman's own interpreter, which the page reads from the first line of a program.
PYTHON = "python"

TABLE: Mapping[str, Callable[[Call], Iterator[Need]]] = {
    PYTHON: _python,
    "[": _test,
    "cat": _cat,
    "config_list": _of_mailman,
    "echo": _echo,
    "find_member": _find_member,
    "grep": _grep,
    "list_lists": _list_lists,
    "ls": _ls,
    "ps": _ps,
    "puppet": _puppet,
    "remove_members": _of_mailman,
    "rm": _rm,
    "sed": _sed,
    "stat": _stat,
    "tee": _tee,
    "touch": _touch,
    "uname": _uname,
    "withlist": _withlist,
}
