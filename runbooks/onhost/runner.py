# The process in which a script runs, as it would under Mailman's withlist -r.
#
# Python 2.7 and 3, standard library alone. It is forked by scripting.py. It only loads the
# script, once, and calls its function for one list after the other. Whatever the script does to
# its process (it prints megabytes, calls os._exit, is killed) is seen from outside.
#
# The function gets what withlist -r gives it: an unlocked, loaded list, and its arguments.
# Mailman's Lock and Save are watched:
#
# * Lock() without a timeout waits for as long as a lock lasts: five hours behind a stale one.
#   Here it waits for the time that the command was given.
# * After Lock(), the state on the disk is the one that the script is going to change. It is kept.
# * After Save(), and before Unlock(), the state on the disk is the script's. Its hashes show
#   later whether anybody has changed the list since.
from __future__ import print_function

import io
import json
import linecache
import os
import re
import signal
import shutil
import sys
import traceback
import types

import differing
import mailmanlist
import masking
import saving
import statefiles
from boot import Finder, as_json, native, write_all

PYTHON2 = sys.version_info[0] == 2
# The settings in mm_cfg.py for folders that Mailman writes to.
WRITTEN = re.compile(r"(LIST_DATA|LOCK|LOG|DATA|SPAM|MAILDIR|.*QUEUE|.*ARCHIVE_FILE)_DIR$")
# The most bytes of any other file that a rehearsal copies, and characters of a traceback.
LARGEST = 20 * 1024 * 1024
LONGEST = 20000
# The parts of an answer that may quote the script, or values that it has set.
SAID = set(["raised", "noted", "traceback", "detail", "exit", "unsaved", "differences"])


class Broken(Exception):
    """The script cannot be loaded, so no list can be done."""


class Watch(object):
    """What happened to the locks and states of lists while the function ran.

    `root`: where the run keeps states; None for a rehearsal, which keeps none.
    """

    def __init__(self, site, root, files):
        self.site = site["name"]
        self.files = files
        self.root = root
        self.begin(None, None, False, 0)

    def begin(self, name, before, fresh, patience):
        self.name = name
        self.patience = patience
        self.before = {name: before}   # hashes of the state before the script's first change
        self.fresh = set([name]) if fresh else set()
        self.after = {}                # hashes of the state after its last
        self.held = set()
        self.timed_out = set()
        self.took_a_lock = False

    def kept(self, name):
        return saving.Saved(self.root, self.site, name)

    def refresh(self, name):
        """Keep the state that is on the disk, unless this run has kept an earlier one."""
        if self.root is None:
            return
        now = self.files.digests(name)
        if statefiles.CONFIG not in now:
            return
        saved = self.kept(name)
        if name in self.after:
            if now != self.after[name]:
                saved.mark(now, True)
            return
        if name not in self.before:
            if not saved.exists():
                self.fresh.add(name)
                now = saved.keep(self.files)
        elif name in self.fresh and now != self.before[name]:
            now = saved.keep(self.files)
        self.before[name] = now

    def locked(self, name):
        self.timed_out.discard(name)
        self.took_a_lock = True
        self.held.add(name)
        self.refresh(name)

    def saved(self, name):
        if self.root is None:
            self.after[name] = True
        else:
            self.note(name)

    def unlocking(self, name):
        """Called before the list is unlocked: until now nobody else has had the lock."""
        if name not in self.held:
            return
        self.held.discard(name)
        if self.root is None:
            return
        self.note(name)
        if name != self.name and name in self.fresh and name not in self.after:
            self.kept(name).drop()  # the script looked at it and did not change it
            self.fresh.discard(name)
            del self.before[name]

    def note(self, name):
        now = self.files.digests(name)
        if name in self.after or now != self.before.get(name):
            self.after[name] = now
        saved = self.kept(name)
        if saved.exists():  # a list that the script created had no state before
            saved.mark(now, saved.after()["mixed"])


class Runner(object):
    """The script, loaded, and Mailman at hand."""

    def __init__(self, site, parameters, scratch):
        self.site = site
        self.parameters = parameters
        self.filename = parameters["filename"]
        self.pid = os.getpid()
        self.copied = set()  # the lists that a rehearsal has copied
        from Mailman import mm_cfg
        self.files = self.real_files = statefiles.Files(site["list_dir"], mm_cfg.DATA_DIR)
        root = parameters["saved"] if scratch is None else None
        self.watch = Watch(site, root, self.real_files)
        if scratch is not None:
            self.redirect(mm_cfg, scratch)
            self.files = statefiles.Files(mm_cfg.LIST_DATA_DIR, mm_cfg.DATA_DIR)
        from Mailman import Errors, LockFile, MailList, Utils
        self.errors, self.lock_file, self.mail_list, self.utils = Errors, LockFile, MailList, Utils
        self.watch_lists(MailList.MailList)
        if scratch is not None:
            self.offer_copies()
        self.function = self.load()

    # -- Mailman, watched ---------------------------------------------------------------

    def watch_lists(self, maillist):
        watch = self.watch
        lock, save, unlock = maillist.Lock, maillist.Save, maillist.Unlock
        timed_out = self.lock_file.TimeOutError

        def Lock(m, timeout=0):
            name = m.internal_name()
            try:
                lock(m, timeout or watch.patience)
            except timed_out:
                watch.timed_out.add(name)
                raise
            watch.locked(name)

        def Save(m):
            save(m)
            watch.saved(m.internal_name())

        def Unlock(m):
            try:
                if m.Locked():
                    watch.unlocking(m.internal_name())
            finally:
                unlock(m)

        maillist.Lock, maillist.Save, maillist.Unlock = Lock, Save, Unlock

    # -- a rehearsal: on copies ---------------------------------------------------------

    def redirect(self, mm_cfg, scratch):
        """Make Mailman write only below `scratch`. Called before its other modules are imported."""
        for name in dir(mm_cfg):
            if WRITTEN.match(name) and isinstance(getattr(mm_cfg, name), str):
                folder = os.path.join(scratch, name.lower())
                if not os.path.isdir(folder):
                    os.makedirs(folder)
                setattr(mm_cfg, name, folder)

    def offer_copies(self):
        """Copy a list when the script asks for it; name the real lists."""
        from Mailman import mm_cfg
        maillist, utils = self.mail_list.MailList, self.utils
        init, exists, names = maillist.__init__, utils.list_exists, utils.list_names

        def __init__(m, name=None, *args, **kwargs):
            self.copy(name)
            init(m, name, *args, **kwargs)

        def list_exists(name):
            self.copy(name)
            return exists(name)

        def list_names(*args, **kwargs):
            mm_cfg.LIST_DATA_DIR = self.real_files.list_dir
            try:
                return list(names(*args, **kwargs))
            finally:
                mm_cfg.LIST_DATA_DIR = self.files.list_dir

        maillist.__init__, utils.list_exists, utils.list_names = __init__, list_exists, list_names

    def copy(self, name):
        if not isinstance(name, str) or os.sep in name or name in ("", ".", ".."):
            return
        source, target = [os.path.join(files.list_dir, name)
                          for files in (self.real_files, self.files)]
        if name in self.copied or os.path.isdir(target) or not os.path.isdir(source):
            return
        self.copied.add(name)
        try:
            copy_folder(source, target)
        except EnvironmentError:
            if os.path.isdir(source):
                raise
            return  # the list has just been removed
        for file in self.real_files.held(name):
            copy_file(self.real_files.path(name, file), self.files.path(name, file))

    def forget_copies(self):
        self.copied.clear()
        for name in os.listdir(self.files.list_dir):
            shutil.rmtree(os.path.join(self.files.list_dir, name), ignore_errors=True)
        for file in os.listdir(self.files.data_dir):
            if file.startswith(statefiles.HELD):
                os.unlink(os.path.join(self.files.data_dir, file))

    def differences(self):
        """What the script would have changed: {list: changes}."""
        found = {}
        for name in sorted(self.copied.union(os.listdir(self.files.list_dir))):
            changed = self.differences_of(name)
            if changed:
                found[name] = changed
        return found

    def differences_of(self, name):
        old, new = self.real_files.digests(name), self.files.digests(name)
        files = statefiles.differing_files(old, new)
        if (statefiles.CONFIG in old) != (statefiles.CONFIG in new):
            files = [statefiles.CONFIG]  # a list that is new or gone is just that
        return statefiles.changes(*[
            dict((file, here.content(name, file)) for file in files)
            for here in (self.real_files, self.files)])

    # -- the script ---------------------------------------------------------------------

    def load(self):
        """Import the script, once, as withlist would; its function."""
        stem = self.parameters["module"]
        text = self.parameters["text"]
        module = types.ModuleType(stem)
        module.__file__ = self.filename
        # A script with the name of a Python module must not replace that module.
        sys.modules.setdefault(stem, module)
        shown = text if PYTHON2 else text.decode("utf-8", "replace")
        linecache.cache[self.filename] = (len(text), None, shown.splitlines(True), self.filename)
        sys.argv = [os.path.join(self.site["bin"], "withlist"), "-q", "-a", "-r",
                    "%s.%s" % (stem, self.parameters["function"])] + self.parameters["arguments"]
        if "secret" in self.parameters:
            # What is set now is not shown by ps or /proc.
            os.environ["RUNBOOK_SECRET"] = self.parameters["secret"]
        try:
            exec(compile(text, self.filename, "exec", 0, True), module.__dict__)
            return getattr(module, self.parameters["function"])
        except BaseException:
            raise Broken(self.raised()["raised"])

    def raised(self):
        """The current exception: its last line, as one line, where it was raised, the traceback."""
        kind, value, tb = sys.exc_info()
        first = tb
        while first is not None and first.tb_frame.f_code.co_filename != self.filename:
            first = first.tb_next
        where, last = "", first
        while last is not None:
            if last.tb_frame.f_code.co_filename == self.filename:
                where = "%s, line %d" % (os.path.basename(self.filename), last.tb_lineno)
            last = last.tb_next
        # The secret is hidden before anything is cut off.
        text = masking.hide(traceback.format_exception_only(kind, value)[-1])
        text = " ".join(text.split())[:300]
        full = masking.hide("".join(traceback.format_exception(kind, value, first or tb)))
        full = full[-LONGEST:]
        name = getattr(kind, "__name__", str(kind))
        return {"raised": text + (" (%s)" % where if where else ""), "traceback": full,
                "noted": name + (" in " + where if where else "")}

    def call(self, name):
        """Call the function for a list. What happened."""
        try:
            m = self.mail_list.MailList(name, lock=self.parameters["lock"])
        except self.lock_file.TimeOutError:
            return {"trouble": "locked", "detail": ""}
        except self.errors.MMUnknownListError:
            return {"trouble": "gone", "detail": "the list no longer exists"}
        except self.errors.MMCorruptListDatabaseError as e:
            return {"trouble": "corrupt", "detail": self.why_corrupt(name, e)}
        self.watch.refresh(name)
        answer = {}
        try:
            self.function(m, *self.parameters["arguments"])
        except SystemExit as e:
            answer["exit"] = e.code if isinstance(e.code, (int, type(None))) else str(e.code)
        except BaseException as e:
            answer.update(self.raised())
            answer["hint"] = self.hint(e)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        if os.getpid() != self.pid:
            os._exit(0)  # a process that the function forked, and that returned from it
        answer.update(self.afterwards(m, name))
        return answer

    def why_corrupt(self, name, e):
        """Which file is damaged, and how. Mailman's own message may be empty."""
        try:
            mailmanlist.read_state(os.path.join(self.files.list_dir, name))
        except (mailmanlist.Corrupt, mailmanlist.Gone) as found:
            return str(found)
        return "Mailman does not load it: %s" % last_line(e)

    def hint(self, e):
        """A key of HINTS for a script that raised an exception, or ""."""
        if self.parameters["lock"]:
            return "locks by itself" if isinstance(e, self.lock_file.AlreadyLockedError) else ""
        # Mailman asserts that a list is locked before it changes it. Scripts have asserts too.
        where = traceback.extract_tb(sys.exc_info()[2])[-1][0]
        asks_for_lock = isinstance(e, self.lock_file.NotLockedError) or (
            isinstance(e, AssertionError) and where != self.filename)
        return "never locks" if asks_for_lock and not self.watch.took_a_lock else ""

    def afterwards(self, m, name):
        """What the function has left behind."""
        found = {"saved": sorted(self.watch.after), "timed_out": name in self.watch.timed_out}
        try:
            if m.Locked():
                m.Unlock()
                found["left_locked"] = not self.parameters["lock"]
        except Exception:
            pass  # the script took the list apart; scripting.py looks for its lock
        try:
            found["unsaved"] = self.unsaved(m, name)
        except Exception:
            found["unsaved"] = []
        return found

    def unsaved(self, m, name):
        """The attributes that the function changed and did not save."""
        state = mailmanlist.unpickled(self.files.content(name, statefiles.CONFIG))
        held = vars(m)
        return sorted(key for key in state
                      if key not in held or not differing.same(state[key], held[key]))


def last_line(e):
    """An exception in one line; its name if it has no message."""
    return " ".join(traceback.format_exception_only(type(e), e)[-1].split())


def copy_folder(source, target, depth=1):
    """Copy the files of a list, except those that are too large to be its state."""
    entries = os.listdir(source)
    os.mkdir(target, 0o700)
    for entry in entries:
        path = os.path.join(source, entry)
        try:
            is_state = entry.startswith(statefiles.IN_FOLDER)
            if os.path.isfile(path) and (is_state or os.path.getsize(path) <= LARGEST):
                copy_file(path, os.path.join(target, entry))
            elif os.path.isdir(path) and depth:
                copy_folder(path, os.path.join(target, entry), depth - 1)
        except EnvironmentError:
            pass  # gone or unreadable: Mailman reports it when it needs the file


def copy_file(source, target):
    try:
        if os.path.isfile(source):
            shutil.copyfile(source, target)
    except EnvironmentError:
        pass  # as above


def be_apart(output):
    """Prepare this process to be used by a script."""
    os.setsid()
    for name in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if PYTHON2:
        sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        sys.stdin = os.fdopen(0)
    else:
        sys.stdout, sys.stderr = [
            io.open(fd, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
            for fd in (1, 2)]
        sys.stdin = io.open(0, closefd=False)


def hide_ourselves():
    """Let the script import the host's own modules of these names; keep ours alive."""
    finders = [one for one in sys.meta_path if isinstance(one, Finder)]
    names = ["boot"] + [name for finder in finders for name in finder.sources]
    for finder in finders:
        sys.meta_path.remove(finder)
    return [sys.modules.pop(name) for name in names if name in sys.modules] + finders


def serve(site, parameters, scratch, orders, answers, output):
    """The life of the process: for each list, a line of JSON comes in and one goes out."""
    import gc
    gc.enable()
    be_apart(output)
    parent = os.getppid()
    kept, runner, failure = None, None, None
    try:
        kept = hide_ourselves()
        runner = Runner(site, parameters, scratch)
    except Broken as e:
        failure = {"broken": str(e)}
    except BaseException as e:
        failure = {"broken": masking.hide(last_line(e)),
                   "traceback": masking.hide(traceback.format_exc())[-LONGEST:]}
    try:
        for line in iter(os.fdopen(orders, "rb").readline, b""):
            answer = failure or answer_to(runner, native(json.loads(line.decode("ascii"))), scratch)
            write_all(answers, as_json(answer) + b"\n")
    except EnvironmentError:
        pass  # nobody waits for the answer
    if scratch is not None and os.getppid() != parent:
        # The processes that would have removed the copies were killed.
        shutil.rmtree(os.path.dirname(scratch), ignore_errors=True)
    del kept


def answer_to(runner, order, scratch):
    name = order["list"]
    runner.watch.begin(name, order["before"], order["fresh"], order["patience"])
    try:
        answer = runner.call(name)
        if scratch is not None:
            answer["differences"] = runner.differences()
    except BaseException as e:
        answer = {"raised": last_line(e), "noted": type(e).__name__,
                  "traceback": traceback.format_exc()[-LONGEST:]}
    if scratch is not None:
        runner.forget_copies()
    for key in SAID & set(answer):
        answer[key] = masking.hidden(answer[key])
    return answer
