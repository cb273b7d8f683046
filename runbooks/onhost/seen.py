# What Mailman has of a list, to judge by what a command printed of it.
#
# Python 2.7 and 3, standard library alone.
import os
import pickle


def seen(m, attributes, addresses):
    """What is asked of the list, as values for JSON; of `addresses`, by what it refuses each."""
    kept = dict((key, plain(vars(m).get(key))) for key in attributes)
    kept["members"] = [plain(one) for one in m.getMembers()]
    kept["confirming"] = [plain(one[1].address) for one in waiting(m, "pending.pck")
                          if isinstance(one, tuple) and one[0] == "S"]
    kept["requesting"] = [plain(one[1][1]) for one in waiting(m, "request.pck") if one[0] == 2]
    kept["refused_by"] = dict((one, plain(m.GetBannedPattern(str(one)))) for one in addresses)
    return kept


def waiting(m, file):
    path = os.path.join(m.fullpath(), file)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as f:
        return list(pickle.load(f).values())


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [plain(one) for one in value] if isinstance(value, list) else value
