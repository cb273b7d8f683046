# What `runbook add-list` does on the list server: looks for a list, creates it, sets what
# Puppet does not set, and reads it back.
#
# Python 2.7 and 3, standard library alone; as Mailman's user. One list of one site.
from __future__ import print_function

import os
import signal
import sys

import creating
import describing
import journal
import listing
import locks
import mailmanlist
from boot import secret


# -- look: changes nothing --------------------------------------------------------------------


class Site(object):
    """A site, with Mailman at hand. One for each process."""

    def __init__(self, site):
        self.site = site
        if site["site_dir"] is not None:
            os.environ["MAILMAN_SITE_DIR"] = site["site_dir"]
        sys.path.insert(0, site["bin"])
        import paths  # noqa: F401  Mailman's own: it makes the package importable
        import catch_up
        self.lacking, self.is_as_new = catch_up.lacking, catch_up.is_as_new
        self.lists = mailmanlist.Lists(site)

    def look(self, name):
        """What can be seen of a list, as an event."""
        event = {"event": "looked", "exists": name in listing.names(self.site)}
        event["alias_files"] = self.alias_files()
        if not event["exists"]:
            return event
        try:
            m, note = self.lists.read(name)
        except mailmanlist.Gone:
            return dict(event, exists=False)
        except (mailmanlist.Corrupt, EnvironmentError) as e:
            return dict(event, unreadable=str(e))
        others, without, as_new = self.ban_lists_but(m)
        event.update(
            note=note, owner=list(m.owner), description=describing.description(m),
            mail_host=m.host_name, web_page_url=m.web_page_url,
            lacking=self.lacking(m, others), others=len(others), left_out=without,
            as_new=as_new)
        return event

    def ban_lists_but(self, m):
        """(the other lists' ban lists, the lists that cannot be read, those as new as this one).

        Without entries that do not compile: they ban nobody, and Mailman would log them.
        """
        found, without, as_new = [], [], []
        for name in listing.names(self.site):
            if name == m.internal_name():
                continue
            try:
                other, _ = self.lists.read(name)
            except (mailmanlist.Corrupt, mailmanlist.Gone, EnvironmentError):
                without.append(name)
                continue
            if self.is_as_new(other, m):
                as_new.append(name)
            else:
                found.append(mailmanlist.usable(other.ban_list))
            mailmanlist.forget(other)
        return found, without, as_new

    def alias_files(self):
        """Where Mailman itself writes aliases, if it does."""
        settings = self.lists.settings
        folder = getattr(settings, "DATA_DIR", None)
        return [os.path.join(folder, "aliases")] if settings.MTA and folder else []

    # -- change -------------------------------------------------------------------------------

    def change(self, name, description, with_bans, wait):
        """Change the list where necessary, and save it: (outcome, detail, kept)."""
        others = self.ban_lists_but(self.lists.read(name)[0])[0] if with_bans else []
        with self.lists.locked(name, wait) as m:
            kept, note = {}, ""
            if description is not None:
                was = describing.description(m)
                note = describing.describe(m, description)
                if describing.description(m) != was:
                    kept.update(description_was=was, description_set=describing.description(m))
            added = self.lacking(m, others)
            if added:
                m.ban_list.extend(added)
                kept["added"] = added
            if kept:
                m.Save()
            return ("changed" if kept else "already"), note, kept


def carry_out(parameters, emit):
    """Create and change, on record."""
    site, name = Site(parameters["site"]), parameters["list"]
    password = secret(parameters.get("secret", 0))
    # What is begun is finished: otherwise a lock would be left behind.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        record = journal.begin(parameters["journal"], emit)
        record.begin_list(parameters["site"]["name"], name)
        record.flush()
    except journal.JournalError as e:
        emit({"event": "unrecorded", "why": str(e), "begun": False})
        return
    outcome, detail, kept, created = "error", "", {}, False
    try:
        if parameters["create"]:
            newlist = creating.Newlist(site.lists, parameters["journal"]["folder"], name)
            created, detail = newlist.create(
                parameters["admin"], parameters["options"], password, parameters["timeout"])
        if not detail:
            outcome, detail, kept = site.change(
                name, parameters["description"], parameters["bans"], parameters["timeout"])
            if created and outcome in ("changed", "already"):
                outcome = "created"
    except Exception as e:
        # Whatever happened, the list may be there, and that must be recorded.
        failed = mailmanlist.failed(e) or {
            "outcome": "error", "detail": "%s: %s" % (type(e).__name__, e)}
        outcome, detail = failed["outcome"], failed["detail"]
    if created:
        kept["take_back"] = ["rmlist -a %s" % name]
    record.done(parameters["site"]["name"], name, outcome, detail, **kept)
    try:
        record.end("done")
    except journal.JournalError as e:
        emit({"event": "unrecorded", "why": str(e), "begun": True})
    if outcome == "locked":
        emit({"event": "locks", "site": parameters["site"]["name"], "observation": locks.observe(
            parameters["site"]["lock_dir"], parameters["site"]["lock_lifetime"])})
    emit({"event": "list", "site": parameters["site"]["name"], "list": name, "outcome": outcome,
          "detail": detail, "description_was": kept.get("description_was"),
          "added": kept.get("added", [])})
    emit(site.look(name))


def run(parameters, emit):
    """{"action": "names", "sites"}, {"action": "look", "site", "list"}, or carry_out()'s."""
    if parameters["action"] == "names":
        for site in parameters["sites"]:
            try:
                emit({"event": "names", "site": site["name"], "names": listing.names(site)})
            except EnvironmentError as e:
                emit({"event": "names", "site": site["name"], "why": os.strerror(e.errno)})
    elif parameters["action"] == "look":
        emit(Site(parameters["site"]).look(parameters["list"]))
    else:
        carry_out(parameters, emit)
