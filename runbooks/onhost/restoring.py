# What `runbook withlist --restore` does on each list: puts back the state that a run kept.
#
# Python 2.7 and 3, standard library alone. The files that the run changed (statefiles.py) go
# back byte for byte, under the list's lock. By their hashes, each must be as the run left it or
# as it was before the run, so that a restore that was killed can be completed. Whatever a
# restore replaces is kept in turn.
from __future__ import print_function

import os
import socket

import lists
import mailmanlist
import saving
import statefiles


class Restoring(object):
    """What a worker keeps between lists."""

    def __init__(self, site, parameters):
        self.site = site
        self.action = parameters["action"]
        self.lists = mailmanlist.Lists(site)
        self.files = statefiles.Files(site["list_dir"], self.lists.settings.DATA_DIR)
        self.root = saving.folder_of(parameters["folder"], parameters["restores"])
        if self.action == "restore":
            self.own_root = saving.folder_of(parameters["journal"]["folder"], parameters["run"])

    def look(self, name):
        found = self.state(name)
        found["has_lock"] = self.lists.has_lock(name)
        return found

    def state(self, name):
        """How a list compares with its kept state, as {"outcome", "detail"}."""
        saved = saving.Saved(self.root, self.site["name"], name)
        before, now, after = saved.before(), self.files.digests(name), saved.after()
        if before is None:
            return self.left("error", "nothing of it is kept there now", saved)
        if not os.path.isdir(os.path.join(self.site["list_dir"], name)):
            return self.left("error", "the list no longer exists", saved)
        if after["left"] is None and now != before:
            return self.left("changed since", "the run was killed while it worked on this list,"
                             " and it is not known who changed it", saved)
        touched = saved.touched()
        to_do = [file for file in touched if now.get(file) != before.get(file)]
        if not to_do:
            return {"outcome": "already", "detail": "", "strays": self.strays(saved, now)}
        if after["mixed"]:
            return self.left("changed since", "somebody else changed it while the run did, or the"
                             " script did without its lock", saved)
        since = [file for file in to_do if now.get(file) != after["left"].get(file)]
        if since:
            return self.left("changed since", "somebody changed it since the run (%s)"
                             % ", ".join(statefiles.counted(since)), saved)
        for file in to_do:
            if file in before:
                saved.content(file)  # raises if it is damaged
        return {"outcome": "planned", "detail": "", "files": to_do,
                "strays": self.strays(saved, now)}

    def strays(self, saved, now):
        """The files that changed without the list's lock: they are not put back."""
        before = saved.before()
        return statefiles.counted(file for file in saved.after()["strays"]
                                  if now.get(file) != before.get(file))

    def left(self, outcome, why, saved):
        return {"outcome": outcome, "detail": "%s; its state from before: %s" % (why, saved.folder)}

    def restore(self, name, wait):
        found = self.state(name)
        if found["outcome"] != "planned":
            return found
        if not wait and self.lists.has_lock(name):
            return {"outcome": "locked", "detail": ""}
        with self.lists.lock_alone(name, wait) as lock:
            # Nobody can change it now: this is the look that counts.
            found = self.state(name)
            if found["outcome"] != "planned":
                return found
            if not lock.locked():
                return {"outcome": "locked", "detail": ""}
            return self.put_back(name, found["files"])

    def put_back(self, name, files):
        saved = saving.Saved(self.root, self.site["name"], name)
        before = dict((file, saved.before().get(file)) for file in files)
        own = saving.Saved(self.own_root, self.site["name"], name)
        own.keep(self.files, files)
        own.mark(dict((file, before[file]) for file in files if before[file]), False)
        own.sync()
        # A message is put back before the request that names it, and removed after it. The
        # list's settings come last.
        gone = [file for file in files if before[file] is None]
        there = sorted((file for file in files if before[file]), key=in_order)
        for file in there:
            replace(self.files.path(name, file), saved.content(file), file == statefiles.CONFIG)
        for file in gone:
            os.unlink(self.files.path(name, file))
        now = self.files.digests(name)
        kept = {"state": "kept"}
        beside = [file for file in files if file != statefiles.CONFIG]
        if beside:
            kept["files"] = statefiles.counted(beside)
        differ = [file for file in files if now.get(file) != before[file]]
        if differ:
            return {"outcome": "error", "detail": "written, but read again it is not what was kept"
                    " (%s)" % ", ".join(statefiles.counted(differ)), "kept": kept}
        return {"outcome": "restored", "detail": "", "kept": kept}


def in_order(file):
    return statefiles.IN_FOLDER[::-1].index(file) if file in statefiles.IN_FOLDER else -1


def replace(path, data, keeps_last):
    """Replace a file of a list as Mailman does. `keeps_last`: keep the old one as .last."""
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
        if keeps_last and os.path.exists(path):
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
    return state.look(name) if state.action == "look" else state.restore(name, wait)


def run(parameters, emit):
    """Look at, or restore, the lists whose state the run `restores` kept."""
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
