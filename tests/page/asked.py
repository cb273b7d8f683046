"""What a list server says of itself: what a sentence on a page may name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from runbooks.book.whose import whose
from runbooks.testing.containers.box import PROGRAMS, Box

#: Where a page may have the reader look for files.
FOLDERS = (
    *("/etc/mailman", "/usr/lib/mailman", "/var/lib/mailman"),
    *(whose().mailman.sites, whose().manifest.checkout),
)

#: Programs whose options are not all in the first help that they give.
HELP = {
    "ps": "ps --help all; ps L",
    "kill": 'kill --help; for number in $(seq 31); do echo "-$(kill -l $number)"; done',
}

#: Puppet is told to make a list, and ``newlist`` does not take its administrator.
REFUSED = "maillist { 'refused': ensure => present, admin => 'nobody', password => 'page' }"

#: What a list and its settings are, under Mailman's own Python. The arguments: a list, and where
#: the programs are.
INSIDE = """
import json, sys
sys.path.insert(0, sys.argv[2])
import paths
from Mailman import Errors, LockFile, MailList, mm_cfg
mlist = MailList.MailList(sys.argv[1], lock=0)
methods = {}
for name in dir(MailList.MailList):
    code = getattr(getattr(MailList.MailList, name), "__code__", None)
    if code is not None:
        methods[name] = code.co_varnames[:code.co_argcount]
# Python's own are in `exceptions`, or in `builtins`.
modules = sys.modules[Exception.__module__], Errors, LockFile
json.dump({
    "attributes": sorted(vars(mlist)),
    "methods": methods,
    "settings": [name for name in dir(mm_cfg) if name.isupper()],
    "folders": [value for value in vars(mm_cfg).values() if str(value).startswith("/")],
    "exceptions": [
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Exception)
    ],
}, sys.stdout)
"""


@dataclass
class Server:
    """A list server on which the procedures were done, and its answers."""

    box: Box
    site: str
    list: str
    #: every file that there was at some time, and every folder
    files: set[str]
    programs: set[str] = field(default_factory=set)
    #: what a shell does itself
    builtins: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    exceptions: set[str] = field(default_factory=set)
    #: the methods of a list, and what each takes
    methods: dict[str, list[str]] = field(default_factory=dict)
    #: Puppet's type for lists, and its parameters
    puppet: set[str] = field(default_factory=set)
    #: the letters that `ps` has for what a process does
    process_states: set[str] = field(default_factory=set)
    #: what programs say
    said: list[str] = field(default_factory=list)
    _helps: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        environment = self.box.environment(self.site)
        path = f"{PROGRAMS} $(echo $PATH | tr : ' ')"
        self.programs = set(self._lines(f"ls {path} 2> /dev/null; true")) - {""}
        self.builtins = set(self._lines("bash -c 'compgen -b'"))
        self.users = {line.partition(":")[0] for line in self._lines("getent passwd")}
        self.variables = {line.partition("=")[0] for line in self._lines("env")}
        settings = self._text("cat /etc/mailman/mm_cfg.py")
        self.variables |= set(re.findall(r"os\.environ\W+(\w+)", settings))
        done = self.box.run(
            [*self.box.mailman.interpreter, "-c", INSIDE, self.list, PROGRAMS],
            user="list",
            env=environment,
        )
        assert done.rc == 0, done.stderr
        inside = json.loads(done.stdout)
        self.attributes = set(inside["attributes"])
        self.settings = set(inside["settings"])
        self.exceptions = set(inside["exceptions"])
        self.methods = inside["methods"]
        # Those of the queues are made when the first message comes.
        self.files |= set(inside["folders"])
        described = self._text("puppet describe maillist")
        self.puppet = {"maillist", *re.findall(r"^- \*\*(\w+)\*\*", described, re.MULTILINE)}
        assert len(self.puppet) > 5, described
        self.process_states = {
            line[:1]
            for line in self._lines(
                # A moment passes until a process that was told to stop has stopped.
                "sleep 60 & kill -STOP $!\n"
                "for try in $(seq 100); do\n"
                "  ps -o stat= -p $! | grep -q T && break; sleep 0.1\n"
                "done\n"
                "ps -e -o stat=; kill -KILL $!; wait $! || true"
            )
        }
        self.said = [
            self._text(f"{PROGRAMS}/list_lists"),
            self._missing_module("owners"),
            self._failing_newlist(),
        ]

    def _text(self, script: str) -> str:
        done = self.box.sh(script)
        assert done.rc == 0, f"{script}: {done.stdout}{done.stderr}"
        return done.stdout

    def _lines(self, script: str) -> list[str]:
        return self._text(script).splitlines()

    def _missing_module(self, name: str) -> str:
        """How Mailman's Python complains of a module that is not there, in the words of 2.7."""
        done = self.box.run([*self.box.mailman.interpreter, "-c", f"import {name}"])
        assert done.rc != 0
        return done.stderr.replace("ModuleNotFoundError", "ImportError").replace("'", "")

    def _failing_newlist(self) -> str:
        """How Puppet complains of a program that fails, without what that program says."""
        done = self.box.run(
            ["puppet", "apply", "--color=false", "-e", REFUSED], env=self._environment
        )
        errors = [line for line in done.stderr.splitlines() if "Execution of" in line]
        assert errors, done.stdout + done.stderr
        return "\n".join(errors)

    # -- answers ------------------------------------------------------------------------------

    def is_about(self, path: str) -> bool:
        """Whether a path is one of this site layout: a site is in one place or in the other."""
        single = PurePosixPath(path).is_relative_to("/var/lib/mailman")
        return single == (self.box.layout == "single")

    def has_option(self, program: str, option: str) -> bool:
        """Whether the help of a program has an option, or each of several letters in one word."""
        letters = [f"-{letter}" for letter in option[1:]]
        return self._helps_with(program, option) or (
            re.fullmatch(r"-[A-Za-z]{2,}", option) is not None
            and all(letter in self._options_of_one_letter(program) for letter in letters)
        )

    def _options_of_one_letter(self, program: str) -> set[str]:
        return set(re.findall(r"^\s*(-\w)\b", self._help(program), re.MULTILINE))

    def begins_a_line(self, word: str) -> bool:
        """Whether a program calls what it says by a word, as in ``Error: …``."""
        return any(line.startswith(f"{word}:") for text in self.said for line in text.splitlines())

    def _helps_with(self, program: str, word: str) -> bool:
        """Whether the help of a program has a word."""
        whole = re.compile(rf"(?<![-\w]){re.escape(word)}(?![-\w])")
        return whole.search(self._help(program)) is not None

    def _help(self, program: str) -> str:
        if program not in self._helps:
            path = f"{PROGRAMS}/{program}" if self._is_mailmans(program) else program
            done = self.box.sh(HELP.get(program, f"{path} --help"), env=self._environment)
            self._helps[program] = done.stdout + done.stderr
        return self._helps[program]

    @property
    def _environment(self) -> dict[str, str]:
        return self.box.environment(self.site)

    def _is_mailmans(self, program: str) -> bool:
        return f"{PROGRAMS}/{program}" in self.files

    def knows_argument(self, program: str, word: str) -> bool:
        """Whether a word behind a program is in its help, or names something itself."""
        return (
            self._helps_with(program, word)
            or word in self.programs | self.users
            or f"{PROGRAMS}/{word}.py" in self.files
        )

    def kind_of(self, name: str, everywhere: bool) -> str | None:
        """What a name is. `everywhere`: also what is not Mailman's."""
        kinds = {
            "an attribute of a list": self.attributes,
            "a method of a list": set(self.methods),
            "a setting of Mailman": self.settings,
            "an exception of Mailman or of Python": self.exceptions,
            "a parameter of Puppet's maillist": self.puppet,
        }
        if everywhere:
            kinds |= {
                "a program": self.programs,
                "a command of the shell": self.builtins,
                "a user": self.users,
            }
        found = next((kind for kind, names in kinds.items() if name in names), None)
        if found is None and self._is_mailmans(name):
            return "a program of Mailman"
        if found is None and any(f"/{path}".endswith(f"/{name}") for path in self.files):
            return "a file"
        return found


def files_of(box: Box) -> set[str]:
    """Every file and folder that a page may speak of, as they are now."""
    # Not every layout has each of them.
    folders = f"$(ls -d {' '.join(FOLDERS)} 2> /dev/null)"
    found = box.sh(f"find / -maxdepth 1; find /etc -maxdepth 1; find -H {folders}")
    assert found.rc == 0, found.stderr
    return set(found.stdout.splitlines())
