"""Subscribing on the stand-in, as the form and mail do: what Mailman 2 does with each policy."""

from __future__ import annotations

import os

import pytest

ADD = """
from Mailman.UserDesc import UserDesc
m = MailList.MailList("alpha", lock=1)
m.subscribe_policy = int(sys.argv[1])
m.ban_list = ["evil@example.com"]
try:
    m.AddMember(UserDesc(sys.argv[2], "A Name", "pw", 0, "en"), "192.0.2.1")
    print("subscribed")
except (Errors.MMSubscriptionError, Errors.MMMemberError) as error:
    print(error.__class__.__name__)
m.Save()
m.Unlock()
"""
SHOW = """
m = MailList.MailList("alpha", lock=1)
pending = [v[1].address for v in m._read_pending().values() if isinstance(v, tuple)]
print(m.getMembers(), pending, [m.GetRecord(n)[1] for n in m.GetSubscriptionIds()])
m.Unlock()
"""
POLICY = """
m = MailList.MailList("alpha", lock=1)
m.subscribe_policy = 0
m.ban_list = ["evil@example.com"]
m.Save()
m.Unlock()
"""


@pytest.mark.parametrize(
    ("policy", "said", "there"),
    [
        (0, "subscribed", "['a@example.com'] [] []"),
        (1, "MMSubscribeNeedsConfirmation", "[] ['A@example.com'] []"),
        (2, "MMNeedApproval", "[] [] ['A@example.com']"),
        (3, "MMSubscribeNeedsConfirmation", "[] ['A@example.com'] []"),
    ],
)
def test_the_list_s_policy_decides(site, policy, said, there):
    site.new_list("alpha")
    assert site.code(ADD, str(policy), "A@EXAMPLE.com") == f"{said}\n"
    assert site.code(SHOW) == f"{there}\n"


@pytest.mark.parametrize("policy", ["0", "1", "2", "3"])
def test_who_is_banned_is_refused_with_any_policy_and_a_line_says_so(site, policy):
    site.new_list("alpha")
    assert site.code(ADD, policy, "EVIL@example.com") == "MembershipIsBanned\n"
    assert site.code(SHOW) == "[] [] []\n"
    said = (site.prefix / "logs" / "vette").read_text()
    assert "Alpha banned subscription: EVIL@example.com from 192.0.2.1" in said
    assert said.endswith(" (matched: EVIL@example.com)\n")


def mail(site, script: str, sender: str, subject: str = "") -> None:
    process = site.start(site.python, str(site.installation / "scripts" / script), "alpha")
    text = f"From: A Name <{sender}>\nSubject: {subject}\n\n\n"
    assert process.communicate(text, timeout=30) == ("", "")
    assert process.returncode == 0


@pytest.mark.usefixtures("only_mailmanctl")
def test_mail_waits_and_a_runner_takes_one_message_at_a_time(site):
    site.new_list("alpha")
    site.code(POLICY)
    mail(site, "join", "one@example.com")
    mail(site, "join", "evil@example.com")
    mail(site, "request", "two@example.com", "subscribe")
    mail(site, "request", "three@example.com", "help")
    waiting = [4]
    while waiting[-1]:
        assert site.run("qrunner", "-o", "-r", "Command") == ""
        waiting.append(len(os.listdir(site.prefix / "qfiles" / "commands")))
    assert waiting == [4, 3, 2, 1, 0]
    assert site.code(SHOW) == "['one@example.com', 'two@example.com'] [] []\n"
    assert site.run("qrunner", "-o", "-r", "Command") == ""


def test_mail_to_no_list_is_refused(site):
    process = site.start(site.python, str(site.installation / "scripts" / "join"), "nosuch")
    assert process.communicate("", timeout=30)[1]
    assert process.returncode == 1
