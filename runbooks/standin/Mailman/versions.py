"""How the state of a list that an older Mailman wrote becomes one of today's."""

# What older states have and today's have not: those that were seen to be dropped.
_OBSOLETE = ("num_spawns", "filter_prog")


def Update(mlist, stored_state):
    """Drop what is obsolete. What is new, the list has already, with its default.

    On Python 3 this cannot succeed: there the list seems to have every attribute, and what is
    not there cannot be deleted. Recorded, see the scenario `python_interface`.
    """
    for name in _OBSOLETE:
        if hasattr(mlist, name):
            delattr(mlist, name)
