"""Mail that comes back: what is kept of it with a member. None is read here."""


class Bouncer:
    """The part of a list that counts it."""


class _BounceInfo:
    """What came back from a member; a list's state has these by the member's key."""

    def __init__(self, member, score, date, noticesleft):
        self.member = member
        self.cookie = None
        self.score = score
        self.date = date
        self.noticesleft = noticesleft
        self.lastnotice = (1970, 1, 2)
