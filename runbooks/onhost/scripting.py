# What `runbook withlist` does on each list: calls a function of a script on it.
#
# Python 2.7 and 3, standard library alone. The script has a process of its own (runner.py)
# that serves one list after the other, as under withlist -a. This side watches it. Whatever
# happens, it passes on what the script prints, in bounded memory, keeps the state that each
# list had before, unlocks what the script left locked, and says what became of the list.
#
# A rehearsal (--dry-run) does the same on copies of the lists in a private folder. The folder
# is removed at the end, by whichever process lives longest; if all were killed at once, by the
# next run. Mailman's own modules then write nowhere else, and send nothing: their folders for
# lists, held messages, locks, logs, queues and archives are all below that folder. Nothing
# stops a script that opens files by paths of its own, connects somewhere or starts programs.
from __future__ import print_function

import ast
import base64
import errno
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time

import journal
import lists
import mailmanlist
import masking
import runner
import saving
import statefiles
from boot import as_json, ended_how, fork, keep_open, native, retried, secret, write_all

# The most bytes of a line that are passed on at a time.
LONGEST_LINE = 8192
# Seconds that an interrupted script has left, and then to end when it is asked to.
GRACE = 10
ENDING = 2
# The names of folders with copies begin with this.
COPIES = "runbook-rehearsal-"
# What may help after an exception, by how the script uses locks.
HINTS = {
    "never locks": "nobody locked the list: --lock locks it first, as withlist -l does",
    "locks by itself": "the script locks the list itself: leave out --lock"}


class Scripting(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.site = site
        self.parameters = parameters
        self.action = parameters["action"]
        self.process = None
        self.until = None
        self.enough = False
        self.scratch = None
        self.parent = os.getppid()
        if self.action == "look":
            return
        signal.signal(signal.SIGUSR1, self.stop)
        from Mailman import mm_cfg
        self.files = statefiles.Files(site["list_dir"], mm_cfg.DATA_DIR)
        if self.action == "run":
            parameters["saved"] = saved_by(parameters)
        if self.action == "rehearse":
            self.scratch = tempfile.mkdtemp(prefix="%s-" % site["name"], dir=parameters["scratch"])
        lists.at_end.append(self.end)

    def stop(self, signum, frame):
        self.enough = True

    def end(self):
        if self.process:
            self.process.finish()
        if self.scratch:
            # The whole folder goes at the end of the run; when that was killed, nobody else
            # does it.
            orphaned = os.getppid() != self.parent
            folder = self.parameters["scratch"] if orphaned else self.scratch
            shutil.rmtree(folder, ignore_errors=True)

    # -- one list -----------------------------------------------------------------------

    def has_lock(self, name):
        return os.path.lexists(os.path.join(self.site["lock_dir"], name + ".lock"))

    def look(self, name):
        from Mailman import Utils
        if not Utils.list_exists(name):
            return {"outcome": "gone", "detail": "there is no such list"}
        return {"outcome": "looked", "has_lock": self.has_lock(name), "detail": ""}

    def run(self, name, wait):
        """Call the function for a list, once, whatever happens."""
        patience = self.parameters["timeout"]
        if self.action == "run" and self.has_lock(name):
            if not wait:
                return {"outcome": "locked", "detail": ""}
            # Locked lists come last, and share the time for waiting.
            self.until = self.until or time.time() + patience
            while self.has_lock(name) and time.time() < self.until and not self.enough:
                retried(time.sleep, 0.1)
            patience = self.until - time.time()
        return self.call(name, max(patience, mailmanlist.BRIEFLY))

    def call(self, name, patience):
        fresh, before = False, None
        if self.action == "run":
            saved = self.kept(name)
            # The script may have changed this list when it was called for another. Then the
            # state from before that is the one to go back to.
            fresh = not saved.exists() and os.path.exists(self.files.path(name, statefiles.CONFIG))
            before = saved.keep(self.files) if fresh else self.files.digests(name)
        if self.process is None:
            self.process = Process(self.site, self.parameters, self.scratch)
        text = Lines()
        order = {"list": name, "before": before, "fresh": fresh, "patience": patience}
        found = self.process.work(order, text, lambda: self.enough)
        left = []
        if self.action == "run":
            left = self.process.release(self.site["lock_dir"], self.note)
        if found is None:
            how = self.process.ended(self.enough)
            self.process = None
            found = {"raised": how, "noted": how, "died": True}
        text.end()
        if found.get("trouble") == "locked":  # the function was not called
            if fresh:
                saved.drop()
            return {"outcome": "locked", "detail": ""}
        return self.answer(name, found, left, before)

    def kept(self, name):
        return saving.Saved(self.parameters["saved"], self.site["name"], name)

    def note(self, name):
        """Record how the script left a list that it still has locked: nobody else changed it."""
        saved = self.kept(name)
        if saved.exists():
            saved.mark(self.files.digests(name), saved.after()["mixed"])

    def answer(self, name, found, left, before):
        """What became of the list, for the command and for the journal."""
        answer = {"outcome": "unchanged", "detail": "", "noted": "", "notes": []}
        if self.action == "run":
            answer.update(self.settle(name, before))
        elif "differences" in found:
            own = found["differences"].pop(name, [])
            answer.update(changes=own, others=found["differences"])
            if own:
                answer["outcome"] = "planned"
        notes = answer["notes"]
        locked_here = self.parameters["lock"]  # then the script did not lock it
        if found.get("left_locked") or name in left and not locked_here:
            notes.append("the script left it locked; it was unlocked")
        for other in left:
            if other != name:
                notes.append("the script left %s locked; it was unlocked" % other)
        others = [other for other in found.get("saved", ()) if other != name]
        if others and self.action == "run":
            notes.append("the script changed other lists as well: %s" % ", ".join(others))
        if found.get("unsaved"):
            notes.append("the script changed %s in memory and did not save it"
                         % ", ".join(found["unsaved"]))
        if "broken" in found:
            answer.update(outcome="error", detail=found["broken"], hopeless=True,
                          noted="the script does not load")
        elif found.get("trouble"):
            answer.update(outcome="error" if found["trouble"] == "gone" else "corrupt",
                          detail=found["detail"], noted=found["detail"])
        elif found.get("timed_out") and "TimeOutError" in found.get("raised", "TimeOutError"):
            answer.update(outcome="error", locked=True, detail="the script could not lock it",
                          noted="the script could not lock it")
        elif "raised" in found:
            answer.update(outcome="error", detail=found["raised"], noted=found["noted"])
        elif "exit" in found:
            code = found["exit"]
            if code in (None, 0):
                notes.append("the script called sys.exit(), which would have ended withlist")
            else:
                answer.update(outcome="error", noted="sys.exit", detail="sys.exit(%s)" % (
                    json.dumps(code) if isinstance(code, str) else code))
        what = answer.get("changed", []) + statefiles.counted(answer.get("files", ()))
        if answer["outcome"] == "error" and what:
            what = "; it had changed %s by then" % ", ".join(what)
            answer["detail"] += what
            answer["noted"] += what
        if found.get("hint"):
            answer["detail"] += "\n" + HINTS[found["hint"]]
        if "traceback" in found:
            answer["traceback"] = found["traceback"]
        return answer

    def settle(self, name, before):
        """What was changed of the list, and whether its state from before is worth keeping."""
        saved, now = self.kept(name), self.files.digests(name)
        if not saved.exists():  # it had no config.pck
            files = statefiles.differing_files(before, now)
            if not files:
                return {}
            return {"outcome": "changed", "files": files,
                    "kept": {"files": statefiles.counted(files)},
                    "notes": ["it had no config.pck before: nothing of it is kept"]}
        before = saved.before()
        if now == before:
            saved.drop()
            return {}
        left, mixed = saved.after()["left"], saved.after()["mixed"]
        if left is None or statefiles.CONFIG not in now:
            # The script neither locked the list in its process nor saved it there.
            left, mixed = now, True
        strays = statefiles.differing_files(left, now)
        saved.mark(left, mixed, strays)
        touched = saved.touched()
        found = dict(self.changes(name, saved, sorted(set(touched + strays))), notes=[])
        saved.narrow(touched + strays)
        saved.sync()
        if statefiles.CONFIG not in now:
            found["notes"] = ["its state is gone; that from before stays in %s" % saved.folder]
        elif mixed or set(strays) & set(touched):
            found["notes"] = ["somebody else changed it in the same moment, or the script without"
                              " its lock; --restore will leave it alone"]
        elif strays:
            found["notes"] = ["somebody else, or the script without its lock, changed %s;"
                              " --restore will leave that alone"
                              % ", ".join(statefiles.counted(strays))]
        return found

    def changes(self, name, saved, files):
        """What has changed in the files that differ, as part of an answer."""
        before = saved.before()
        named = statefiles.changes(
            dict((file, saved.content(file) if file in before else None) for file in files),
            dict((file, self.files.content(name, file)) for file in files))
        found = {"kept": {"state": "kept"}}
        differ = [one["name"] for one in named]
        beside = [file for file in files if file != statefiles.CONFIG and (
            file in differ or file.startswith(statefiles.HELD))]
        changed = [one for one in differ if one not in beside + [statefiles.HELD_MESSAGES]]
        if changed:
            found["changed"] = found["kept"]["changed"] = changed
        if beside:
            found["files"], found["kept"]["files"] = beside, statefiles.counted(beside)
        if changed or beside:
            found["outcome"] = "changed"
        return found


def saved_by(parameters):
    """Where this run keeps what it replaces."""
    return saving.folder_of(parameters["journal"]["folder"], parameters["run"])


class Process(object):
    """The process of the script."""

    def __init__(self, site, parameters, scratch):
        self.buffer = b""
        orders_end, self.orders = os.pipe()
        self.answers, answers_end = os.pipe()
        self.output, output_end = os.pipe()
        self.began = time.time()
        self.pid = fork()
        if self.pid == 0:
            status = 70
            try:
                keep_open(orders_end, answers_end, output_end)
                runner.serve(site, parameters, scratch, orders_end, answers_end, output_end)
                status = 0
            finally:
                os._exit(status)
        for fd in (orders_end, answers_end, output_end):
            os.close(fd)
        flags = fcntl.fcntl(self.output, fcntl.F_GETFL)
        fcntl.fcntl(self.output, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        self.status = None

    def has_died(self):
        if self.status is None:
            pid, status = retried(os.waitpid, self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def work(self, order, text, enough):
        """Have it work on a list, and pass on what it prints. What happened, or None if it died."""
        try:
            write_all(self.orders, as_json(order) + b"\n")
        except OSError:
            pass  # it died
        ends = None
        answer, reading = None, [self.output, self.answers]
        while answer is None:
            if enough():
                ends = ends or time.time() + ENDING
                self.signal(signal.SIGTERM if time.time() < ends else signal.SIGKILL)
            try:
                ready = select.select(reading, [], [], 0.2)[0]
            except (OSError, select.error) as e:  # a signal, on Python 2
                if e.args[0] != errno.EINTR:
                    raise
                continue
            if self.output in ready and not self.pass_on(text):
                reading.remove(self.output)  # the script closed what it prints to
            if self.answers in ready:
                more = retried(os.read, self.answers, 65536)
                if not more:
                    break
                self.buffer += more
                if self.buffer.endswith(b"\n"):
                    answer, self.buffer = native(json.loads(self.buffer.decode("ascii"))), b""
            elif not ready and self.has_died():
                break  # a process that it started has kept its pipes open
        # The rest of what it printed before it answered.
        while self.output in reading and self.has_output() and self.pass_on(text):
            pass
        return answer

    def has_output(self):
        return bool(retried(select.select, [self.output], [], [], 0)[0])

    def pass_on(self, text):
        """Pass on some of what it printed. False at the end."""
        try:
            data = os.read(self.output, 65536)
        except OSError as e:
            if e.errno in (errno.EAGAIN, errno.EINTR):
                return True
            raise
        text.add(data)
        return bool(data)

    def signal(self, number):
        """Send a signal to it and to whatever it has started."""
        for send, whom in ((os.killpg, self.pid), (os.kill, self.pid)):
            try:
                send(whom, number)
            except OSError:
                pass

    def ended(self, interrupted):
        """How it died."""
        self.close()
        if self.status is None:
            self.status = retried(os.waitpid, self.pid, 0)[1]
        if interrupted:
            return "interrupted: it was still at work %d seconds later" % GRACE
        return "the process of the script was %s" % ended_how(self.status)

    def close(self):
        for fd in (self.orders, self.answers, self.output):
            os.close(fd)

    def finish(self):
        """Let it end: its work is done."""
        os.close(self.orders)
        self.orders = os.open(os.devnull, os.O_RDONLY)
        ends = time.time() + ENDING
        while not self.has_died() and time.time() < ends:
            retried(time.sleep, 0.01)
        if not self.has_died():  # a thread of the script, or what it does at exit, keeps it
            self.signal(signal.SIGKILL)
        self.ended(False)

    def release(self, lock_dir, before):
        """Remove the locks that it holds, after `before` of each; the names of the lists.

        It waits for the next list, or is dead: a lock that bears its number is nobody's.
        """
        freed = []
        for host in set([socket.gethostname(), os.uname()[1]]):
            mark = ".lock.%s.%d." % (host, self.pid)
            for claim in sorted(os.listdir(lock_dir)):
                name, found, _ = claim.partition(mark)
                path = os.path.join(lock_dir, claim)
                if not found or not is_since(path, self.began):
                    continue
                lock = os.path.join(lock_dir, name + ".lock")
                try:
                    if os.lstat(lock).st_ino == os.lstat(path).st_ino:
                        before(name)
                        os.unlink(lock)
                        freed.append(name)
                    os.unlink(path)
                except OSError:
                    pass  # gone
        return freed


def is_since(path, moment):
    """Whether a file was made or changed since. The clocks of file systems are coarse."""
    try:
        return os.lstat(path).st_ctime >= moment - 2
    except OSError:
        return False


class Lines(object):
    """Passes on what a script prints, whole lines at a time."""

    def __init__(self):
        self.rest = b""

    def add(self, data):
        data = masking.hide_bytes(self.rest + data)
        whole, feed, rest = data.rpartition(b"\n")
        if feed:
            self.tell(whole)
        # Never cut inside a secret: its two parts would not be recognized.
        while len(rest) > LONGEST_LINE + masking.longest():
            self.tell(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self.rest = rest

    def tell(self, text):
        lists.tell({"event": "output", "text": text})

    def end(self):
        if self.rest:
            self.tell(self.rest)
        self.rest = b""


# -- before anything is run ---------------------------------------------------------------


def refusal(parameters):
    """Why the script cannot be run, as {"why", "line"?}; None if it can."""
    name = os.path.basename(parameters["filename"])
    try:
        code = compile(parameters["text"], name, "exec", ast.PyCF_ONLY_AST, True)
        compile(parameters["text"], name, "exec", 0, True)
    except SyntaxError as e:
        line = (e.text or "").strip()
        if isinstance(line, bytes):
            line = line.decode("utf-8", "replace")
        return {"line": e.lineno, "why": "%s: %s%s" % (
            type(e).__name__, e.msg, ": " + line[:100] if line else "")}
    except Exception as e:
        return {"why": "it does not compile: %s" % runner.last_line(e)}
    function = parameters["function"]
    defined = [node for node in code.body if isinstance(node, ast.FunctionDef)]
    names = list(bound(code))
    if function not in names and "*" not in names:
        public = [node.name for node in defined if not node.name.startswith("_")]
        has = "; it has %s" % ", ".join(public) if public else ""
        return {"why": "it defines no function %s%s" % (function, has), "functions": public}
    named = [node for node in defined if node.name == function]
    if len(named) == 1 and names.count(function) == 1 and not named[0].decorator_list:
        return wrong_number(named[0], len(parameters["arguments"]))
    return None


def bound(node):
    """The names that a module binds, also inside an if or a try."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            yield child.name
        elif isinstance(child, (ast.Import, ast.ImportFrom)):
            for alias in child.names:
                yield (alias.asname or alias.name).split(".")[0]
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(child, ast.Lambda):
            for name in bound(child):
                yield name


def wrong_number(function, given):
    """Why a function does not take the list and `given` arguments; None if it does."""
    positional = len(function.args.args) + len(getattr(function.args, "posonlyargs", ()))
    least = positional - len(function.args.defaults) - 1
    most = positional - 1
    by_name = getattr(function.args, "kwonlyargs", ())
    needed = [argument.arg for argument, default in zip(by_name, getattr(
        function.args, "kw_defaults", ())) if default is None]
    if needed:
        return {"why": "%s cannot be called: %s must be given by name" % (
            function.name, ", ".join(needed))}
    if function.args.vararg:
        if given >= least:
            return None
        wants = "at least %d" % least
    elif max(least, 0) <= given <= most:
        return None
    else:
        wants = str(most) if least == most else "%d to %d" % (max(least, 0), most)
    if most < 0 and not function.args.vararg:
        return {"why": "%s takes no argument, and withlist gives it the list" % function.name}
    return {"why": "%s takes the list and %s argument%s, and was given %d" % (
        function.name, wants, "" if wants.split()[-1] == "1" and "to" not in wants else "s", given)}


# -- the folder with the copies of a rehearsal ----------------------------------------------


def make_scratch():
    """A private folder, locked for as long as a process of this run lives."""
    while True:
        folder = tempfile.mkdtemp(prefix=COPIES)
        fd = os.open(folder, os.O_RDONLY)
        try:
            journal.lock(fd)
        except EnvironmentError:
            return folder  # this file system cannot lock folders, so nobody will remove it
        if os.path.isdir(folder):
            return folder
        os.close(fd)  # another run has just removed it, as abandoned


def remove_abandoned():
    """Remove the folders of rehearsals whose processes were all killed."""
    parent = tempfile.gettempdir()
    for name in os.listdir(parent):
        if not name.startswith(COPIES):
            continue
        path = os.path.join(parent, name)
        try:
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except EnvironmentError:
            continue  # gone
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except EnvironmentError:
            pass  # its run is still at work
        finally:
            os.close(fd)


def prepare(site, parameters):
    return Scripting(site, parameters)


def do(state, name, wait):
    return state.look(name) if state.action == "look" else state.run(name, wait)


def run(parameters, emit):
    size = parameters.pop("secret", 0)
    if size:
        parameters["secret"] = native(secret(size).decode("ascii"))
        masking.remember(parameters["secret"])
    parameters["text"] = base64.b64decode(parameters.pop("script").encode("ascii"))
    refused = refusal(parameters)
    if refused:
        emit(dict(refused, event="refused", python=".".join(str(n) for n in sys.version_info[:3])))
        return
    emit({"event": "compiled", "python": ".".join(str(n) for n in sys.version_info[:3])})
    parameters.update(grace=GRACE, at_hand=1, waiting=parameters["jobs"])
    scratch = None
    if parameters["action"] != "look":
        remove_abandoned()
    if parameters["action"] == "rehearse":
        scratch = parameters["scratch"] = make_scratch()
    try:
        lists.run_each("scripting", parameters, emit)
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        elif parameters.get("run"):
            saving.tidy(saved_by(parameters))
