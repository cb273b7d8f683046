"""The programs that run on the list server, and how they are packed to be sent there.

Each module of this package but this one is Python 2.7 and Python 3 at once, uses
the standard library alone, and is never imported here: it is read as text, sent
over standard input and executed from memory by Mailman's own Python. It leaves
no file on the host.
"""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

#: The options of the interpreter on the host: nothing is imported from where PYTHONPATH or
#: PYTHONHOME say, nor from the login's home. An empty entry of PYTHONPATH (``:/opt/lib``) would
#: be the current folder. Python 2.7 has no ``-I``.
OPTIONS = "-E -s"

#: Begins every launcher. ``python -c`` looks for modules in the current folder first, which may
#: be one where Mailman's user writes while the login is root's. Until that is put right nothing
#: may be imported but what is part of the interpreter.
_AT_ONCE = """\
import sys
sys.path[:] = [folder for folder in sys.path if folder[:1] == "/"]
import os
os.chdir("/")
"""

#: What the interpreter on the host is started with: reads code, whose size is its
#: argument, from standard input and runs it. Bytes are read one system call at a
#: time, so that whatever follows the code stays in the pipe.
LAUNCHER = (
    _AT_ONCE
    + """\
import zlib
def take(size, data=b""):
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            sys.exit(75)
        data += more
    return data
exec(zlib.decompress(take(int(sys.argv[1]))))
"""
)

#: The same where a connection has no standard input: the code is the argument.
LAUNCHER_WITHOUT_INPUT = (
    _AT_ONCE
    + """\
import base64, zlib
exec(zlib.decompress(base64.b64decode(sys.argv[1])))
"""
)


@cache
def source(name: str) -> str:
    """The text of the on-host program *name*, as the page prints it."""
    with open(_path(name), encoding="utf-8") as file:
        return file.read()


def _path(name: str) -> str:
    """The file of a program. On the host they are all in one place, those that are pasted too.

    A name with a dot is a module of another package. It is found, and not imported here either.
    """
    if "." in name:
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"there is no on-host program {name}")
        return spec.origin
    # importlib.resources would take longer to load than all of these together.
    folder = os.path.dirname(__file__)
    pasted = os.path.join(folder, "pasted", f"{name}.py")
    return pasted if os.path.exists(pasted) else os.path.join(folder, f"{name}.py")


@cache
def server() -> bytes:
    """Code for `LAUNCHER`: runs one program after the other from standard input."""
    return _packed(source("boot") + "\nserve()\n")


@dataclass(frozen=True)
class Program:
    """One conversation with a host: a module, its parameters, and how to run it.

    ``run(parameters, emit)`` of the module `name` is called: one of this package, or of another one
    with its full name (``acme.freeze.freezing``). Those of this package that it imports come along.
    Nothing of `parameters` ever meets a shell: they travel as JSON over standard input.

    The program stops after the list in hand when its standard input ends, which is how
    it learns of Ctrl-C here or of a lost connection.
    """

    name: str
    parameters: Mapping[str, object]
    #: user and group to become on the host when the login is root's
    run_as: tuple[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Another program of this module is likely to follow: what this one got ready is kept for it.
    lasts: bool = False

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The modules to send: those that are imported first, the one to run last."""
        found: list[str] = []
        _collect(self.name, found)
        return tuple(found)

    def parts(self) -> tuple[bytes, bytes]:
        """The program as the server wants it: its modules, and what is to be done."""
        order = {
            "parameters": self.parameters,
            "run_as": self.run_as,
            "environment": dict(self.environment),
            "lasts": self.lasts,
        }
        code = tuple((_called(name), source(name)) for name in self.modules)
        return _code(code), _packed(json.dumps(order))

    def frame(self) -> bytes:
        """The program as it follows the server on standard input.

        Its parts, each behind its size in 8 digits.
        """
        return b"".join(b"%08d%s" % (len(part), part) for part in self.parts())

    def argument(self) -> str:
        """Code for `LAUNCHER_WITHOUT_INPUT` that runs this program alone: text without a quote."""
        parts = [base64.b64encode(part).decode("ascii") for part in self.parts()]
        code = f"{source('boot')}\nimport base64\nonce(*map(base64.b64decode, {parts!r}))\n"
        return base64.b64encode(_packed(code)).decode("ascii")


@cache
def _code(modules: tuple[tuple[str, str], ...]) -> bytes:
    """Modules as they are sent. To many hosts, they are the same."""
    return _packed(json.dumps(modules))


def _called(name: str) -> str:
    """What a program is called on the host."""
    return name.rpartition(".")[2]


#: A module that is imported. What the host has itself is not in this folder.
_IMPORTED = re.compile(r"^ *(?:import|from) (\w+)", re.MULTILINE)


def _collect(name: str, found: list[str]) -> None:
    """Put the module `name` behind those that it imports, each once."""
    for imported in _IMPORTED.findall(source(name)):
        if imported not in ("boot", name, *found) and os.path.exists(_path(imported)):
            if imported == _called(name):
                raise ValueError(f"{name} imports the program of ours that has its name")
            _collect(imported, found)
    if name not in found:
        found.append(name)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8"))
