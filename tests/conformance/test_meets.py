"""What a script meets inside Mailman beyond the recordings: seen on GNU Mailman 2.1.39 and 2.2.0.

Each function of scripts/meets.py is run on a new list without members, by withlist and as Mailman's
user; it prints what is here. The stand-in has to print the same.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from runbooks.testing.containers.box import PROGRAMS

SCRIPT = Path(__file__).resolve().parent / "scripts" / "meets.py"


@dataclasses.dataclass(frozen=True)
class Differs:
    """What the two series print when it is not the same."""

    on_2_1: str
    on_2_2: str


PRINTED: dict[str, str | Differs] = {
    "unsaved": """\
['unsaved']
[]
""",
    "saved_by_another": """\
['another']
""",
    "unknown": """\
MMUnknownListError MMUnknownListError []
MMUnknownListError MMUnknownListError []
""",
    "capitals": """\
False ['alpha']
""",
    "creating": """\
['<site>.lock', '<site>.lock.lists'] ''
[] 'config.pck'
""",
    "web_page_url": """\
http://www.example.org/x/
http://lists.example.org/mailman/
""",
    "extended": """\
alpha
False
ZeroDivisionError
""",
    "without_ban_list": Differs(
        on_2_1="""\
False AttributeError
AttributeError
""",
        on_2_2="""\
False []
None
""",
    ),
    "old_without_ban_list": Differs(
        on_2_1="""\
[] []
True False
""",
        on_2_2="""\
AttributeError []
False True
""",
    ),
    "old_and_locked": """\
True
""",
    "of_a_later_release": """\
999
""",
    "config_db": Differs(
        on_2_1="""\
True ['alpha']
['old@example.com'] config.db
True ['alpha']
['old@example.com'] config.db config.pck config.pck.last
""",
        on_2_2="""\
True ['alpha']
['old@example.com'] config.db
True ['alpha']
AttributeError config.db
""",
    ),
    "damaged": Differs(
        on_2_1="""\
[]
[]
[]
[]
ImportError
config.pck config.pck.corrupt config.pck.last config.pck.safety
""",
        on_2_2="""\
[]
[]
[]
[]
[]
config.pck config.pck.corrupt config.pck.last config.pck.safety
""",
    ),
    "damaged_and_locked": """\
True config.pck config.pck.last
False config.pck config.pck.corrupt config.pck.last config.pck.safety
""",
    "not_picklable": """\
config.pck config.pck.tmp.lists.PID
[]
""",
    "unlocked": """\
NotLockedError AssertionError
AssertionError
AssertionError
AssertionError AssertionError
""",
    "dropped": """\
['alpha.lock', 'alpha.lock.lists']
[]
""",
    "three_names": """\
False NotLockedError
True None
""",
    "asked": """\
True True
""",
    "nameless": Differs(
        on_2_1="""\
False '' None
archive_private AttributeError
ban_list AttributeError
bounce_info AttributeError
bounce_info_stale_after AttributeError
data_version AttributeError
description AttributeError
digest_members AttributeError
members AttributeError
nosuch_dict AttributeError
nosuch_lists AttributeError
nosuch_text AttributeError
owner AttributeError
topics AttributeError
usenet_watermark AttributeError
welcome_msg AttributeError
""",
        on_2_2="""\
False '' None
archive_private 0
ban_list []
bounce_info {}
bounce_info_stale_after 604800
data_version 0
description ''
digest_members {}
members {}
nosuch_dict {}
nosuch_lists []
nosuch_text ''
owner 0
topics []
usenet_watermark None
welcome_msg ''
""",
    ),
    "adaptor": Differs(
        on_2_1="""\
OldStyleMemberships False
instance MailList False
""",
        on_2_2="""\
OldStyleMemberships False
MailList MailList True
""",
    ),
    "members": """\
{'some.one@example.com': 'Some.One@Example.COM'} {} {'some.one@example.com': 256}
['some.one@example.com'] 1 0
some.one@example.com Some.One@Example.COM ['Some.One@Example.COM', None]
Some One pw en
0 new
True False
False {'some.one@example.com': 256}
NotAMemberError NotAMemberError
MMAlreadyAMember ValueError
{} {} {} {} {}
""",
    "settings": """\
[('digest_members', 'Some.One@example.com'), ('passwords', 'pw'), ('language', 'en'), \
('usernames', 'Some One')]
['one'] 0 0
3 True
[('cookie', None), ('date', (2024, 5, 1)), ('lastnotice', (1970, 1, 2)), \
('member', 'some.one@example.com'), ('noticesleft', 3), ('score', 1.0)]
True [('digest_members', 'Some.One@example.com'), ('passwords', 'pw'), ('language', 'en'), \
('usernames', 'Some One'), ('user_options', 4), ('topics_userinterest', ['one']), \
('bounce_info', 1.0), ('delivery_status', (2, 1.0))]
[('digest_members', 'Some.One@example.com'), ('passwords', 'pw'), ('language', 'en'), \
('usernames', 'Some One'), ('user_options', 4), ('bounce_info', 1.0), ('delivery_status', (2, 1.0))]
None 0 [('digest_members', 'Some.One@example.com'), ('passwords', 'pw'), ('language', 'en'), \
('usernames', 'Some One'), ('user_options', 4)]
0 []
""",
    "subscriptions": """\
[7, 9, 40, 40] 2 True
True
[('C', 'tuple'), ('S', 'tuple')]
[('address', 'New@example.com'), ('digest', 1), ('fullname', 'New'), ('language', 'en'), \
('password', 'pw')]
[1, 'version'] (0, 1)
2 ('New@example.com', 'New', 'pw', 1, 'en')
{'version': (0, 1)} None
[1] New@example.com 1 2
""",
    "of_damaged_files": Differs(
        on_2_1="""\
refused
refused
""",
        on_2_2="""\
written over
refused
""",
    ),
    "held_subscription": """\
1 2 ('new@example.com', 'New', 'pw', 0, 'en') config.pck
config.pck config.pck.last request.pck 2
1
0
1 still, since that was not saved
0 config.pck config.pck.last request.pck
""",
    "held_message": """\
1 ['heldmsg-alpha-1.pck'] config.pck
[1] 1 ('one@example.com', 'hello', 'why', 'heldmsg-alpha-1.pck')
[]
[1] still, since that was not saved
None []
""",
    "pended": """\
40 config.pck pending.pck ('S', 'what')
AssertionError
('S', 'what') None
""",
}


@pytest.mark.layout("single")
@pytest.mark.parametrize("function", PRINTED)
def test_what_a_script_meets(mailman, function):
    created = mailman.run(["newlist", "-q", "alpha", "admin@example.com", "pw"], user="list")
    assert created.rc == 0, created.stderr
    expected = PRINTED[function]
    if isinstance(expected, Differs):
        expected = expected.on_2_1 if mailman.version.startswith("2.1.") else expected.on_2_2
    done = mailman.run(
        [f"{PROGRAMS}/withlist", "-q", "-r", f"meets.{function}", "alpha"], user="list"
    )
    assert (done.rc, done.stdout) == (0, expected), done.stderr


def test_every_function_is_run():
    script = SCRIPT.read_text("utf-8")
    of_a_list = set(re.findall(r"^def (\w+)\(m\):", script, re.MULTILINE))
    assert of_a_list - {"files", "load", "waits"} == set(PRINTED)
