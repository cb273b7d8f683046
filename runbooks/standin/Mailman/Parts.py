"""The bases of MailList that have nothing to do here: no mail, no web pages.

They are there because their absence shows: MailList's constructor goes through the bases of an
object's class, and finding others there ends it (see MailList). As in Mailman 2.1, Python 2 makes
these classes of the old style, and MailList with them.
"""


class Autoresponder:
    """Automatic answers to mail."""


class Deliverer:
    """Mail to members."""


class Digester:
    """Digests."""


class GatewayManager:
    """Newsgroups."""


class HTMLFormatter:
    """Web pages."""


class SecurityManager:
    """Who may see which web page."""


class TopicMgr:
    """Topics."""
