"""A mailing list: its state, and the lock that whoever changes it holds."""

import errno
import os
import sys
import time
import types
from email.utils import parseaddr

from Mailman import Errors, ListDefaults, LockFile, StateFile, Utils, mm_cfg, versions
from Mailman.Archiver import Archiver
from Mailman.Bouncer import Bouncer
from Mailman.ListAdmin import ListAdmin
from Mailman.Logging.Syslog import syslog
from Mailman.OldStyleMemberships import OldStyleMemberships
from Mailman.Parts import (
    Autoresponder,
    Deliverer,
    Digester,
    GatewayManager,
    HTMLFormatter,
    SecurityManager,
    TopicMgr,
)
from Mailman.Pending import SUBSCRIPTION, Pending

# By the name that it has in Mailman's module: what stands there saves the lists.
if sys.version_info[0] == 2:
    import cPickle
else:
    import pickle

# Who decides on a subscription (`subscribe_policy`), but for 0: nobody, and 2: a moderator.
CONFIRM, CONFIRM_AND_APPROVE = 1, 3


class MailList(
    HTMLFormatter,
    Deliverer,
    ListAdmin,
    Archiver,
    Digester,
    SecurityManager,
    Bouncer,
    GatewayManager,
    Autoresponder,
    TopicMgr,
    Pending,
):
    """The list `name`, loaded, and locked if `lock` is true.

    Everything in the list's state is an attribute (`ban_list`, `owner`, ...). Without a name: an
    object that stands for no list and touches no disk.

    Raises MMUnknownListError, MMCorruptListDatabaseError.
    """

    def __init__(self, name=None, lock=1):
        # The bases of the object's class, whatever that is: of a subclass, MailList is the base,
        # and so this calls itself until Python gives up. Mailman cannot be subclassed either.
        for base in self.__class__.__bases__:
            if hasattr(base, "__init__"):
                base.__init__(self)
        self.InitTempVars(name)
        self._memberadaptor = OldStyleMemberships(self)
        if name is None:
            return
        self._extend()
        if lock:
            self.Lock()
        else:
            self.Load()

    def __getattr__(self, name):
        """What the object lacks: its member adaptor's, or nobody's."""
        try:
            return getattr(self._memberadaptor, name)
        except AttributeError:
            if sys.version_info[0] == 2:
                raise AttributeError(name)
        return ListDefaults.what_2_2_makes_up(name)

    def __repr__(self):
        return '<mailing list "%s" (%s) at %x>' % (
            self._internal_name,
            "locked" if self.Locked() else "unlocked",
            id(self),
        )

    def internal_name(self):
        return self._internal_name

    def fullpath(self):
        """The list's folder."""
        return self._full_path

    def getListAddress(self, extra=None):
        """The list's own address, or `NAME-extra@HOST`."""
        name = self._internal_name if extra is None else "%s-%s" % (self._internal_name, extra)
        return "%s@%s" % (name, self.host_name)

    GetListEmail = getListAddress

    def GetOwnerEmail(self):
        return self.getListAddress("owner")

    def GetRequestEmail(self, cookie=""):
        return self.getListAddress("request")

    def InitTempVars(self, name):
        """Make this object that of the list `name`, with nothing loaded."""
        self._internal_name = name
        self._full_path = _folder(name) if name else ""
        self._lock = LockFile.LockFile(
            os.path.join(mm_cfg.LOCK_DIR, (name or "<site>") + ".lock"),
            mm_cfg.LIST_LOCK_LIFETIME,
            mm_cfg.LIST_LOCK_DEBUGGING,
        )
        self._loaded_at = 0
        self._requests = None

    def Lock(self, timeout=0):
        """Take the list's lock, waiting `timeout` seconds (0: as long as needed), and load.

        Raises LockFile.AlreadyLockedError, LockFile.TimeOutError, and whatever Load raises.
        """
        self._lock.lock(timeout)
        try:
            self.Load()
        except Exception:
            self.Unlock()
            raise

    def Unlock(self):
        """Let go of the list's lock; without a lock, do nothing."""
        self._lock.unlock(unconditionally=True)

    def Locked(self):
        """Whether this object holds the list's lock."""
        return self._lock.locked()

    def Load(self, check_version=True):
        """Read the state, unless it has been read and the file is older than that reading.

        What was changed in the object, and not saved, is then still there. Raises
        MMUnknownListError, MMCorruptListDatabaseError.
        """
        if not Utils.list_exists(self._internal_name):
            raise Errors.MMUnknownListError
        now = int(time.time())
        try:
            found = StateFile.load(self._full_path, self._loaded_at)
        except StateFile.NothingToLoad as error:
            syslog("error", "%s: no state can be read", self._internal_name)
            raise Errors.MMCorruptListDatabaseError(error)
        if found is None:
            return
        name, state = found
        self._loaded_at = now
        if name.endswith(".last"):
            self._repair(name)
        self.__dict__.update(state)
        if check_version:
            self.CheckVersion(state)
            self.CheckValues()

    def Save(self):
        """Write the state. Raises LockFile.NotLockedError."""
        self._lock.refresh()
        state = dict(
            (name, value)
            for name, value in self.__dict__.items()
            if not name.startswith("_") and not isinstance(value, types.MethodType)
        )
        try:
            pickling = cPickle if sys.version_info[0] == 2 else pickle
            self._loaded_at = StateFile.save(self._full_path, state, pickling.dump)
        finally:
            self.SaveRequestsDb()

    def CheckVersion(self, stored_state):
        """Bring what an older Mailman saved up to date, and save it, even without being asked."""
        if self.data_version >= mm_cfg.DATA_FILE_VERSION:
            return
        self.InitVars()
        self._loaded_at = 0
        self.Load(check_version=False)
        was_locked = self.Locked()
        if not was_locked:
            self.Lock()
        try:
            versions.Update(self, stored_state)
            self.data_version = mm_cfg.DATA_FILE_VERSION
            self.Save()
        finally:
            if not was_locked:
                self.Unlock()

    def CheckValues(self):
        """The address of the web pages is complete."""
        if "://" not in self.web_page_url:
            self.web_page_url = mm_cfg.DEFAULT_URL_PATTERN % mm_cfg.DEFAULT_URL_HOST
        if not self.web_page_url.endswith("/"):
            self.web_page_url += "/"

    def Create(self, name, admin, crypted_password, langs=None, emailhost=None, urlhost=None):
        """Make the list `name`; afterwards this object is that list, locked and not yet saved.

        What is locked is not the list, which nobody else knows yet, but the site. Raises
        BadListNameError, an EmailAddressError, MMListAlreadyExistsError.
        """
        if Utils.list_exists(name):
            raise Errors.MMListAlreadyExistsError(name)
        Utils.check_list_name(name)
        Utils.ValidateEmail(admin)
        self._internal_name = name
        self._full_path = _folder(name)
        StateFile.make_folder(self._full_path)
        self._lock.lock()
        self.InitVars(name, admin, crypted_password, urlhost)
        self.available_languages = langs or [self.preferred_language]
        self._make_archives()

    def InitVars(self, name=None, admin="", crypted_password="", urlhost=None):
        """The state of a new list."""
        self.__dict__.update(
            ListDefaults.new_state(name or self._internal_name, admin, crypted_password, urlhost)
        )

    def GetBannedPattern(self, address):
        """What matches `address` in the list's own ban list or the site's, or None."""
        return Utils.matching_pattern(address, self.ban_list) or Utils.matching_pattern(
            address, mm_cfg.GLOBAL_BAN_LIST
        )

    def AddMember(self, userdesc, remote=None):
        """Subscribe `userdesc.address` as far as the list lets anybody: who asks is `remote`.

        Raises what ApprovedAddMember does, MMSubscribeNeedsConfirmation, MMNeedApproval. No mail is
        sent.
        """
        assert self.Locked()
        address = userdesc.address = self._acceptable(userdesc.address, remote)
        if self.subscribe_policy == 0:
            self.ApprovedAddMember(userdesc)
        elif self.subscribe_policy in (CONFIRM, CONFIRM_AND_APPROVE):
            self.pend_new(SUBSCRIPTION, userdesc)
            raise Errors.MMSubscribeNeedsConfirmation
        else:
            self.HoldSubscription(
                address, userdesc.fullname, userdesc.password, userdesc.digest, userdesc.language
            )
            raise Errors.MMNeedApproval

    def ApprovedAddMember(self, userdesc, ack=None, admin_notif=None, text="", whence=""):
        """Subscribe `userdesc.address` if the list takes it. No mail is sent.

        Raises an EmailAddressError, MembershipIsBanned(what matched) or MMAlreadyAMember.
        """
        assert self.Locked()
        address = self._acceptable(userdesc.address, whence)
        self.addNewMember(
            address,
            realname=getattr(userdesc, "fullname", ""),
            password=getattr(userdesc, "password", ""),
            digest=getattr(userdesc, "digest", False),
            language=getattr(userdesc, "language", None),
        )
        self.setMemberOption(address, mm_cfg.DisableMime, not self.mime_is_default_digest)
        self.setMemberOption(address, mm_cfg.Moderate, self.default_member_moderation)

    def ApprovedDeleteMember(self, name, whence=None, admin_notif=None, userack=None):
        """Unsubscribe an address. No mail is sent. Raises NotAMemberError."""
        self.removeMember(parseaddr(name)[1])

    def _acceptable(self, address, whence):
        """The address as it is to be kept, if it may become a member."""
        address = Utils.LCDomain(address)
        Utils.ValidateEmail(address)
        if self.isMember(address):
            raise Errors.MMAlreadyAMember(address)
        pattern = self.GetBannedPattern(address)
        if pattern:
            source = " from %s" % whence if whence else ""
            refused = (self.real_name, address, source, pattern)
            syslog("vette", "%s banned subscription: %s%s (matched: %s)", *refused)
            raise Errors.MembershipIsBanned(pattern)
        return address

    def _extend(self):
        """Run `extend.py` in the list's folder: what it wants to be otherwise for this list."""
        path = os.path.join(self._full_path, "extend.py")
        namespace = {}
        try:
            with open(path, "rb") as file:
                code = file.read()
        except IOError as error:
            if error.errno != errno.ENOENT:
                syslog("error", "cannot read %s: %s", path, error)
            return
        exec(compile(code, path, "exec"), namespace)
        if "extend" in namespace:
            namespace["extend"](self)

    def _repair(self, name):
        """Put the copy `name` in its place, with the list locked."""
        syslog("error", "%s: repaired from %s", self._internal_name, name)
        ours = True
        try:
            self._lock.lock()
        except LockFile.AlreadyLockedError:
            ours = False
        try:
            StateFile.repair(self._full_path, name)
        finally:
            if ours:
                self._lock.unlock()


def _folder(name):
    return os.path.join(mm_cfg.LIST_DATA_DIR, name)
