"""Who owns which list, and who moderates it. For Mailman's withlist:

    withlist -q -a -r owners           every list of the site
    withlist -q -r owners LIST         one list

Changes nothing.
"""
from __future__ import print_function


def owners(m):
    if m is None:  # withlist has said which list it does not know
        return
    line = "%s: %s" % (m.internal_name(), ", ".join(sorted(m.owner)) or "nobody")
    if m.moderator:
        line += "; moderated by " + ", ".join(sorted(m.moderator))
    print(line)
