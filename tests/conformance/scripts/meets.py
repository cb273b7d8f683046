"""What else a script meets inside Mailman: `withlist -r meets.FUNCTION LIST`; see test_meets.py."""

from __future__ import print_function

import gc
import marshal
import os
import pickle
import time
from email import message_from_string

from Mailman import LockFile, MailList, MemberAdaptor, Message, Utils, mm_cfg
from Mailman.Bouncer import _BounceInfo
from Mailman.UserDesc import UserDesc


def outcome(function, *arguments):
    """What a call returns, or the kind of error that it ends in."""
    try:
        return repr(function(*arguments))
    except Exception as error:
        return type(error).__name__


def path(m, name="config.pck"):
    return os.path.join(m.fullpath(), name)


def files(m):
    names = sorted(os.listdir(m.fullpath()))
    return " ".join(name.replace(str(os.getpid()), "PID") for name in names)


def locks():
    return sorted(
        name.replace(".%d." % os.getpid(), ".PID.").rpartition(".PID.")[0] or name
        for name in os.listdir(mm_cfg.LOCK_DIR)
    )


def load(m):
    return MailList.MailList(m.internal_name(), lock=0)


def save(m, **values):
    """Save the list with other values; those that are None are left out."""
    m.Lock()
    for name, value in values.items():
        if value is None:
            delattr(m, name)
        else:
            setattr(m, name, value)
    m.Save()
    m.Unlock()


def saved_before(m, seconds):
    os.utime(path(m), (time.time() - seconds, time.time() - seconds))


def waits(m):
    """Whether a process that only loads the list waits for its lock."""
    pid = os.fork()
    if pid == 0:
        try:
            load(m)
        finally:
            os._exit(0)
    for _ in range(60):
        ended = os.waitpid(pid, os.WNOHANG)[0]
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return not ended


# Loading


def unsaved(m):
    """Lock() does not read a file again that is older than the last reading."""
    save(m)
    for seconds in (10, -10):
        saved_before(m, seconds)
        another = load(m)
        another.ban_list.append("unsaved")
        another.Lock()
        print(another.ban_list)
        another.Unlock()


def saved_by_another(m):
    save(m)
    saved_before(m, 10)
    first, second = load(m), load(m)
    save(second, ban_list=["another"])
    saved_before(m, -10)
    first.Lock()
    print(first.ban_list)
    first.Unlock()


def unknown(m):
    for name in ("nosuch", "ALPHA"):
        print(outcome(MailList.MailList, name, 0), outcome(MailList.MailList, name), locks())


def capitals(m):
    """A folder with capitals in its name is no list, whatever is in it."""
    folder = os.path.join(mm_cfg.LIST_DATA_DIR, "UPPER")
    os.mkdir(folder)
    open(os.path.join(folder, "config.pck"), "w").close()
    print(bool(Utils.list_exists("UPPER")), Utils.list_names())


def creating(m):
    """A new list is locked under the name of the site, and saved by whoever makes it."""
    new = MailList.MailList()
    new.Create("new", "admin@example.com", "pw")
    print(locks(), repr(files(new)))
    new.Save()
    new.Unlock()
    print(locks(), repr(files(new)))


def web_page_url(m):
    for url in ("http://www.example.org/x", ""):
        save(m, web_page_url=url)
        print(load(m).web_page_url)


def extended(m):
    """extend.py in a list's folder is run with the list."""
    with open(path(m, "extend.py"), "w") as file:
        file.write("def extend(m):\n    m.isMember = m.internal_name\n")
    another = load(m)
    print(another.isMember())
    save(another)
    with open(path(m), "rb") as file:
        print(b"isMember" in file.read())
    with open(path(m, "extend.py"), "w") as file:
        file.write("1 / 0\n")
    print(outcome(load, m))


# Old and damaged states


def without_ban_list(m):
    save(m, ban_list=None)
    another = load(m)
    print("ban_list" in another.__dict__, outcome(lambda: another.ban_list))
    print(outcome(another.GetBannedPattern, "one@example.com"))


def old_without_ban_list(m):
    """What an old state lacks is there after it was loaded; num_spawns is of old states."""
    save(m, ban_list=None, data_version=90, num_spawns=4)
    print(outcome(lambda: load(m).ban_list), locks())
    with open(path(m), "rb") as file:
        state = file.read()
    print(b"ban_list" in state, b"num_spawns" in state)


def old_and_locked(m):
    """Loading an old state waits for the lock."""
    save(m, data_version=90)
    lock = LockFile.LockFile(os.path.join(mm_cfg.LOCK_DIR, "alpha.lock"), 100)
    lock.lock()
    print(waits(m))
    lock.unlock()


def of_a_later_release(m):
    save(m, data_version=999)
    print(load(m).data_version)


def config_db(m):
    """A list of Mailman 2.0 counts; loading it converts it."""
    with open(path(m), "rb") as file:
        state = pickle.load(file)
    for version in (mm_cfg.DATA_FILE_VERSION, 21):
        for name in os.listdir(m.fullpath()):
            os.unlink(path(m, name))
        state.update(ban_list=["old@example.com"], data_version=version)
        with open(path(m, "config.db"), "wb") as file:
            marshal.dump(state, file)
        print(bool(Utils.list_exists("alpha")), Utils.list_names())
        print(outcome(lambda: load(m).ban_list), files(m))


def damaged(m):
    """What is taken for damage, and repaired from the copy; other errors are not caught on 2.1."""
    save(m)
    for bad in (b"", b"garbage", b"}q\x00(", pickle.dumps([1], 1), b"cnosuch\nthing\n."):
        with open(path(m), "wb") as file:
            file.write(bad)
        print(outcome(lambda: load(m).ban_list))
    print(files(m))


def damaged_and_locked(m):
    """Repairing waits for the lock."""
    save(m)
    m.Lock()
    with open(path(m), "wb") as file:
        file.write(b"")
    print(waits(m), files(m))
    m.Unlock()
    print(waits(m), files(m))


def not_picklable(m):
    """A save that fails leaves the state alone, and a file behind."""
    m.Lock()
    m.ban_list = lambda: None
    try:
        m.Save()
    except Exception:
        print(files(m))
    m.Unlock()
    print(load(m).ban_list)


# Locks


def unlocked(m):
    """What may not be done without the lock."""
    print(outcome(m.Save), outcome(m.removeMember, "one@example.com"))
    print(outcome(m.addNewMember, "one@example.com"))
    print(outcome(m.setMemberPassword, "one@example.com", "pw"))
    print(outcome(m.NumRequestsPending), outcome(m.pend_new, "S"))


def dropped(m):
    """Whoever drops a list lets go of its lock."""
    another = MailList.MailList("alpha")
    print(locks())
    del another
    gc.collect()
    print(locks())


def three_names(m):
    """A lock whose file has a third name is nobody's."""
    m.Lock()
    lock = os.path.join(mm_cfg.LOCK_DIR, "alpha.lock")
    os.link(lock, lock + ".copy")
    print(bool(m.Locked()), outcome(m.Save))
    os.unlink(lock + ".copy")
    print(bool(m.Locked()), outcome(m.Save))
    m.Unlock()


def asked(m):
    """To ask whether the lock is held makes it last longer."""
    m.Lock()
    lock = os.path.join(mm_cfg.LOCK_DIR, "alpha.lock")
    os.utime(lock, (1000, 1000))
    print(bool(m.Locked()), os.stat(lock).st_mtime > time.time() + 17000)
    m.Unlock()


# Attributes


def nameless(m):
    another = MailList.MailList()
    print(bool(another.Locked()), repr(another.fullpath()), another.Unlock())
    for name in (
        "archive_private ban_list bounce_info bounce_info_stale_after data_version description "
        "digest_members members nosuch_dict nosuch_lists nosuch_text owner topics "
        "usenet_watermark welcome_msg"
    ).split():
        print(name, outcome(getattr, another, name))


def adaptor(m):
    """Methods about members are those of an object of its own."""
    print(m._memberadaptor.__class__.__name__, hasattr(MailList.MailList, "isMember"))
    print(type(m).__name__, m.__class__.__name__, hasattr(m, "nosuch"))


# Members


def members(m):
    m.Lock()
    m.addNewMember("Some.One@Example.COM", password="pw", realname="Some One")
    key, nobody = "some.one@EXAMPLE.com", "nobody@example.com"
    print(m.members, m.digest_members, m.user_options)
    print(m.getMembers(), m.isMember(key), m.isMember(nobody))
    print(m.getMemberKey(key), m.getMemberCPAddress(key), m.getMemberCPAddresses([key, nobody]))
    print(m.getMemberName(key), m.getMemberPassword(key), m.getMemberLanguage(key))
    m.setMemberPassword(key, "new")
    print(m.authenticateMember(key, "pw"), m.authenticateMember(key, "new"))
    m.setMemberOption(key, mm_cfg.Moderate, 1)
    print(m.getMemberOption(key, mm_cfg.Moderate), m.getMemberOption(key, mm_cfg.Digests))
    m.setMemberOption(key, mm_cfg.Moderate, 0)
    print(m.getMemberOption(key, mm_cfg.Moderate), m.user_options)
    print(outcome(m.getMemberName, nobody), outcome(m.removeMember, nobody))
    print(outcome(m.addNewMember, key), outcome(lambda: m.addNewMember(nobody, other=1)))
    m.removeMember(key)
    print(m.members, m.passwords, m.language, m.usernames, m.user_options)
    m.Unlock()


def settings(m):
    """All that a state has of a member, and that nothing of it is left when that is removed."""

    def kept():
        names = "members digest_members passwords language usernames user_options"
        names += " topics_userinterest bounce_info delivery_status"
        found = [(name, getattr(m, name).get(key, "-")) for name in names.split()]
        return [(name, getattr(value, "score", value)) for name, value in found if value != "-"]

    m.Lock()
    m.new_member_options = 0
    address, key = "Some.One@example.com", "some.one@example.com"
    m.addNewMember(address, password="pw", realname="Some One", digest=1)
    print(kept())
    m.setMemberOption(key, mm_cfg.AcknowledgePosts, 1)
    m.setMemberTopics(key, ["one"])
    print(m.getMemberTopics(key), m.getDeliveryStatus(key), m.getDeliveryStatusChangeTime(key))
    m.setDeliveryStatus(key, MemberAdaptor.BYADMIN)
    print(m.getDeliveryStatus(key), m.getDeliveryStatusChangeTime(key) > 1e9)
    m.delivery_status[key] = (MemberAdaptor.BYUSER, 1.0)
    info = _BounceInfo(key, 1.0, (2024, 5, 1), 3)
    print(sorted(vars(info).items()))
    m.setBounceInfo(key, info)
    print(m.getBounceInfo(key) is info, kept())
    m.setMemberTopics(key, [])
    print(kept())
    m.setDeliveryStatus(key, MemberAdaptor.ENABLED)
    print(m.getBounceInfo(key), m.getDeliveryStatus(key), kept())
    m.setMemberTopics(key, ["one"])
    m.setDeliveryStatus(key, MemberAdaptor.BYBOUNCE)
    m.setBounceInfo(key, info)
    m.ApprovedDeleteMember(address.upper(), "whence", 0, 0)
    print(m.isMember(key), kept())
    m.Unlock()


# What is in files of its own


def subscriptions(m):
    """What the files have of subscriptions that wait; what is written there by others, Mailman
    finds."""

    def read(name):
        with open(path(m, name), "rb") as file:
            return pickle.load(file)

    m.Lock()
    m.admin_immed_notify = 0
    wanted = UserDesc("New@example.com", "New", "pw", 1, "en")
    cookie = m.pend_new("S", wanted)
    m.pend_new("C", "old@example.com", "new@example.com", 0)
    pending = read("pending.pck")
    print(sorted(len(key) for key in pending), pending["version"], sorted(pending["evictions"]) == (
        sorted(key for key in pending if len(key) == 40)))
    print(pending["evictions"][cookie] - time.time() > mm_cfg.PENDING_REQUEST_LIFE - 60)
    print(sorted((e[0], type(e).__name__) for e in pending.values() if isinstance(e, tuple)))
    print(sorted(vars(pending[cookie][1]).items()))
    m.HoldSubscription("New@example.com", "New", "pw", 1, "en")
    m.Save()
    requests = read("request.pck")
    number = m.GetSubscriptionIds()[0]
    print(sorted(requests, key=str), requests["version"])
    print(requests[number][0], requests[number][1][1:])
    m.HandleRequest(number, mm_cfg.DISCARD)
    del pending[cookie], pending["evictions"][cookie]
    with open(path(m, "pending.pck"), "wb") as file:
        pickle.dump(pending, file)
    m.Save()
    print(read("request.pck"), m.pend_confirm(cookie, expunge=False))
    with open(path(m, "request.pck"), "wb") as file:
        pickle.dump(requests, file, 1)
    print(m.GetSubscriptionIds(), m.GetRecord(number)[1], mm_cfg.REQUESTS_FILE_SCHEMA_VERSION,
          mm_cfg.PENDING_FILE_SCHEMA_VERSION)
    m.Unlock()


def of_damaged_files(m):
    """2.2 takes a damaged file of confirmations for none, and writes over what is in it."""
    m.Lock()
    with open(path(m, "pending.pck"), "wb") as file:
        file.write(b"nonsense")
    print("written over" if outcome(m.pend_new, "S", "what")[0] == "'" else "refused")
    with open(path(m, "request.pck"), "wb") as file:
        file.write(b"nonsense")
    print("taken for none" if outcome(m.GetSubscriptionIds) == "[]" else "refused")
    m.Unlock()


def held_subscription(m):
    m.Lock()
    m.admin_immed_notify = 0
    m.HoldSubscription("new@example.com", "New", "pw", 0, "en")
    [number] = m.GetSubscriptionIds()
    print(m.NumRequestsPending(), m.GetRecordType(number), m.GetRecord(number)[1:], files(m))
    m.Save()
    print(files(m), m.next_request_id)
    m.HandleRequest(number, mm_cfg.DEFER)
    print(m.NumRequestsPending())
    m.HandleRequest(number, mm_cfg.DISCARD)
    print(m.NumRequestsPending())
    m.Unlock()
    another = MailList.MailList("alpha")
    print(another.NumRequestsPending(), "still, since that was not saved")
    another.HandleRequest(number, mm_cfg.DISCARD)
    another.Save()
    print(another.NumRequestsPending(), files(m))
    another.Unlock()


def held_message(m):
    def held():
        return [name for name in os.listdir(mm_cfg.DATA_DIR) if name.startswith("heldmsg-")]

    text = "From: One@Example.com\nSubject: hello\n\nbody\n"
    m.Lock()
    number = m.HoldMessage(message_from_string(text, Message.Message), "why", {})
    print(number, held(), files(m))
    m.Save()
    print(m.GetHeldMessageIds(), m.GetRecordType(number), m.GetRecord(number)[1:5])
    m.HandleRequest(number, mm_cfg.DISCARD)
    print(held())
    m.Unlock()
    another = MailList.MailList("alpha")
    print(another.GetHeldMessageIds(), "still, since that was not saved")
    print(outcome(another.HandleRequest, number, mm_cfg.DISCARD), another.GetHeldMessageIds())
    another.Unlock()


def pended(m):
    m.Lock()
    cookie = m.pend_new("S", "what")
    m.Unlock()
    print(len(cookie), files(m), m.pend_confirm(cookie, expunge=False))
    print(outcome(m.pend_confirm, cookie))
    m.Lock()
    print(m.pend_confirm(cookie), m.pend_confirm(cookie))
    m.Unlock()
