"""The programs that run on the list server, and how they are packed to be sent there.

Each module of this package but this one is Python 2.7 and Python 3 at once, uses
the standard library alone, and is never imported here: it is read as text, sent
over standard input and executed from memory by Mailman's own Python. It leaves
no file on the host.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

#: What the interpreter on the host is started with: reads the program, whose size
#: is its argument, from standard input and runs it. Bytes are read one system call
#: at a time, so that whatever follows the program stays in the pipe.
LAUNCHER = """\
import os, sys, zlib
def read(size, data=b""):
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            sys.exit(75)
        data += more
    return data
exec(zlib.decompress(read(int(sys.argv[1]))))
"""

#: The same where a connection has no standard input: the program is the argument.
LAUNCHER_WITHOUT_INPUT = """\
import base64, sys, zlib
exec(zlib.decompress(base64.b64decode(sys.argv[1])))
"""


@cache
def source(name: str) -> str:
    """The text of the on-host program *name*, as the page prints it."""
    return files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Program:
    """One conversation with a host: modules, the parameters, and how to run them.

    The last of `modules` is the one whose ``run(parameters, emit)`` is called; those
    before it are what it imports. Nothing of `parameters` ever meets a shell: they
    travel as JSON over standard input.
    """

    modules: tuple[str, ...]
    parameters: Mapping[str, object]
    #: user and group to become on the host when the login is root's
    run_as: tuple[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def pack(self, *, watch_input: bool) -> bytes:
        """The program as the launcher wants it.

        `watch_input`: the program stops after the list in hand when its standard
        input ends, which is how it learns of Ctrl-C here or of a lost connection.
        """
        payload = {
            "modules": [[name, source(name)] for name in self.modules],
            "parameters": self.parameters,
            "run_as": self.run_as,
            "environment": dict(self.environment),
            "watch_input": watch_input,
        }
        # repr() of ASCII JSON is a string literal in Python 2 and 3 alike.
        text = source("boot") + f"\nmain({json.dumps(payload)!r})\n"
        return zlib.compress(text.encode("utf-8"), 9)


def as_argument(packed: bytes) -> str:
    """The packed program as text without a blank or a quote."""
    return base64.b64encode(packed).decode("ascii")

