# What each list has, for `runbook verify`, and whether Mailman would change it by loading it.
#
# Python 2.7 and 3, standard library alone. Nothing is changed, and no lock is needed: a list is
# read as it is on the disk. Mailman itself would repair a damaged state and convert an old one.
from __future__ import print_function

import lists
import mailmanlist
import seen


def prepare(site, parameters):
    return mailmanlist.Lists(site), parameters


def do(state, name, wait):
    here, parameters = state
    m, note = here.read(name)
    try:
        if note:
            return {"outcome": "corrupt", "detail": note}
        version = here.settings.DATA_FILE_VERSION
        if m.data_version != version:
            return {"outcome": "error", "detail": "its state is of version %s, which Mailman"
                    " converts to %s when it next loads the list" % (m.data_version, version)}
        lists.tell({"event": "seen", "has": seen.seen(
            m, parameters["attributes"], parameters["addresses"])})
        return {"outcome": "looked", "detail": ""}
    finally:
        mailmanlist.forget(m)


def run(parameters, emit):
    lists.run_each("loading", parameters, emit)
