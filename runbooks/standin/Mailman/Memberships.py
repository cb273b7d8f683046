"""The members of a list.

`members` and `digest_members` map the address in lower case to 0, or to the address as it was
given where its first part has capitals.
"""

from Mailman import Errors, Utils


class Memberships(object):
    """The part of a list that knows its members."""

    def getMembers(self):
        """The keys (addresses in lower case) of all members."""
        return self.getRegularMemberKeys() + self.getDigestMemberKeys()

    def getRegularMemberKeys(self):
        return list(self.members)

    def getDigestMemberKeys(self):
        return list(self.digest_members)

    def isMember(self, address):
        return self._roster(address) is not None

    def getMemberKey(self, address):
        """The key of a member. Raises NotAMemberError."""
        self._members_of(address)
        return address.lower()

    def getMemberCPAddress(self, address):
        """A member's address with its case preserved. Raises NotAMemberError."""
        key = address.lower()
        return self._members_of(address)[key] or key

    def getMemberCPAddresses(self, addresses):
        return [self.getMemberCPAddress(address) for address in addresses]

    def getMemberName(self, address):
        """A member's full name or ''. Raises NotAMemberError."""
        return self.usernames.get(self.getMemberKey(address), "")

    def getMemberPassword(self, address):
        """A member's password, in the clear. Raises NotAMemberError."""
        return self.passwords[self.getMemberKey(address)]

    def addNewMember(self, address, realname="", password="", digest=False, language=None):
        """Subscribe `address`, whoever it is. Raises MMAlreadyAMember."""
        if self.isMember(address):
            raise Errors.MMAlreadyAMember(address)
        address = Utils.LCDomain(address)
        key = address.lower()
        (self.digest_members if digest else self.members)[key] = 0 if address == key else address
        self.passwords[key] = password
        self.language[key] = language or self.preferred_language
        if realname:
            self.usernames[key] = realname

    def removeMember(self, address):
        """Unsubscribe `address`. Raises NotAMemberError."""
        key = self.getMemberKey(address)
        for mapping in (
            self.members,
            self.digest_members,
            self.passwords,
            self.language,
            self.usernames,
            self.user_options,
            self.delivery_status,
            self.bounce_info,
            self.topics_userinterest,
        ):
            mapping.pop(key, None)

    def ApprovedAddMember(self, userdesc, ack=None, admin_notif=None):
        """Subscribe `userdesc.address` if the list takes it. No mail is sent.

        Raises an EmailAddressError, MembershipIsBanned(what matched) or MMAlreadyAMember.
        """
        address = userdesc.address
        Utils.ValidateEmail(address)
        if self.isMember(address):
            raise Errors.MMAlreadyAMember(address)
        pattern = self.GetBannedPattern(address)
        if pattern:
            raise Errors.MembershipIsBanned(pattern)
        self.addNewMember(
            address,
            getattr(userdesc, "fullname", ""),
            getattr(userdesc, "password", ""),
            getattr(userdesc, "digest", False),
        )

    def ApprovedDeleteMember(self, address, whence=None, admin_notif=None, userack=None):
        """Unsubscribe `address`. No mail is sent. Raises NotAMemberError."""
        self.removeMember(address)

    def _roster(self, address):
        key = address.lower()
        for members in (self.members, self.digest_members):
            if key in members:
                return members
        return None

    def _members_of(self, address):
        members = self._roster(address)
        if members is None:
            raise Errors.NotAMemberError(address)
        return members
