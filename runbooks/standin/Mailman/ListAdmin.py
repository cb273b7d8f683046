"""What waits for a moderator, in files of its own.

`request.pck` in the list's folder has the requests; it is written when the list is saved. A held
message is a file of its own in the site's data folder, made and removed at once.
"""

import os
import time

from Mailman import Errors, StateFile, mm_cfg
from Mailman.Files import remove
from Mailman.UserDesc import UserDesc

# Kinds of requests.
HELDMSG = 1
SUBSCRIPTION = 2
UNSUBSCRIPTION = 3


class ListAdmin:
    """The part of a list that knows its requests. No mail is sent about them."""

    def NumRequestsPending(self):
        return len(self._requests_by_id()) - 1  # the version is kept among them

    def GetHeldMessageIds(self):
        return self._ids(HELDMSG)

    def GetSubscriptionIds(self):
        return self._ids(SUBSCRIPTION)

    def GetUnsubscriptionIds(self):
        return self._ids(UNSUBSCRIPTION)

    def GetRecordType(self, id):
        return self._requests_by_id()[id][0]

    def GetRecord(self, id):
        return self._requests_by_id()[id][1]

    def HoldMessage(self, msg, reason, msgdata={}):
        """Hold `msg`, a Mailman.Message; return its number."""
        id = self._next_id()
        name = "heldmsg-%s-%d.pck" % (self.internal_name(), id)
        StateFile.write_other(os.path.join(mm_cfg.DATA_DIR, name), msg)
        subject = msg.get("subject", "(no subject)")
        record = (time.time(), msg.get_sender(), subject, reason, name, msgdata.copy())
        self._requests_by_id()[id] = (HELDMSG, record)
        return id

    def HoldSubscription(self, addr, fullname, password, digest, lang):
        record = (time.time(), addr, fullname, password, digest, lang)
        self._requests_by_id()[self._next_id()] = (SUBSCRIPTION, record)

    def HoldUnsubscription(self, addr):
        self._requests_by_id()[self._next_id()] = (UNSUBSCRIPTION, addr)

    def HandleRequest(self, id, value, comment=None, preserve=None, forward=None, addr=None):
        """Decide on request `id`: mm_cfg.DEFER, DISCARD, REJECT, SUBSCRIBE or UNSUBSCRIBE."""
        kind, record = self._requests_by_id()[id]
        if value == mm_cfg.DEFER:
            return
        if kind == HELDMSG:
            assert value in (mm_cfg.REJECT, mm_cfg.DISCARD), "the stand-in delivers no mail"
            remove(os.path.join(mm_cfg.DATA_DIR, record[4]))
        elif value not in (mm_cfg.REJECT, mm_cfg.DISCARD):
            self._grant(kind, record, value)
        del self._requests_by_id()[id]

    def SaveRequestsDb(self):
        """Write the requests, if they were looked at."""
        if self._requests is not None:
            StateFile.write_other(self._requests_file(), self._requests)
            self._requests = None

    def _grant(self, kind, record, value):
        if kind == SUBSCRIPTION:
            assert value == mm_cfg.SUBSCRIBE
            _, address, fullname, password, digest, language = record
            try:
                self.ApprovedAddMember(UserDesc(address, fullname, password, digest, language))
            except Errors.MMAlreadyAMember:
                pass
        else:
            assert value == mm_cfg.UNSUBSCRIBE
            try:
                self.ApprovedDeleteMember(record)
            except Errors.NotAMemberError:
                pass

    def _requests_by_id(self):
        if self._requests is None:
            assert self.Locked()
            self._requests = StateFile.read_other(self._requests_file()) or {
                "version": (0, mm_cfg.REQUESTS_FILE_SCHEMA_VERSION)
            }
        return self._requests

    def _requests_file(self):
        return os.path.join(self.fullpath(), "request.pck")

    def _ids(self, kind):
        requests = self._requests_by_id()
        return sorted(id for id in requests if id != "version" and requests[id][0] == kind)

    def _next_id(self):
        assert self.Locked()
        while self.next_request_id in self._requests_by_id():
            self.next_request_id += 1
        self.next_request_id += 1
        return self.next_request_id - 1
