"""``runbook``, run by a process that has imported what the command needs, and forks for each run.

Most of what a short command costs here are its imports; so they are paid for once. A run is
``python -m runbooks`` all the same: in a process of its own, with the arguments, the environment,
the folder and the streams that it is given. What depends on how the command is started (signals,
terminals, other settings of Python) is for the tests that start it themselves.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from runbooks.book.whose import VARIABLE

ROOT = Path(__file__).resolve().parents[2]

#: What is read as Python starts or a module is imported. Where it differs, the command is started.
_READ_EARLY = ("PYTHON", "LC_", "LANG", "LD_", VARIABLE)

#: Bytes of a request, which comes in one piece, and of what a pipe takes before anybody reads.
_LONGEST, _PIPE = 1 << 18, 1 << 15

#: Tests that run commands at once begin with threads: one of them starts the process.
_starting = threading.Lock()


def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command with the arguments `words`; what it printed is captured as text.

    `options`: `env`, `cwd`, `input`, `stdin`, `timeout` (seconds), `errors`, as subprocess.run has
    them. Raises TimeoutExpired.
    """
    environment = dict(options.get("env") or os.environ)
    if _early(environment) != _early(dict(os.environ)) or len(options.get("input") or "") > _PIPE:
        command = [sys.executable, "-m", "runbooks", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)
    options["env"] = environment
    try:
        return _run(words, **options)
    except BrokenPipeError:  # somebody killed the process that forks
        _server.cache_clear()
        return _run(words, **options)


def _early(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_EARLY)}


def _run(
    words: list[str],
    *,
    env: dict[str, str],
    cwd: str | Path | None = None,
    input: str | None = None,
    stdin: int | None = None,
    timeout: float | None = None,
    errors: str = "strict",
) -> subprocess.CompletedProcess[str]:
    source = _source(input, stdin)
    pipes = [os.pipe() for _ in range(3)]
    request = json.dumps({"words": words, "env": env, "cwd": str(cwd or Path.cwd())}).encode()
    theirs = [source, *(end for _, end in pipes)]
    try:
        with _starting:
            server = _server()[0]
        socket.send_fds(server, [request], theirs)
    finally:
        for end in theirs:
            os.close(end)
    # The third pipe says the process id, and how it ended.
    heard = [b"", b"", b""]
    try:
        with selectors.DefaultSelector() as open_ends:
            for number, (end, _) in enumerate(pipes):
                open_ends.register(end, selectors.EVENT_READ, number)
            deadline = time.monotonic() + (timeout or 3600)
            while open_ends.get_map():
                for key, _ in open_ends.select(max(0, deadline - time.monotonic())):
                    data = os.read(key.fd, 65536)
                    heard[key.data] += data
                    if not data:
                        open_ends.unregister(key.fd)
                if time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(words, timeout or 3600, *heard[:2])
    except BaseException:
        match heard[2].split():
            case [pid]:
                os.kill(int(pid), signal.SIGKILL)
        raise
    finally:
        for end, _ in pipes:
            os.close(end)
    out, err = (re.sub("\r\n?", "\n", part.decode(errors=errors)) for part in heard[:2])
    return subprocess.CompletedProcess(words, int(heard[2].split()[1]), out, err)


def _source(text: str | None, stdin: int | None) -> int:
    """The standard input of a run."""
    if text is None and stdin is None:
        return os.dup(0)
    if text is None and stdin == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR)
    if text is None:
        raise NotImplementedError(f"standard input from {stdin!r}")
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    return reader


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The process that forks, and the way to it. It ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LONGEST)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours, process


# -- in the process that forks --------------------------------------------------------------


def _import_all() -> None:
    import testinfra.backend.docker
    import testinfra.backend.local

    from runbooks import cli
    from runbooks.procedures import load

    for name, (module, _) in cli.ours().items():
        if module:
            load(module, "command", name.replace("-", "_"))
    assert testinfra


def _serve(requests: socket.socket) -> list[str] | None:
    """Fork for each request. In the new process its arguments; None when there are no more."""
    told: dict[int, int] = {}
    woken, waking = socket.socketpair()
    for end in (woken, waking):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waking.fileno())
    while True:
        ready = select.select([requests, woken], [], [])[0]
        if woken in ready:
            woken.recv(4096)
            for pid in list(told):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    _tell(told[pid], os.waitstatus_to_exitcode(status))
                    os.close(told.pop(pid))
        if requests not in ready:
            continue
        request, fds, _, _ = socket.recv_fds(requests, _LONGEST, 4)
        if not request:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (requests, woken, waking):
                end.close()
            for fd in (*told.values(), fds.pop()):
                os.close(fd)
            return _become(json.loads(request), fds)
        for fd in fds[:3]:
            os.close(fd)
        told[pid] = fds[3]
        _tell(fds[3], pid)


def _tell(fd: int, number: int) -> None:
    # Whoever asked may have given up, or have been interrupted.
    with contextlib.suppress(BrokenPipeError):
        os.write(fd, b"%d " % number)


def _become(request: dict[str, Any], streams: list[int]) -> list[str]:
    """Be the process that was asked for, as it is when Python has started in it."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.path[0] = request["cwd"]
    # As Python makes them, for as long as the process lasts.
    sys.stdin = open(0, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", errors=sys.stdout.errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors=sys.stderr.errors, closefd=False)  # noqa: SIM115
    return list(request["words"])


if __name__ == "__main__":
    _import_all()
    gc.freeze()
    arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        sys.argv[1:] = arguments
        runpy.run_module("runbooks", run_name="__main__", alter_sys=True)
