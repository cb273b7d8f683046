# Runs a step of a procedure as it is printed, and keeps a record of it.
#
# Python 2.7 and 3, standard library alone. It runs as whoever logged in, as a reader would, who
# may be root. So it neither imports Mailman nor opens what Mailman's user may have put somewhere:
# the journal is written by a process that has become that user.
#
# The command has no input. What it prints comes through a pipe. It also has a terminal, for what
# asks there whatever its input is: newlist and sudo, for a password. Ctrl-C is typed on that
# terminal, and so it reaches each process of the command once. (sudo passes on a signal that
# another process has sent, and the program behind it would get two.)
from __future__ import print_function

import errno
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

import journal
import masking
from boot import as_json, become, fork, keep_open, native, retried, secret, write_all

# Seconds: between two looks whether the command has ended; for a shell to start, which may lose a
# Ctrl-C just before it starts its first program (dash does); of silence after which it is taken to
# wait for an answer; for it to end after each attempt to end it.
PAUSE = 0.1
STARTING = 0.3
SILENCE = 1.0
ENDING = 10
# The most characters of an output that are kept in the journal, from its beginning and its end.
KEPT = 20000
CTRL_C, CTRL_D = b"\x03", b"\x04"
# How the interpreter was found; nothing of the reader's.
OURS = ("RUNBOOK_BIN", "RUNBOOK_OTHERS", "PYTHONDONTWRITEBYTECODE")


class Command(object):
    """A command, running. `secret`: what is typed when it asks a question with the word `asks`."""

    def __init__(self, command, variables, asks, secret, hear):
        self.asks, self.secret, self.hear = asks.encode("utf-8"), secret, hear
        self.pipe, writing = os.pipe()
        # The other end stays open here: without anybody on it, a terminal cannot be waited for.
        self.terminal, self.slave = pty.openpty()
        silence(self.slave)
        starting, started = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            try:
                begin(command, variables, writing, self.slave)
            finally:
                os._exit(127)
        os.close(writing)
        os.close(started)
        retried(os.read, starting, 1)  # until it has the terminal: a Ctrl-C would be lost
        os.close(starting)
        self.rest = {self.pipe: b"", self.terminal: b""}
        self.began = self.said = time.time()
        self.answered = None

    def follow(self, stopping):
        """(what waitpid() says of its end, whether it was interrupted)."""
        status, endings, until = None, [], None
        while True:
            if not endings and stopping() and not 0 <= time.time() - self.began < STARTING:
                endings = [self.interrupt, self.terminate, self.kill]
            if endings and status is None and (until is None or time.time() > until):
                endings.pop(0)()
                until = time.time() + ENDING
                endings = endings or [self.kill]
            heard = self.listen()
            if status is None:
                pid, found = retried(os.waitpid, self.pid, os.WNOHANG)
                status = found if pid else None
                ended = time.time()
            # What it left running in the background may go on, and has its output.
            elif heard is None or (not heard and time.time() - ended > PAUSE):
                break
            if heard is None and status is None:
                time.sleep(PAUSE)
            self.answer()
        self.flush()
        for fd in (self.pipe, self.terminal, self.slave):
            os.close(fd)
        return status, until is not None

    def listen(self):
        """Hear what has been printed: whether there was any. None: the pipe has ended."""
        there = [fd for fd in (self.pipe, self.terminal) if fd in self.rest]
        heard = None if self.pipe not in self.rest else False
        for fd in retried(select.select, there, [], [], PAUSE)[0]:
            data = retried(os.read, fd, 65536)
            if not data:
                self.flush_one(fd)
                del self.rest[fd]
                continue
            heard, self.said = True, time.time()
            if fd == self.terminal:
                data = data.replace(b"\r\n", b"\n")
            lines = (self.rest[fd] + data).split(b"\n")
            self.rest[fd] = lines.pop()
            self.tell([line + b"\n" for line in lines])
        return heard

    def answer(self):
        """Answer a question on the terminal; one that the page does not mention, with its end."""
        question = self.rest.get(self.terminal)
        if not question or question == self.answered:
            return
        if self.asks and self.asks in question and question.endswith(b": "):
            self.asks, self.answered = b"", question
            write_all(self.terminal, self.secret + b"\n")
        elif time.time() - self.said > SILENCE:
            write_all(self.terminal, CTRL_D)
            self.flush_one(self.terminal)

    def flush(self):
        for fd in list(self.rest):
            self.flush_one(fd)

    def flush_one(self, fd):
        if self.rest[fd]:
            self.tell([self.rest[fd] + b"\n"])
            self.rest[fd] = b""

    def tell(self, lines):
        self.hear([masking.hide_bytes(line).decode("utf-8", "replace") for line in lines])

    def interrupt(self):
        write_all(self.terminal, CTRL_C)

    def terminate(self):
        self.send(signal.SIGTERM)

    def kill(self):
        self.send(signal.SIGKILL)

    def send(self, number):
        try:
            os.killpg(self.pid, number)
        except OSError as e:
            if e.errno != errno.ESRCH:
                raise


def silence(terminal):
    """Have a terminal not show what is typed."""
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def begin(command, variables, output, terminal):
    """Become the command, in a process of its own."""
    # Python ignores some for itself, and what it starts would go on ignoring them.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(fd, number)
    keep_open()  # and with the rest it closes what its parent waits for
    environment = dict((k, v) for k, v in os.environ.items() if k not in OURS)
    environment.update(variables)
    os.execve("/bin/sh", ["/bin/sh", "-c", command], environment)


# -- on record ------------------------------------------------------------------------------


def on_record(parameters, emit, step=None, end=None):
    """Write to the journal, as Mailman's user: begin the run, note a `step`, end it.

    Returns whether it could be written; if not, why is an event.
    """
    kept = parameters["journal"]
    # It lives as long as the connection, and as the run does if that is not made anew.
    connection = os.getppid()

    def write():
        if kept.get("run"):
            record = journal.Record.again(kept, kept["run"], kept["room"])
        else:
            record = journal.Record(kept, connection)
        if step is not None:
            record.step(masking.hidden(step), connection)
        if end is not None:
            record.write_end(end["state"], end["counts"])
        return {"run": record.run, "room": record.room, "path": record.path}

    answer = apart(kept["user"], kept["group"], write)
    if "error" in answer:
        emit({"event": "unrecorded", "why": answer["error"], "begun": bool(kept.get("run"))})
        return False
    if not kept.get("run"):
        kept.update(run=answer["run"], room=answer["room"])
        emit({"event": "recorded", "run": answer["run"], "path": answer["path"],
              "room": answer["room"]})
    return True


def apart(user, group, write):
    """What `write` returns in a process that has become another user; "error": what it raised."""
    reading, writing = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            os.close(reading)
            become(user, group)
            try:
                answer = write()
            except Exception as e:
                answer = {"error": str(e)}
            write_all(writing, as_json(answer))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    retried(os.waitpid, pid, 0)
    return native(json.loads(told.decode("ascii"))) if told else {"error": "it was killed"}


def shortened(text):
    if len(text) <= KEPT:
        return text
    half = KEPT // 2
    return u"%s\n(%d characters left out)\n%s" % (text[:half], len(text) - 2 * half, text[-half:])


# -- what is asked for ------------------------------------------------------------------------


def carry_out(parameters, emit):
    """Run a command, on record."""
    hidden = secret(parameters["secret"])
    if hidden:
        masking.remember(native(hidden.decode("ascii")))
    step = parameters["step"]
    if not on_record(parameters, emit, dict(step, how="begun")):
        return
    # From now on, Ctrl-C is for the command.
    emit({"event": "begun"})
    printed = []

    def hear(lines):
        printed.extend(lines)
        emit(*[{"event": "printed", "text": line} for line in lines])

    variables = {}
    if parameters["variable"]:
        variables[parameters["variable"]] = native(hidden.decode("ascii"))
    running = Command(parameters["command"], variables, parameters["asks"], hidden, hear)
    ended, interrupted = running.follow(emit.stopping)
    status = os.WEXITSTATUS(ended) if os.WIFEXITED(ended) else 128 + os.WTERMSIG(ended)
    done = dict(step, how="interrupted" if interrupted else "run", status=status,
                printed=shortened(u"".join(printed)))
    on_record(parameters, emit, done)
    emit({"event": "stepped", "status": status, "interrupted": interrupted})


def ask(command, emit):
    """What a command prints that only looks."""
    with open(os.devnull) as nothing:
        child = subprocess.Popen(["/bin/sh", "-c", command], stdin=nothing,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=True)
        out, err = child.communicate()
    emit({"event": "answer", "text": out.decode("utf-8", "replace"),
          "complaint": err.decode("utf-8", "replace"), "status": child.returncode})


def run(parameters, emit):
    """{"action": "ask", "command"}, {"action": "run", ...}, or "note": a step, or the end."""
    if parameters["action"] == "ask":
        ask(parameters["command"], emit)
    elif parameters["action"] == "run":
        carry_out(parameters, emit)
    else:
        on_record(parameters, emit, parameters["step"], parameters["end"])
