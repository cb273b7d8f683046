"""An attack through the subscription form, staged, and ended by the commands of the page alone."""

from __future__ import annotations

import io
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from runbooks.onhost import source
from runbooks.testing.containers.box import PROGRAMS, Box, Result
from tests.support.lockers import Actor, names, new_list, objects, play, runbook, until

LISTS_A_SITE = 15
VICTIMS = [f"victim{n:02}@example.com" for n in range(20)]
MEMBER, PATIENT, NEWCOMER = "member@example.net", "patient@example.net", "newcomer@example.net"

#: What Mailman changes of its own accord when it answers a command by mail.
COUNTS_ANSWERS = "hold_and_cmd_autoresponses"

#: As Mailman/Cgi/subscribe.py does it, or as whoever approves it: standard input has of each list
#: [[address, digest], …]. Says what came of each. Python 2.7 and 3, like the two below.
FORM = r"""
from __future__ import print_function
import json, sys
sys.path.insert(0, sys.argv[1])
import paths
from Mailman import Errors, MailList, mm_cfg
from Mailman.UserDesc import UserDesc

def subscribed(m, how, address, digest):
    try:
        if how == 'form':
            m.AddMember(UserDesc(address, 'A Victim', 'secret', digest, 'en'), '192.0.2.1')
        else:
            m.ApprovedAddMember(UserDesc(address, 'A Victim', 'secret', digest, 'en'), 0, 0)
    except Errors.MembershipIsBanned as e:
        return 'banned'
    except Errors.MMSubscribeNeedsConfirmation:
        return 'to be confirmed'
    except Errors.MMNeedApproval:
        return 'to be approved'
    except Errors.MMAlreadyPending:
        return 'pending already'
    return 'subscribed'

how = sys.argv[2]
for name, attempts in sorted(json.loads(sys.stdin.read()).items()):
    m = MailList.MailList(str(name), lock=0)
    m.Lock()
    try:
        for address, digest in attempts:
            said = subscribed(m, how, str(address), digest)
            print(json.dumps([name, address, said]))
        m.Save()
    finally:
        m.Unlock()
"""

#: Gives a list its policy, and somebody of each kind who has nothing to do with the attack.
BEFORE = r"""
import json, sys
sys.path.insert(0, sys.argv[1])
import paths
from Mailman import MailList
from Mailman.UserDesc import UserDesc
for name, policy in json.loads(sys.stdin.read()).items():
    m = MailList.MailList(str(name), lock=0)
    m.Lock()
    try:
        m.subscribe_policy = policy
        m.send_welcome_msg = m.admin_notify_mchanges = m.admin_immed_notify = 0
        m.ban_list = ['^earlier@']
        m.ApprovedAddMember(UserDesc('@MEMBER@', 'A Member', 'pw', 0, 'en'), 0, 0)
        m.HoldSubscription('@PATIENT@', 'A Patient', 'pw', 0, 'en')
        m.pend_new('S', UserDesc('@PATIENT@', 'A Patient', 'pw', 0, 'en'))
        m.Save()
    finally:
        m.Unlock()
""".replace("@MEMBER@", MEMBER).replace("@PATIENT@", PATIENT)

#: A process that has a list in hand, and subscribes somebody before it lets go.
LIVING = r"""
import os, sys, time
sys.path.insert(0, sys.argv[1])
import paths
from Mailman import MailList
from Mailman.UserDesc import UserDesc
m = MailList.MailList(sys.argv[2], lock=1)
open(sys.argv[3] + '.held', 'w').close()
while not os.path.exists(sys.argv[3] + '.go'):
    time.sleep(0.05)
m.ApprovedAddMember(UserDesc('@NEWCOMER@', 'A Newcomer', 'pw', 0, 'en'), 0, 0)
m.Save()
m.Unlock()
open(sys.argv[3] + '.over', 'w').close()
""".replace("@NEWCOMER@", NEWCOMER)

SIGNAL = "/tmp/living"


class Thing:
    """An object of a class of Mailman's: what it holds, and nothing else."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Thing({vars(self)!r})"


class Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return Thing if module.startswith("Mailman.") else super().find_class(module, name)


def lists_of(site: str) -> list[str]:
    return [f"{site}-{n:02}" for n in range(LISTS_A_SITE)]


def policy(name: str) -> int:
    """Open to all, confirmation, or approval: a third of the lists each."""
    return int(name[-2:]) % 3


def inside(box: Box, site: str, program: str, *arguments: str, given: object = None) -> Result:
    argv = [*box.mailman.interpreter, "-B", "-c", program, PROGRAMS, *arguments]
    done = box.run(
        argv,
        user="list",
        env=box.environment(site),
        stdin=json.dumps(given),
        timeout=240,
    )
    assert done.rc == 0, done
    return done


def attempts(box: Box, site: str, how: str, tried: dict[str, list[Any]]) -> set[str]:
    """What came of each attempt to subscribe: the different answers."""
    lines = inside(box, site, FORM, how, given=tried).stdout.splitlines()
    assert len(lines) == sum(map(len, tried.values()))
    return {json.loads(line)[2] for line in lines}


def spelled(victim: str, name: str) -> str:
    """In other letters on every other list."""
    return victim.title().replace("Com", "COM") if int(name[-2:]) % 2 else victim


def by_mail(box: Box, site: str, mails: list[tuple[str, str, str]]) -> None:
    """(to which of a list's addresses, the list, from whom): as the mail server gives it on."""
    for number, (address, name, sender) in enumerate(mails):
        text = f"From: A Victim <{sender}>\nTo: {name}-{address}@x\nSubject: subscribe\n\n\n"
        box.put(f"/tmp/mail{number}", text)
    script = "\n".join(
        f"{' '.join(box.mailman.interpreter)} -B {PROGRAMS}/../scripts/{address} {name}"
        f" < /tmp/mail{number} || exit 1"
        for number, (address, name, _) in enumerate(mails)
    )
    done = box.sh(
        # "Once" is one message.
        f"{script}\nfor mail in $(seq {len(mails)}); do {PROGRAMS}/qrunner -o -r Command; done",
        user="list",
        env=box.environment(site),
        timeout=240,
    )
    assert done.rc == 0, done
    box.sh("rm -f /tmp/mail*")


def add_members(box: Box, site: str, name: str, addresses: list[str], option: str = "-r") -> str:
    done = box.run(
        [f"{PROGRAMS}/add_members", option, "-", "-w", "n", "-a", "n", name],
        user="list",
        env=box.environment(site),
        stdin="".join(f"{address}\n" for address in addresses),
    )
    assert done.rc == 0, done
    return done.stdout


def stage(box: Box) -> None:
    """Twenty victims on thirty lists: by the form, by mail, and by whoever fell for it."""
    for site in box.sites:
        lists = lists_of(site)
        new_list(box, site, *lists)
        inside(box, site, BEFORE, given={name: policy(name) for name in lists})
        tried = {
            name: [
                [spelled(victim, name), int(victim[6:8]) % 4 == 1]
                for victim in VICTIMS[1:18]
                if policy(name) or int(victim[6:8]) % 2
            ]
            for name in lists
        }
        assert attempts(box, site, "form", tried) == {
            "subscribed",
            "to be confirmed",
            "to be approved",
        }
        by_mail(
            box,
            site,
            [("join", name, VICTIMS[0]) for name in lists[:6]]
            + [("request", name, VICTIMS[18].upper()) for name in lists[:6]],
        )
        for name in lists[::3]:
            said = add_members(box, site, name, [spelled(VICTIMS[19], name)], "-d")
            assert "Subscribed" in said


def unpickled(box: Box, path: str) -> Any:
    if box.run(["test", "-e", path]).rc:
        return None
    return Unpickler(io.BytesIO(box.read_bytes(path)), encoding="latin1").load()


def state(box: Box) -> dict[str, dict[str, Any]]:
    """All of each list that is on the disk."""
    found = {}
    for site in box.sites:
        for name in lists_of(site):
            folder = f"{box.prefix(site)}/lists/{name}"
            found[name] = {
                file: unpickled(box, f"{folder}/{file}.pck")
                for file in ("config", "pending", "request")
            }
            found[name]["config"].pop(COUNTS_ANSWERS)
    return found


def victims_of(one: dict[str, Any]) -> dict[str, set[str]]:
    """The victims whom a list has, by where."""
    config, pending, request = one["config"], one["pending"] or {}, one["request"] or {}
    wanted = set(VICTIMS)

    def addresses(found: Any) -> set[str]:
        return {str(address).lower() for address in found} & wanted

    return {
        "members": addresses(config["members"]),
        "digests": addresses(config["digest_members"]),
        "pending": addresses(
            entry[1].address
            for cookie, entry in pending.items()
            if cookie not in ("evictions", "version") and entry[0] == "S"
        ),
        "held": addresses(entry[1][1] for number, entry in request.items() if number != "version"),
        "elsewhere": {
            victim
            for victim in VICTIMS
            for attribute, value in config.items()
            if attribute != "ban_list" and victim in repr(value).lower()
        }
        - addresses(config["members"])
        - addresses(config["digest_members"]),
    }


def whom(found: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    """The lists that have a victim, by where."""
    having: dict[str, set[str]] = {}
    for name, one in found.items():
        for where, victims in victims_of(one).items():
            if victims:
                having.setdefault(where, set()).add(name)
    return having


@pytest.mark.timeout(1200)
@pytest.mark.layout("multi")
def test_an_attack_is_ended_by_the_commands_of_the_page_and_all_of_it_taken_back(
    box: Box, tmp_path: Path
) -> None:
    stage(box)
    first, second = box.sites
    every = [name for site in box.sites for name in lists_of(site)]
    before = state(box)
    having = whom(before)
    assert {where: len(lists) for where, lists in having.items()} == {
        "members": 10,
        "digests": 10,
        "pending": 10,
        "held": 10,
    }
    for victim in VICTIMS[1:18:2]:
        lists = [name for name in every if victim in repr(before[name]["config"]).lower()]
        assert len(lists) == 10

    # A process that died with one list in hand, and one that lives and has another.
    dead, living = lists_of(first)[3], lists_of(second)[6]
    play(box, first, [Actor(dead, fate="killed")])
    box.put("/tmp/living.py", LIVING)
    box.sh(
        f"{' '.join(box.mailman.interpreter)} -B /tmp/living.py {PROGRAMS} {living} {SIGNAL}"
        " > /tmp/living.said 2>&1 &",
        user="list",
        env=box.environment(second),
    )
    until(box, f"[ -e {SIGNAL}.held ]")

    victims = tmp_path / "victims.txt"
    victims.write_text("# from the log\n" + "".join(f"A Victim <{one}>\n" for one in VICTIMS))
    ban = ("ban", "--from", str(victims), "--unsubscribe", "--clear-stale", "--yes")
    done = runbook(box, *ban, "--timeout", "0")
    assert done.rc == 1, done
    left = [line for line in done.stdout.splitlines() if f"{living} ({second})" in line]
    assert left
    assert dead not in "".join(left)
    assert {name for lists in whom(state(box)).values() for name in lists} == {living}
    assert all(
        (VICTIMS[0] in one["config"]["ban_list"]) == (name != living)
        for name, one in state(box).items()
    )

    # The other process does its work and ends, and the same command completes the ban.
    box.sh(f"touch {SIGNAL}.go", user="list")
    until(box, f"[ -e {SIGNAL}.over ]")
    done = runbook(box, *ban)
    assert done.rc == 0, done
    assert f"1 list banned and read back, {len(every) - 1} " in done.stdout
    ended = state(box)
    assert whom(ended) == {}
    for name, one in ended.items():
        assert MEMBER in one["config"]["members"]
        assert PATIENT in repr(one["pending"])
        assert PATIENT in repr(one["request"])
        assert (NEWCOMER in one["config"]["members"]) == (name == living)
        assert sorted(one["config"]["ban_list"]) == ["^earlier@", *VICTIMS]
    refused(box)
    assert state(box) == ended
    assert all(not names(box, site) for site in box.sites)

    # The form is closed for the time being, and opened again.
    script = tmp_path / "closing.py"
    script.write_text(source("closing"))
    done = runbook(box, "withlist", str(script), "--function", "close", "--yes")
    assert done.rc == 0, done
    assert {one["config"]["subscribe_policy"] for one in state(box).values()} == {2}
    done = runbook(box, "withlist", str(script), "--function", "reopen", "--yes")
    assert done.rc == 0, done
    assert state(box) == ended
    *rows, _ = objects(runbook(box, "banned", "--from", str(victims), "--json"))
    assert {one["address"]: one["refuses"] for one in rows} == dict.fromkeys(VICTIMS, len(every))

    # All of it taken back, the newest first.
    runs = objects(runbook(box, "history", "--json"))
    undone = []
    for one in runs:
        if one["command"] != "clear-lock":
            done = runbook(box, "undo", one["id"], "--yes")
            assert done.rc == 0, (one, done)
            undone.append(one["command"])
    assert {"ban", "unsubscribe", "withlist"} <= set(undone)
    after = state(box)
    assert after[living]["config"].pop("members").keys() - before[living]["config"].pop(
        "members"
    ).keys() == {NEWCOMER}
    for name in every:
        for file in ("config", "pending", "request"):
            was, now = before[name][file], after[name][file]
            if name == living and file == "config":
                for attribute in ("passwords", "language", "usernames", "user_options"):
                    now[attribute].pop(NEWCOMER, None)
            assert now == was, (name, file)


def refused(box: Box) -> None:
    """Every attempt to subscribe a victim is, by the form, by mail, and by add_members."""
    for site in box.sites:
        lists = lists_of(site)
        tried = {name: [[spelled(victim, name), 0] for victim in VICTIMS] for name in lists}
        assert attempts(box, site, "form", tried) == {"banned"}
        assert attempts(box, site, "approved", tried) == {"banned"}
        vette = f"{box.prefix(site)}/logs/vette"
        box.sh(f": > {vette}")
        mails = []
        for number, name in enumerate(lists):
            mails.append(("join", name, VICTIMS[number]))
            mails.append(("request", name, spelled(VICTIMS[number + 5], name)))
        by_mail(box, site, mails)
        said = re.findall(r"(\S+) banned subscription: (\S+)", box.read(vette))
        assert sorted((one.lower(), who.lower()) for one, who in said) == sorted(
            (name.lower(), sender.lower()) for _, name, sender in mails
        )
        for name in lists:
            lines = add_members(box, site, name, VICTIMS).splitlines()
            assert len(lines) == len(VICTIMS)
            assert all("Banned address" in line for line in lines)
