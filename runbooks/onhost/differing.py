# Shows a person what differs between two states of a list. Passwords are masked.
#
# Python 2.7 and 3, standard library alone.
from __future__ import print_function

import masking

# How many characters of a value are shown, and how many items of a list or dictionary.
LONGEST = 200
MOST = 20


def attributes(old, new):
    """The names of the attributes that differ between two states."""
    differ = [name for name in set(old) | set(new)
              if name not in old or name not in new or not same(old[name], new[name])]
    return sorted(differ, key=repr)


def same(old, new):
    """Whether two values are the same. Objects that do not compare are judged by attributes."""
    try:
        return type(old) is type(new) and (bool(old == new) or alike(old, new))
    except Exception:
        return False


def alike(old, new):
    if isinstance(old, dict):
        return len(old) == len(new) and all(key in new and same(old[key], new[key]) for key in old)
    if isinstance(old, (list, tuple)):
        return len(old) == len(new) and all(same(*pair) for pair in zip(old, new))
    return (hasattr(old, "__dict__") and old.__class__ is new.__class__
            and same(vars(old), vars(new)))


def is_secret(name):
    return "passw" in str(name).lower()


def changes(old, new):
    """What differs, as text: an entry for each attribute.

    {"name", "from", "to"}, without "from" for a new attribute and without "to" for one that is
    gone; {"name", "added", "removed", "altered", "more"} for one that has items.
    """
    return [change(name, old, new) for name in attributes(old, new)]


def change(name, old, new):
    found = {"name": name}
    was, now = old.get(name), new.get(name)
    if name in old and name in new:
        if isinstance(was, (list, tuple, set)) and isinstance(now, (list, tuple, set)):
            added, removed = without(now, was), without(was, now)
            if added or removed:
                found.update(added=shown_items(name, added), removed=shown_items(name, removed),
                             more=more(added) + more(removed))
                return found
        if isinstance(was, dict) and isinstance(now, dict):
            return of_dictionary(found, was, now)
    if name in old:
        found["from"] = shown(name, was)
    if name in new:
        found["to"] = shown(name, now)
    return found


def of_dictionary(found, was, now):
    name = found["name"]
    keys = attributes(was, now)
    added = [key for key in keys if key not in was]
    removed = [key for key in keys if key not in now]
    other = [key for key in keys if key in was and key in now]
    found.update(
        added=[item(name, key, now) for key in added[:MOST]],
        removed=[item(name, key, was) for key in removed[:MOST]],
        altered=[[shown("", key), shown(secret_of(name, key), was[key]),
                  shown(secret_of(name, key), now[key])] for key in other[:MOST]],
        more=more(added) + more(removed) + more(other))
    return found


def secret_of(name, key):
    return name if is_secret(name) else key


def item(name, key, values):
    return "%s: %s" % (shown("", key), shown(secret_of(name, key), values[key]))


def without(these, those):
    try:
        those = set(those)
    except TypeError:
        pass
    return [one for one in these if one not in those]


def shown_items(name, items):
    return [shown(name, one) for one in items[:MOST]]


def more(items):
    return max(0, len(items) - MOST)


def shown(name, value):
    """A value, shortened; masked if its name is that of a password."""
    if is_secret(name) and value is not None:
        return masking.MASK
    try:
        text = repr(value) if not isinstance(value, dict) else masked_dictionary(value)
    except Exception:
        text = "<%s>" % type(value).__name__
    text = masking.hide(text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def masked_dictionary(value):
    return "{%s}" % ", ".join(
        "%s: %s" % (shown("", key), shown(key, one)) for key, one in list(value.items())[:MOST])
