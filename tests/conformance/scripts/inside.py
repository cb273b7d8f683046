"""What a script meets inside Mailman: `withlist -r inside.FUNCTION LIST ARGUMENT ...`."""

from __future__ import print_function

from Mailman import MailList, Utils, mm_cfg


def subclassed(m):
    """A subclass of MailList: its constructor calls that of each base of the object's class."""

    class Sub(MailList.MailList):
        pass

    try:
        Sub(m.internal_name(), lock=0)
    except RuntimeError:
        print("RuntimeError")
    else:
        print("made")


def bases(m):
    print(" ".join(sorted(base.__name__ for base in m.__class__.__bases__)))


def nameless(m):
    """Which of a list's state an object without a name has."""
    state = ("ban_list", "owner", "data_version", "real_name")
    print(sorted(name for name in MailList.MailList().__dict__ if name in state))


def nosuch(m):
    """Ask for an attribute that nobody has."""
    try:
        m.nosuch
    except AttributeError as error:
        print("AttributeError: %s" % error)


def delegated(m):
    """A method that is not the object's own."""
    print("isMember" in m.__dict__)
    print(bool(m.isMember("one@example.com")))


def locked_at_once(m):
    another = MailList.MailList(m.internal_name())
    print(bool(another.Locked()))
    another.Unlock()


def aged(m, version):
    """Save the list as an older Mailman would have."""
    m.Lock()
    m.data_version = int(version)
    m.Save()
    m.Unlock()


def version(m):
    print(m.data_version)


def banned(m, *addresses):
    """What matches each address."""
    for address in addresses:
        print("%s: %s" % (address, m.GetBannedPattern(address)))


def unlocked_twice(m):
    m.Lock()
    m.Unlock()
    m.Unlock()
    print("no complaint")


def changed_unlocked(m):
    """Change the list, and do not save it."""
    m.Lock()
    m.ban_list.append("kept@example.com")
    m.Unlock()


def lock_lifetime(m):
    print(int(mm_cfg.LIST_LOCK_LIFETIME))


def names(m):
    found = Utils.list_names()
    print(type(found).__name__)
    print(sorted(found))


def exists(m, *names):
    for name in names:
        print("%s: %s" % (name, bool(Utils.list_exists(name))))
