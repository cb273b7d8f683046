"""A mail message, as it is held for a moderator."""

import email.message
from email.utils import parseaddr


class Message(email.message.Message):
    def get_sender(self):
        """The address that the message is from, in lower case."""
        return parseaddr(self.get("from", ""))[1].lower()
