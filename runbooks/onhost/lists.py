# Does one thing to each list of each site, several lists at a time.
#
# Python 2.7 and 3, standard library alone. Workers are processes. Each serves one site
# (a process reads mm_cfg.py once), one list at a time. Locked lists are put off until all
# others are done, and are then waited for together: stale locks cost the run its time-out
# once, not once for each list.
#
# Nothing is left half done. When the other end goes away (or on SIGTERM or SIGHUP), no new
# list is handed out, and the lists in hand are finished. If a worker dies, only its list is
# affected, and that is reported.
#
# A run whose parameters have a "journal" records what became of each list.
from __future__ import print_function

import collections
import errno
import gc
import json
import os
import select
import signal
import sys
import time
import traceback

import listing
import locks
import mailmanlist
from boot import (
    Child, as_json, at_last, ended_how, lasting, native, part_with_lasting, retried, write_all)

# The most lists that a worker has: the one it works on, and the next ones, so that it need
# not wait for them. It is given more when half of them are done.
AT_HAND = 16
# Seconds for which results may be held back, to be recorded and sent together.
SOON = 0.05
# The most workers that wait for locks at the same time. They sleep and need no processor.
WAITING = 32
# Seconds for which a worker waits for one lock before it asks whether to go on.
SLICE = 2.0
# Workers that are done, in a process that may run another program of the same kind.
idle = []
# Functions that a worker calls at its end; the file to which its answers go.
at_end = []
answers_to = []
UNSEEN = "Mailman does not see it: "


class Worker(Child):
    """A process that works on lists of one site. Lines of JSON go in and come out."""

    def __init__(self, site, task, parameters, others):
        self.site, self.task, self.parameters, self.others = site, task, parameters, others
        self.ended = False
        self.orders = collections.deque()  # given and not answered
        self.buffer = b""
        Child.__init__(self)

    def live(self, orders, answers):
        # While a sibling kept its pipe open, it would not see the end of its input.
        part_with_lasting()
        for fd in [fd for w in self.others for fd in (w.input, w.output)]:
            os.close(fd)
        serve(self.site, self.task, self.parameters, orders, answers)

    def give(self, order):
        self.orders.append(order)
        self.tell(order)

    def begin_again(self, site, parameters):
        """Have it work on its site for another program."""
        self.site = site
        self.tell({"site": site, "parameters": parameters})

    def tell(self, order):
        self.send(json.dumps(order).encode("ascii") + b"\n")

    def take(self):
        """What it has said since the last call, each with its order. Raises EOFError if it died.

        Events that a task sent while it worked on a list come before the answer.
        """
        more = retried(os.read, self.output, 65536)
        if not more:
            self.ended = True
            raise EOFError
        lines = (self.buffer + more).split(b"\n")
        self.buffer = lines.pop()
        said = []
        for line in lines:
            answer = json.loads(line.decode("ascii"))
            said.append((self.orders[0] if "event" in answer else self.orders.popleft(), answer))
        return said


def idle_at(site):
    """A worker that has nothing to do and knows the site, if there is one."""
    for worker in [worker for worker in idle if worker.site["name"] == site["name"]]:
        idle.remove(worker)
        if not worker.is_gone():
            return worker
        worker.end()
    return None


def end_idle():
    """Let the workers end that are not needed any more."""
    while idle:
        idle.pop().end()


at_last.append(end_idle)


def serve(site, task, parameters, orders, answers):
    """The life of a worker."""
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(name, signal.SIG_IGN)
    # Standard input belongs to the other end: nothing here may read from it.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    answers_to[:] = [answers]
    work = begin_safely(site, task, parameters)
    try:
        for line in iter(os.fdopen(orders, "rb").readline, b""):
            order = native(json.loads(line.decode("ascii")))
            if "parameters" in order:
                work = begin_safely(order["site"], task, order["parameters"])
                continue
            try:
                answer = work(order)
            except BaseException as e:
                answer = trouble(e)
            write_all(answers, as_json(answer) + b"\n")
    finally:
        for last in at_end:
            last()


def begin_safely(site, task, parameters):
    """`begin`; if that fails, a function that tells why."""
    try:
        return begin(site, task, parameters)
    except BaseException as e:
        failure = trouble(e, "Mailman does not start for this site: ")
        return lambda order: dict(failure)


def tell(event):
    """Send an event about the list in hand, before the worker's answer."""
    write_all(answers_to[0], as_json(event) + b"\n")


def begin(site, task, parameters):
    """Get Mailman ready for this site; the function that carries out an order."""
    if site["site_dir"] is not None:
        os.environ["MAILMAN_SITE_DIR"] = site["site_dir"]
    if site["bin"] not in sys.path:
        sys.path.insert(0, site["bin"])
    import paths  # noqa: F401  Mailman's own: it makes the package importable
    module = __import__(task)
    # Reading a list makes thousands of objects and no garbage that needs collecting, since
    # every list is emptied when it is done. Collecting would take a third of the time.
    gc.disable()
    state = module.prepare(site, parameters)

    def work(order):
        if "names" in order:
            names = listing.names(site)
            return {"names": names, "passed_over": passed_over(site, names)}
        try:
            return module.do(state, order["list"], order["wait"])
        except Exception as e:
            failed = mailmanlist.failed(e)
            if failed is None:
                raise
            return failed

    return work


def passed_over(site, names):
    """(name, why) of each folder that looks like a list and that Mailman silently ignores."""
    folder, found = site["list_dir"], []
    for name in sorted(set(os.listdir(folder)) - set(names) - set(["lost+found"])):
        path = os.path.join(folder, name)
        try:
            inside = os.listdir(path)
        except EnvironmentError as e:
            if e.errno == errno.EACCES:
                found.append((name, UNSEEN + "its folder cannot be read (%s)" % path))
            continue
        for state in ("config.pck", "config.pck.last"):
            if state in inside:
                found.append((name, UNSEEN + "its %s cannot be reached (%s)" % (state, path)))
                break
    # What newlist has made since `names` were read is a list by now.
    seen = set(listing.names(site)) if found else ()
    return [(name, why) for name, why in found if name not in seen]


def trouble(e, where=""):
    return {"outcome": "error", "detail": "%s%s: %s" % (where, type(e).__name__, e),
            "traceback": traceback.format_exc()}


class Run(object):
    """Sends all lists of all sites through workers, and reports what became of each."""

    def __init__(self, task, parameters, emit):
        self.task = task
        self.parameters = parameters
        self.emit = emit
        self.jobs = parameters["jobs"]
        self.queues = collections.OrderedDict(
            (site["name"], (site, collections.deque())) for site in parameters["sites"])
        self.late = collections.OrderedDict()  # (site name, list): site
        self.locked_sites = set()
        self.workers = []
        self.news = []
        self.published = time.time()
        self.stopped = False
        self.stopped_at = None
        self.hopeless = False
        self.record = None

    def stopping(self):
        self.stopped = self.stopped or self.emit.stopping()
        return self.stopped

    def start(self, site):
        worker = idle_at(site)
        if worker:
            worker.begin_again(site, self.parameters)
        else:
            worker = Worker(site, self.task, self.parameters, self.workers + idle)
        self.workers.append(worker)
        return worker

    def retire(self, worker):
        self.workers.remove(worker)
        if lasting and not worker.ended:
            idle.append(worker)
        else:
            worker.end()

    # -- which lists there are ----------------------------------------------------------

    def names(self):
        """Fill the queues with the lists of each site, or with those that were asked for."""
        for site, queue in self.queues.values():
            if site["only"] is not None:
                queue.extend(site["only"])
        unknown = [site for site, _ in self.queues.values() if site["only"] is None]
        while unknown:
            together, unknown = unknown[:self.jobs], unknown[self.jobs:]
            asked = [self.start(site) for site in together]
            for worker in asked:
                worker.give({"names": True})
            # The others get Mailman ready in the meantime.
            while not unknown and len(self.workers) < self.jobs:
                self.start(together[len(self.workers) % len(together)])
            for worker in asked:
                self.names_of(worker)

    def names_of(self, worker):
        site, queue = self.queues[worker.site["name"]]
        answers = []
        try:
            while not answers:
                answers = worker.take()
            answer = answers[0][1]
        except EOFError:
            answer = {"detail": "the process that asked for its lists died"}
        if "names" in answer:
            queue.extend(answer["names"])
            self.emit({"event": "site", "site": site["name"], "lists": len(queue)})
            for name, why in answer["passed_over"]:
                self.report(site, name, {"outcome": "error", "detail": why, "unseen": True})
        else:
            self.note(site, "*", dict(answer, outcome="error"))
            self.emit({"event": "site", "site": site["name"], "error": answer["detail"]})
        if not queue or len(self.workers) > self.jobs:
            self.retire(worker)

    # -- the record ---------------------------------------------------------------------

    def begin_record(self):
        """Begin the record of the run, if it leaves one; whether the run may go on."""
        if not self.parameters.get("journal"):
            return True
        import journal
        try:
            self.record = journal.begin(self.parameters["journal"], self.emit)
        except journal.JournalError as e:
            self.emit({"event": "unrecorded", "why": str(e), "begun": False})
            return False
        self.parameters["run"] = self.record.run
        return True

    def recorded(self, step, *arguments):
        """Take a step in the record; whether that worked. If not, nothing more is begun."""
        if self.record is None:
            return not self.parameters.get("journal")
        try:
            getattr(self.record, step)(*arguments)
            return True
        except Exception as e:
            self.record, self.stopped = None, True
            self.emit({"event": "unrecorded", "why": str(e), "begun": True})
            return False

    def note(self, site, name, answer):
        """Record what became of a list. What only the record needs goes no further."""
        kept = answer.pop("kept", {})
        if self.record:
            detail = answer.get("detail", "") if "noted" not in answer else answer.pop("noted")
            self.record.done(site["name"], name, answer["outcome"], detail, **kept)

    # -- the work -----------------------------------------------------------------------

    def report(self, site, name, answer):
        self.note(site, name, answer)
        answer.update(event="list", site=site["name"], list=name)
        self.news.append(answer)

    def publish(self):
        """Send the results, after they are recorded."""
        self.recorded("flush")
        if self.news:
            self.emit(*together(self.news))
        self.news, self.published = [], time.time()

    def publish_soon(self):
        """Send them, unless that was just done: each time costs something, here and on the way."""
        if not 0 <= time.time() - self.published < SOON:
            self.publish()

    def died(self, worker):
        """Report the list that a dead worker had in hand; its other lists go back to the queue."""
        site, orders = worker.site, worker.orders
        self.workers.remove(worker)
        how = ended_how(worker.end())
        if orders:
            folder = os.path.join(site["list_dir"], orders[0]["list"])
            mailmanlist.clear_unfinished(folder, worker.pid)
            self.report(site, orders.popleft()["list"], {
                "outcome": "error", "left_lock": True,
                "detail": "the process that worked on it was %s; it may have left a lock" % how})
        self.queues[site["name"]][1].extendleft(reversed([order["list"] for order in orders]))

    def hand_out(self, limit, at_hand, wait):
        """Give lists to up to `limit` workers, after it is recorded that they are begun."""
        orders = []

        def fill(worker):
            queue = self.queues[worker.site["name"]][1]
            # Fewer towards the end, so that all workers end at the same time.
            most = max(1, min(at_hand, len(queue) // (2 * limit)))
            given = []
            if 2 * len(worker.orders) <= most:
                while queue and len(worker.orders) + len(given) < most:
                    given.append((worker, {"list": queue.popleft(), "wait": wait()}))
            orders.extend(given)
            return given

        for worker in list(self.workers):
            if not fill(worker) and not worker.orders:
                self.retire(worker)
        while len(self.workers) < limit:
            site = next((site for site, queue in self.queues.values() if queue), None)
            if site is None:
                break
            fill(self.start(site))
        for worker, order in orders:
            self.recorded("begin_list", worker.site["name"], order["list"])
        if self.recorded("flush"):
            for worker, order in orders:
                worker.give(order)

    def pump(self, limit, at_hand, wait, put_off):
        """Keep up to `limit` workers busy until the queues are empty.

        `wait()`: seconds for the lock of a list. `put_off(site, name)`: whether a list that was
        locked is to be tried again later.
        """
        while True:
            if not self.stopping():
                self.hand_out(limit, at_hand, wait)
            else:
                self.hurry()
            busy = [worker for worker in self.workers if worker.orders]
            if not busy:
                break
            patience = SOON if self.news else 0.5
            try:
                ready = select.select([worker.output for worker in busy], [], [], patience)[0]
            except (OSError, select.error):  # a signal, on Python 2
                continue
            for worker in [worker for worker in busy if worker.output in ready]:
                try:
                    answers = worker.take()
                except EOFError:
                    self.died(worker)
                    continue
                for order, answer in answers:
                    if "event" in answer:
                        self.publish()  # in the order in which it happened
                        self.emit(dict(answer, site=worker.site["name"], list=order["list"]))
                    else:
                        self.settle(worker.site, order["list"], answer, put_off)
            self.publish_soon()
        self.publish()
        for worker in list(self.workers):
            self.retire(worker)

    def hurry(self):
        """Have workers that are still busy some time after the stop give up their list."""
        if self.stopped_at is None:
            self.stopped_at = time.time()
            if "grace" in self.parameters:
                self.emit({"event": "stopping", "seconds": self.parameters["grace"]})
        if time.time() > self.stopped_at + self.parameters.get("grace", float("inf")):
            for worker in self.workers:
                if worker.orders:
                    os.kill(worker.pid, signal.SIGUSR1)

    def settle(self, site, name, answer, put_off):
        if answer.get("hopeless"):
            self.stopped = self.hopeless = True
        if answer.get("locked") or answer["outcome"] == "locked":
            self.locked_sites.add(site["name"])
        if answer["outcome"] != "locked" or not put_off(site, name):
            self.late.pop((site["name"], name), None)
            self.report(site, name, answer)

    def all(self):
        self.names()

        def later(site, name):
            if self.is_stale(site, name):
                return False
            self.late[site["name"], name] = site
            self.note(site, name, {"outcome": "locked"})
            return True

        self.pump(self.jobs, self.parameters.get("at_hand", AT_HAND), lambda: 0, later)
        if self.late and not self.stopping():
            self.wait_for_locks()
        for (_, name), site in sorted(self.late.items()):
            self.report(site, name, {
                "outcome": "locked", "detail": "not waited for: the run was interrupted"})
        self.publish()
        self.locks()

    def is_stale(self, site, name):
        """Whether its lock still is the one whose holder was gone before the run began."""
        seen = self.parameters["stale"].get(site["name"], {}).get(name)
        return seen is not None and locks.unchanged(site["lock_dir"], name + ".lock", seen)

    def wait_for_locks(self):
        """Try the lists that were locked again, many at once, for as long as there is time."""
        patience = self.parameters["timeout"]
        self.emit({"event": "waiting", "lists": len(self.late), "seconds": patience})
        deadline = time.time() + patience
        for (_, name), site in self.late.items():
            self.queues[site["name"]][1].append(name)

        def wait():
            return min(SLICE, max(deadline - time.time(), mailmanlist.BRIEFLY))

        def again(site, name):
            if time.time() >= deadline:
                return False
            self.queues[site["name"]][1].append(name)
            return True

        together = min(len(self.late), self.parameters.get("waiting", WAITING))
        self.pump(max(self.jobs, together), 1, wait, again)

    def locks(self):
        """Report the locks of each site that has locked lists: they show who holds them."""
        for name in sorted(self.locked_sites):
            site = self.queues[name][0]
            self.emit({"event": "locks", "site": name,
                       "observation": locks.observe(site["lock_dir"], site["lock_lifetime"])})


def together(news):
    """Answers, those in one that say the same of several lists of a site ("alike")."""
    found = collections.OrderedDict()
    for answer in news:
        name = answer.pop("list")
        found.setdefault(as_json(answer, sort_keys=True), (answer, []))[1].append(name)
    return [dict(answer, list=names[0], alike=names[1:]) for answer, names in found.values()]


def run_each(task, parameters, emit):
    """Run module `task` over the lists.

    It has ``prepare(site, parameters)``, whose result is the state of a worker, and
    ``do(state, list, wait)``, which returns {"outcome", "detail", ...} or raises one of the
    exceptions that mailmanlist.failed() knows. `wait`: seconds for which it may wait for a lock.
    It is 0 on a first try: then the outcome "locked" means that the list is tried again later.
    In an answer, "locked": True asks for the locks of the site, which are sent last, and
    "hopeless": True ends the run, since no other list would fare better. "kept" is for the
    journal alone, and so is "noted", in place of "detail".

    `parameters` has "stale": by site and list, the locks that are not waited for, each as
    locks.unchanged() wants it. It may have "journal"; "at_hand", the most lists that a worker
    has; "waiting", the most workers that wait for locks; "grace", the seconds after a stop when
    workers that are still busy get SIGUSR1 (which they ignore unless the task handles it).
    """
    work = Run(task, parameters, emit)

    def stop(signum, frame):
        work.stopped = True

    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(name, stop)
    if not work.begin_record():
        return
    work.all()
    work.recorded("end", "gave up" if work.hopeless else "interrupted" if work.stopped else "done")
    if work.stopped and not work.hopeless:
        emit({"event": "stopped"})
