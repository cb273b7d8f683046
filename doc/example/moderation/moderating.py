# What `runbook moderate` does on each list: turns emergency moderation on or off.
#
# Python 2.7 and 3, standard library alone.

import editing
import lists


class Moderating(editing.Editor):
    attributes = ("emergency",)

    def is_done(self, m):
        return bool(m.emergency) == self.parameters["on"]

    def edit(self, m):
        m.emergency = int(self.parameters["on"])


prepare, do = Moderating, editing.do


def run(parameters, emit):
    lists.run_each("moderating", parameters, emit)
