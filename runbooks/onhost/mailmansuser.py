# Finds out who Mailman's user is, without running anything of Mailman's as root.
#
# Python 2.7 and 3, standard library alone. Only mm_cfg.py says who it is, and reading that means
# running it. In an installation from source Mailman's group may write the programs, and so decide
# what they answer. So root asks as another user, and then checks the answer against what only root
# could forge: nobody else can give a file to another user, or to a group without being in it.
from __future__ import print_function

import grp
import os
import pwd
import stat

NOBODY = "nobody"


def to_ask_as(bin_dir):
    """(user, group) as whom root asks the installation: nearly always Mailman's own user.

    The programs belong to Mailman's group, and its user mostly has the same name. If not, it is
    nobody, but in that group: perhaps only the group can read mm_cfg.py.
    """
    theirs = None
    for path in (os.path.join(bin_dir, "..", "mail", "mailman"),
                 os.path.join(bin_dir, "..", "Mailman"), bin_dir):
        try:
            gid = os.lstat(path).st_gid
            group = grp.getgrgid(gid).gr_name
        except (OSError, KeyError):
            continue
        if gid == 0:
            continue
        theirs = theirs or group
        user = known(group)
        if user and user.pw_uid and user.pw_gid == gid:
            return user.pw_name, group
    return NOBODY, theirs or grp.getgrgid(pwd.getpwnam(NOBODY).pw_gid).gr_name


def owner(bin_dir):
    """(user, group) of whoever made a practice site: it always runs as that user."""
    user = pwd.getpwuid(os.stat(bin_dir).st_uid)
    return user.pw_name, grp.getgrgid(user.pw_gid).gr_name


def known(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def doubt(user, group, asked_as, bin_dir):
    """Why root does not become the `user` and `group` of the answer; None if it may."""
    entry = known(user)
    try:
        gid, members = grp.getgrnam(group)[2:4]
    except KeyError:
        entry = None
    if entry is None:
        return "Mailman's user %s or group %s does not exist here" % (user, group)
    owners, groups, anybody = writers(bin_dir)
    if user != asked_as:
        if entry.pw_uid == 0:
            return "it says that Mailman's user is %s" % user
        may = (entry.pw_gid in groups if groups else
               entry.pw_uid in owners if owners else not anybody)
        if not may:
            return ("it says that Mailman's user is %s, who does not own its programs, and"
                    " users other than root may have written that: log in as Mailman's user" % user)
    if gid != entry.pw_gid and user not in members and gid not in groups:
        return "it says that Mailman's group is %s, and %s is not a member of it" % (group, user)
    return None


def writers(bin_dir):
    """(users, groups, whether anybody may write): to whom but root the programs belong."""
    owners, groups, anybody = set(), set(), False
    for path in parts(os.path.dirname(bin_dir)):
        try:
            found = os.lstat(path)
        except OSError:
            continue  # gone
        owners.add(found.st_uid)
        groups.add(found.st_gid)
        anybody = anybody or bool(not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o002)
    return owners - set([0]), groups - set([0]), anybody


def parts(prefix):
    """The files and folders that make up Mailman's programs."""
    yield prefix
    yield os.path.join(prefix, "mail", "mailman")
    settings = os.path.realpath(os.path.join(prefix, "Mailman", "mm_cfg.py"))
    yield settings
    yield os.path.dirname(settings)
    for top in ("bin", "Mailman"):
        for folder, _, files in os.walk(os.path.join(prefix, top)):
            yield folder
            for name in files:
                yield os.path.join(folder, name)
