"""Somebody who is to become a member."""


class UserDesc(object):
    """An address, a full name, a password, and whether digests are wanted."""

    def __init__(self, address, fullname="", password="", digest=False, lang=None):
        self.address = address
        self.fullname = fullname
        self.password = password
        self.digest = digest
        self.language = lang
