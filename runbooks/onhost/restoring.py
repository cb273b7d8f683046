# What `runbook withlist --restore` does on each list: puts back the state that a run kept.
#
# Python 2.7 and 3, standard library alone. The state goes back byte for byte, under the
# list's lock, and only while the list is as the run left it: by the hash of its config.pck
# that was taken when the run saved it. The state that is replaced is kept in turn.
from __future__ import print_function

import os
import socket

import lists
import mailmanlist
import saving


class Restoring(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.site = site
        self.action = parameters["action"]
        self.lists = mailmanlist.Lists(site)
        self.root = saving.folder_of(parameters["folder"], parameters["restores"])
        if self.action == "restore":
            self.own_root = saving.folder_of(parameters["journal"]["folder"], parameters["run"])

    def path(self, name):
        return os.path.join(self.site["list_dir"], name, "config.pck")

    def look(self, name):
        found = self.state(name)
        found["has_lock"] = self.lists.has_lock(name)
        return found

    def state(self, name):
        """How a list stands to the state that was kept of it, as {"outcome", "detail"}."""
        saved = saving.Saved(self.root, self.site["name"], name)
        before, now = saved.before(), saving.content(self.path(name))
        after, mixed = saved.after()
        if before is None:
            return self.left("error", "nothing of it is kept there any more", saved)
        if not os.path.isdir(os.path.dirname(self.path(name))):
            return self.left("error", "there is no such list any more", saved)
        if now == before:
            return {"outcome": "already", "detail": ""}
        if after is None:
            return self.left("changed since", "the run was killed while it had this list in hand,"
                             " and it is not known who changed it", saved)
        if mixed:
            return self.left("changed since", "somebody else changed it while the run did", saved)
        if saving.digest(now) != after:
            return self.left("changed since", "somebody changed it since the run", saved)
        return {"outcome": "planned", "detail": ""}

    def left(self, outcome, why, saved):
        return {"outcome": outcome, "detail": "%s; its state from before: %s" % (why, saved.path)}

    def restore(self, name, wait):
        found = self.state(name)
        if found["outcome"] != "planned":
            return found
        if not wait and self.lists.has_lock(name):
            return {"outcome": "locked", "detail": ""}
        with self.lists.lock_alone(name, wait):
            # Nobody changes it now: this look counts.
            found = self.state(name)
            return self.put_back(name) if found["outcome"] == "planned" else found

    def put_back(self, name):
        path = self.path(name)
        data = saving.Saved(self.root, self.site["name"], name).before()
        own = saving.Saved(self.own_root, self.site["name"], name)
        own.keep(saving.content(path))
        own.mark(saving.digest(data), False)
        own.sync()
        replace(path, data)
        if saving.content(path) != data:
            return {"outcome": "error", "detail": "written, but read again it is not what was kept",
                    "kept": {"state": "kept"}}
        return {"outcome": "restored", "detail": "", "kept": {"state": "kept"}}


def replace(path, data):
    """Replace a list's state as Mailman does: the one before stays as config.pck.last."""
    temporary = "%s.tmp.%s.%d" % (path, socket.gethostname(), os.getpid())
    mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o660
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, mode)
        last = path + ".last"
        if os.path.exists(path):
            if os.path.lexists(last):
                os.unlink(last)
            os.link(path, last)
        os.rename(temporary, path)
    except EnvironmentError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def prepare(site, parameters):
    return Restoring(site, parameters)


def do(state, name, wait):
    try:
        return state.look(name) if state.action == "look" else state.restore(name, wait)
    except Exception as e:
        failed = state.lists.failed(e)
        if failed is None:
            raise
        return failed


def run(parameters, emit):
    """Look at, or restore, the lists of which the run `restores` kept the state."""
    root = saving.folder_of(parameters["folder"], parameters["restores"])
    kept = saving.kept_lists(root)
    known = dict((site["name"], site) for site in parameters["sites"])
    emit({"event": "kept", "path": root, "lists": len(kept),
          "sites_gone": sorted(set(site for site, _ in kept if site not in known))})
    for site in parameters["sites"]:
        mine = [name for owner, name in kept if owner == site["name"]]
        site["only"] = [name for name in mine if site["only"] is None or name in site["only"]]
    lists.run_each("restoring", parameters, emit)
    if parameters.get("run"):
        saving.tidy(saving.folder_of(parameters["journal"]["folder"], parameters["run"]))
