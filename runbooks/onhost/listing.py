# Which lists a site has, by what is on its disk.
#
# Python 2.7 and 3, standard library alone. Mailman's own function is in a module that takes it a
# tenth of a second to import.
import os
import re

# Where Mailman looks for a list's state, in this order. The last two are from Mailman 2.0.
STATE, STATE_BEFORE = "config.pck", "config.pck.last"
STATES = (STATE, STATE_BEFORE, "config.db", "config.db.last")


def names(site):
    """The names that Mailman's Utils.list_names() gives, in order. Raises EnvironmentError.

    `site`: its "list_dir", and as "name_characters" an expression for each of the characters that
    a name may have.
    """
    name_of_list = re.compile("(?:%s)+\\Z" % site["name_characters"])
    return sorted(name for name in os.listdir(site["list_dir"]) if name_of_list.match(name) and any(
        os.path.exists(os.path.join(site["list_dir"], name, state)) for state in STATES))
