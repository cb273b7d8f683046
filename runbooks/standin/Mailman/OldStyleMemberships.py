"""The member adaptor: what a list asks about its members, and how it changes them.

`members` and `digest_members` map the address in lower case to 0, or to the address as it was
given where its first part has capitals.
"""

import time

from Mailman import Errors, MemberAdaptor, Utils, mm_cfg

# What a list's state has about a member, each under the member's key.
_MAPPINGS = (
    "members",
    "digest_members",
    "passwords",
    "language",
    "usernames",
    "user_options",
    "delivery_status",
    "bounce_info",
    "topics_userinterest",
)


class OldStyleMemberships:
    """The members of the list `mlist`. Whoever changes them has to have locked it."""

    def __init__(self, mlist):
        self._mlist = mlist

    def getMembers(self):
        """The keys (addresses in lower case) of all members."""
        return self.getRegularMemberKeys() + self.getDigestMemberKeys()

    def getRegularMemberKeys(self):
        return list(self._mlist.members)

    def getDigestMemberKeys(self):
        return list(self._mlist.digest_members)

    def isMember(self, address):
        return int(self._roster(address) is not None)

    def getMemberKey(self, address):
        """The key of a member. Raises NotAMemberError."""
        if not self.isMember(address):
            raise Errors.NotAMemberError(address)
        return address.lower()

    def getMemberCPAddress(self, address):
        """A member's address with its case preserved. Raises NotAMemberError."""
        key = self.getMemberKey(address)
        return self._roster(address)[key] or key

    def getMemberCPAddresses(self, addresses):
        """As getMemberCPAddress for each of them, with None for whoever is not a member."""
        return [
            self.getMemberCPAddress(address) if self.isMember(address) else None
            for address in addresses
        ]

    def getMemberName(self, address):
        """A member's full name or None. Raises NotAMemberError."""
        return self._mlist.usernames.get(self.getMemberKey(address))

    def getMemberPassword(self, address):
        """A member's password, in the clear. Raises NotAMemberError."""
        return self._mlist.passwords[self.getMemberKey(address)]

    def authenticateMember(self, address, response):
        """The member's password if `response` is it, else 0. Raises NotAMemberError."""
        password = self.getMemberPassword(address)
        return password if password == response else 0

    def getMemberLanguage(self, address):
        """A member's language; the list's for whoever is not a member."""
        return self._mlist.language.get(address.lower(), self._mlist.preferred_language)

    def getMemberOption(self, address, flag):
        """Whether a member has the option `flag` (`mm_cfg.Moderate`). Raises NotAMemberError."""
        key = self.getMemberKey(address)
        if flag == mm_cfg.Digests:
            return key in self._mlist.digest_members
        return bool(self._mlist.user_options.get(key, 0) & flag)

    def getMemberTopics(self, address):
        """The topics that a member wants alone. Raises NotAMemberError."""
        return self._mlist.topics_userinterest.get(self.getMemberKey(address), [])

    def getDeliveryStatus(self, address):
        """Whether a member gets mail (see MemberAdaptor). Raises NotAMemberError."""
        return self._delivery(address)[0]

    def getDeliveryStatusChangeTime(self, address):
        """When that was last changed; 0 for a member that gets mail. Raises NotAMemberError."""
        return self._delivery(address)[1]

    def getBounceInfo(self, address):
        """What is kept of mail that came back, or None. Raises NotAMemberError."""
        return self._mlist.bounce_info.get(self.getMemberKey(address))

    def addNewMember(
        self, address, realname=None, password="", digest=False, language=None, **unknown
    ):
        """Subscribe `address`, whoever it is. Raises MMAlreadyAMember."""
        assert self._mlist.Locked()
        if self.isMember(address):
            raise Errors.MMAlreadyAMember(address)
        if unknown:
            raise ValueError(list(unknown))
        key = address.lower()
        members = self._mlist.digest_members if digest else self._mlist.members
        members[key] = 0 if Utils.LCDomain(address) == key else address
        self.setMemberPassword(address, password)
        self.setMemberLanguage(address, language or self._mlist.preferred_language)
        if realname:
            self.setMemberName(address, realname)
        if self._mlist.new_member_options:
            self._mlist.user_options[key] = self._mlist.new_member_options

    def removeMember(self, address):
        """Unsubscribe `address`. Raises NotAMemberError."""
        assert self._mlist.Locked()
        key = self.getMemberKey(address)
        for name in _MAPPINGS:
            getattr(self._mlist, name).pop(key, None)

    def setMemberPassword(self, address, password):
        """Raises NotAMemberError."""
        self._set("passwords", address, password)

    def setMemberLanguage(self, address, language):
        """Raises NotAMemberError."""
        self._set("language", address, language)

    def setMemberName(self, address, realname):
        """Raises NotAMemberError."""
        self._set("usernames", address, realname)

    def setMemberOption(self, address, flag, value):
        """Give a member the option `flag`, or take it away; not Digests. Raises NotAMemberError."""
        assert self._mlist.Locked()
        key = self.getMemberKey(address)
        options = self._mlist.user_options.pop(key, 0)
        options = options | flag if value else options & ~flag
        if options:
            self._mlist.user_options[key] = options

    def setMemberTopics(self, address, topics):
        """Raises NotAMemberError."""
        self._set("topics_userinterest", address, topics)
        if not topics:
            self._unset("topics_userinterest", address)

    def setDeliveryStatus(self, address, status):
        """Whether a member gets mail; what came back is forgotten then. Raises NotAMemberError."""
        if status == MemberAdaptor.ENABLED:
            self.setBounceInfo(address, None)
        else:
            self._set("delivery_status", address, (status, time.time()))

    def setBounceInfo(self, address, info):
        """Raises NotAMemberError."""
        if info is None:
            self._unset("bounce_info", address)
            self._unset("delivery_status", address)
        else:
            self._set("bounce_info", address, info)

    def _delivery(self, address):
        enabled = (MemberAdaptor.ENABLED, 0)
        return self._mlist.delivery_status.get(self.getMemberKey(address), enabled)

    def _unset(self, name, address):
        assert self._mlist.Locked()
        getattr(self._mlist, name).pop(self.getMemberKey(address), None)

    def _set(self, name, address, value):
        assert self._mlist.Locked()
        getattr(self._mlist, name)[self.getMemberKey(address)] = value

    def _roster(self, address):
        key = address.lower()
        for members in (self._mlist.members, self._mlist.digest_members):
            if key in members:
                return members
        return None
