"""Where an address occurs: as a member, owner or moderator, in filters. For Mailman's withlist:

    withlist -q -a -r whereis ADDRESS          every list of the site
    withlist -q -r whereis LIST ADDRESS        one list

Says nothing of a list that does not know the address. Changes nothing.
"""
from __future__ import print_function

# Attributes with addresses, or with patterns that start with ^.
FILTERS = (
    "ban_list", "accept_these_nonmembers", "hold_these_nonmembers", "reject_these_nonmembers",
    "discard_these_nonmembers", "subscribe_auto_approval")


def whereis(m, address):
    if m is None:  # withlist has said which list it does not know
        return
    places = []
    if m.isMember(address):
        places.append("member")
    for name, place in (("owner", "owner"), ("moderator", "moderator")):
        if same(address) in [same(other) for other in getattr(m, name)]:
            places.append(place)
    if m.GetBannedPattern(address):
        places.append("banned by %s" % m.GetBannedPattern(address))
    for name in FILTERS:
        if name != "ban_list" and same(address) in [same(entry) for entry in getattr(m, name, [])]:
            places.append(name)
    if places:
        print("%s: %s" % (m.internal_name(), ", ".join(places)))


def same(address):
    return address.strip().lower()
