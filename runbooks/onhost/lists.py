# Does one thing to each list of each site, several lists at a time.
#
# Python 2.7 and 3, standard library alone. Workers are processes: each serves one
# site (mm_cfg.py is read once a process) and one list at a time. Lists that are
# locked are put off until all others are done, and then waited for together, so that
# a stale lock costs the run its time-out once, not once a list.
#
# Nothing is left half done: when the other end goes away (or on SIGTERM, SIGHUP), no
# new list is begun and the lists in hand are finished. A worker that dies takes only
# its list with it, which is reported.
from __future__ import print_function

import collections
import gc
import json
import os
import select
import signal
import sys
import time
import traceback

from boot import native, unicoded

# Workers that wait for locks at the same time. They sleep; they need no processor.
WAITING = 32
# Seconds for a lock that appears while a list is taken up for the first time, or that
# is tried after the time for waiting is over.
BRIEFLY = 0.5


class Worker(object):
    """A process that works on lists of one site. Lines of JSON go in and come out."""

    def __init__(self, site, task, parameters, others):
        self.site = site
        self.task = None
        self.buffer = b""
        task_end, self.tasks = os.pipe()
        self.results, result_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                # A pipe that a sibling keeps open would hide the end of its input.
                for fd in [self.tasks, self.results] + [fd for w in others for fd in (w.tasks, w.results)]:
                    os.close(fd)
                serve(site, task, parameters, task_end, result_end)
                status = 0
            finally:
                os._exit(status)
        os.close(task_end)
        os.close(result_end)

    def give(self, task):
        self.task = task
        try:
            write_all(self.tasks, json.dumps(task).encode("ascii") + b"\n")
        except OSError:
            pass  # it died: its results end, and the list is reported then

    def take(self):
        """Its answer, or None when it has not finished one; raises EOFError when it died."""
        more = os.read(self.results, 65536)
        if not more:
            raise EOFError
        self.buffer += more
        if not self.buffer.endswith(b"\n"):
            return None
        answer, self.buffer = json.loads(self.buffer.decode("ascii")), b""
        self.task = None
        return answer

    def end(self):
        for fd in (self.tasks, self.results):
            try:
                os.close(fd)
            except OSError:
                pass
        _, status = os.waitpid(self.pid, 0)
        return status


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def read_line(fd):
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(fd, 65536)
        if not more:
            return None
        line += more
    return line


def serve(site, task, parameters, tasks, results):
    """The life of a worker."""
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    if site["site_dir"] is not None:
        os.environ["MAILMAN_SITE_DIR"] = site["site_dir"]
    sys.path.insert(0, site["bin"])
    import paths  # noqa: F401  Mailman's own: it makes the package importable
    module = __import__(task)
    # Reading a list makes thousands of objects and no garbage that would need collecting:
    # whoever is done with a list empties it. Collecting would take a third of the time.
    gc.disable()
    state = module.prepare(site, parameters)
    while True:
        line = read_line(tasks)
        if line is None:
            return
        order = native(json.loads(line.decode("ascii")))
        try:
            if order.get("names"):
                from Mailman import Utils
                answer = {"names": sorted(Utils.list_names())}
            else:
                answer = module.do(state, order["list"], order["wait"])
        except BaseException as e:
            answer = {"outcome": "error", "detail": "%s: %s" % (type(e).__name__, e),
                      "traceback": traceback.format_exc()}
        write_all(results, json.dumps(unicoded(answer)).encode("ascii") + b"\n")


class Run(object):
    """All lists of all sites through workers, and what became of each."""

    def __init__(self, task, parameters, emit):
        self.task = task
        self.parameters = parameters
        self.emit = emit
        self.jobs = parameters["jobs"]
        self.queues = collections.OrderedDict(
            (site["name"], (site, collections.deque())) for site in parameters["sites"])
        self.late = []
        self.workers = []
        self.stopped = False

    def stopping(self):
        self.stopped = self.stopped or self.emit.stopping()
        return self.stopped

    def start(self, site):
        worker = Worker(site, self.task, self.parameters, self.workers)
        self.workers.append(worker)
        return worker

    def retire(self, worker):
        self.workers.remove(worker)
        return worker.end()

    def names(self):
        """Fill the queues: the lists of each site, or those asked for."""
        for site, queue in self.queues.values():
            if site["only"] is not None:
                queue.extend(site["only"])
                continue
            worker = self.start(site)
            worker.give({"names": True})
            answer = self.answer(worker)
            if answer is None or "names" not in answer:
                why = (answer or {}).get("detail", "the process that asked for its lists died")
                self.emit({"event": "site", "site": site["name"], "error": why})
            else:
                queue.extend(answer["names"])
            if len(self.workers) > self.jobs or not queue:
                self.retire(worker)
            self.emit({"event": "site", "site": site["name"], "lists": len(queue)})

    def answer(self, worker):
        while True:
            try:
                answer = worker.take()
            except EOFError:
                return None
            if answer is not None:
                return answer

    def report(self, site, name, answer):
        answer.update(event="list", site=site["name"], list=name)
        self.emit(answer)

    def died(self, worker):
        """A worker is gone: say so for the list it had in hand."""
        task, site = worker.task, worker.site
        status = self.retire(worker)
        if task:
            how = "killed by signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "ended"
            self.report(site, task["list"], {
                "outcome": "error", "detail": "the process that worked on it was %s; it may have left a lock" % how})

    def pump(self, limit, order):
        """Keep up to `limit` workers busy with what `order(site name or None)` gives, until there is no more."""
        while True:
            if not self.stopping():
                for worker in [w for w in self.workers if w.task is None]:
                    task = order(worker.site)
                    if task is None:
                        self.retire(worker)
                    else:
                        worker.give(task)
                while len(self.workers) < limit:
                    site = next((s for s, queue in self.queues.values() if queue), None)
                    if site is None:
                        break
                    self.start(site).give(order(site))
            busy = [w for w in self.workers if w.task is not None]
            if not busy:
                break
            try:
                ready = select.select([w.results for w in busy], [], [], 0.5)[0]
            except (OSError, select.error):  # a signal, on Python 2
                continue
            for worker in [w for w in busy if w.results in ready]:
                task = worker.task
                try:
                    answer = worker.take()
                except EOFError:
                    self.died(worker)
                    continue
                if answer is None:
                    continue
                if answer["outcome"] == "locked" and not task["wait"]:
                    self.late.append((worker.site, task["list"]))
                else:
                    self.report(worker.site, task["list"], answer)
        for worker in list(self.workers):
            self.retire(worker)

    def all(self):
        self.names()

        def first(site):
            queue = self.queues[site["name"]][1]
            return {"list": queue.popleft(), "wait": 0} if queue else None

        self.pump(self.jobs, first)
        if not self.late or self.stopping():
            for site, name in self.late:
                self.report(site, name, {"outcome": "locked", "detail": "not waited for: the run was interrupted"})
            self.locks()
            return
        for site, name in self.late:
            self.queues[site["name"]][1].append(name)
        self.emit({"event": "waiting", "lists": len(self.late), "seconds": self.parameters["timeout"]})
        deadline = time.time() + self.parameters["timeout"]

        def second(site):
            task = first(site)
            if task:
                task["wait"] = max(deadline - time.time(), BRIEFLY)
            return task

        self.pump(max(self.jobs, min(len(self.late), WAITING)), second)
        self.locks()

    def locks(self):
        """What the lock folders of the sites with locked lists hold: the evidence for why they were."""
        observe = getattr(sys.modules.get("locks"), "observe", None)
        for name in sorted(set(site["name"] for site, _ in self.late)):
            if observe:
                site = self.queues[name][0]
                self.emit({"event": "locks", "site": name, "observation": observe(site["lock_dir"])})


def run_each(task, parameters, emit):
    """Run module `task` (``prepare(site, parameters)`` and ``do(state, list, wait)``) over the lists."""
    work = Run(task, parameters, emit)

    def stop(signum, frame):
        work.stopped = True

    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, stop)
    work.all()
    if work.stopped:
        emit({"event": "stopped"})
