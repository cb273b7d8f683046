"""Exceptions, under the names that scripts know."""


class MailmanError(Exception):
    """Anything that Mailman itself raises."""


class MMListError(MailmanError):
    """Something is wrong with a list as a whole."""


class MMUnknownListError(MMListError):
    """There is no list with this name."""


class MMListAlreadyExistsError(MMListError):
    """A new list was asked for under a name that is taken."""


class MMCorruptListDatabaseError(MMListError):
    """Neither a list's config.pck nor the copy before it can be read."""


class MMListNotReadyError(MMListError):
    """The list has no name yet: nothing can be loaded or saved."""


class BadListNameError(MMListError):
    """A list cannot have this name."""


class MMMemberError(MailmanError):
    """Something is wrong about a member."""


class NotAMemberError(MMMemberError):
    """The address is not subscribed."""


class MMAlreadyAMember(MMMemberError):
    """The address is subscribed already."""


class MembershipIsBanned(MMMemberError):
    """The list refuses the address; the argument says what matched."""


class MMSubscriptionError(MailmanError):
    """The address is not a member yet."""


class MMSubscribeNeedsConfirmation(MMSubscriptionError):
    """Whoever has the address is to confirm it."""


class MMNeedApproval(MMSubscriptionError):
    """A moderator is to decide."""


class EmailAddressError(MailmanError):
    """An address cannot be used."""


class MMBadEmailError(EmailAddressError):
    """Not an address at all."""


class MMHostileAddress(EmailAddressError):
    """An address with characters that a shell or a mail server could misread."""


# Older names of the same things.
MMNotAMemberError = NotAMemberError
