"""A mailing list: its state, and the lock that whoever changes it holds."""

import os

from Mailman import Errors, ListDefaults, LockFile, StateFile, Utils, mm_cfg
from Mailman.Banning import Banning
from Mailman.Memberships import Memberships


class MailList(Banning, Memberships):
    """The list `name`, loaded, and locked if `lock` is true.

    Everything in the list's state is an attribute (`ban_list`, `owner`, ...). Without a name: an
    object that stands for no list and touches no disk.

    Raises MMUnknownListError, MMCorruptListDatabaseError.
    """

    def __init__(self, name=None, lock=1):
        self.InitTempVars(name)
        if name is None:
            return
        if lock:
            self.Lock()
        else:
            self.Load()

    def __repr__(self):
        return "<MailList %r, %s>" % (
            self._internal_name,
            "locked" if self.Locked() else "unlocked",
        )

    def internal_name(self):
        return self._internal_name

    def fullpath(self):
        """The list's folder."""
        return os.path.join(mm_cfg.LIST_DATA_DIR, self._internal_name)

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
        """Make this object that of the list `name`, with nothing of its state."""
        self._internal_name = name
        path = os.path.join(mm_cfg.LOCK_DIR, (name or "<site>") + ".lock")
        self._lock = LockFile.LockFile(
            path, mm_cfg.LIST_LOCK_LIFETIME, mm_cfg.LIST_LOCK_DEBUGGING
        )

    def Lock(self, timeout=0):
        """Take the list's lock, waiting `timeout` seconds (0: as long as needed), and load.

        Raises LockFile.AlreadyLockedError, LockFile.TimeOutError, and whatever Load raises.
        """
        self._lock.lock(timeout)
        try:
            self.Load()
        except BaseException:
            self.Unlock()
            raise

    def Unlock(self):
        """Let go of the list's lock; without a lock, do nothing."""
        self._lock.unlock(unconditionally=True)

    def Locked(self):
        """Whether this object holds the list's lock."""
        return self._lock.locked()

    def Load(self):
        """Read the state. Raises MMUnknownListError, MMCorruptListDatabaseError."""
        if not Utils.list_exists(self._internal_name):
            raise Errors.MMUnknownListError(self._internal_name)
        self.__dict__.update(StateFile.load(self.fullpath()))

    def Save(self):
        """Write the state. Raises LockFile.NotLockedError."""
        self._lock.refresh()
        StateFile.save(self.fullpath(), self._state())

    def Create(self, name, admin, crypted_password, langs=None, emailhost=None, urlhost=None):
        """Make the list `name`; afterwards this object is that list, locked and saved.

        Raises BadListNameError, an EmailAddressError, MMListAlreadyExistsError.
        """
        Utils.check_list_name(name)
        Utils.ValidateEmail(admin)
        if Utils.list_exists(name):
            raise Errors.MMListAlreadyExistsError(name)
        emailhost = emailhost or mm_cfg.DEFAULT_EMAIL_HOST
        self.InitTempVars(name)
        self._lock.lock()
        _make_folder(self.fullpath())
        self.__dict__.update(
            ListDefaults.new_state(
                name,
                admin,
                crypted_password,
                (langs or [mm_cfg.DEFAULT_SERVER_LANGUAGE])[0],
                emailhost,
                urlhost or mm_cfg.DEFAULT_URL_HOST,
            )
        )
        self.Save()
        _make_archive(name)

    def _state(self):
        return dict((key, self.__dict__[key]) for key in self.__dict__ if not key.startswith("_"))


def _make_folder(path):
    if os.path.isdir(path):
        return
    umask = os.umask(0o002)
    try:
        os.makedirs(path, 0o2775)
    finally:
        os.umask(umask)
    StateFile.give_to_group(path)
    os.chmod(path, 0o2775)


def _make_archive(name):
    private = os.path.join(mm_cfg.PRIVATE_ARCHIVE_FILE_DIR, name)
    public = os.path.join(mm_cfg.PUBLIC_ARCHIVE_FILE_DIR, name)
    _make_folder(private)
    _make_folder(private + ".mbox")
    if not os.path.lexists(public):
        os.symlink(private, public)
