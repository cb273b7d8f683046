"""Mailman's user against root: nothing that it wrote is run, opened or believed by root.

Each attack is an entry in `ATTACKS`. Mailman's user plants something; then root runs one command
after the other. Whatever of it is run writes down as whom; what is opened waits for ever, or
shows a secret of root's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box
from runbooks.testing.containers.spare import Spares
from tests.faults import world
from tests.faults.ledger import Ledger
from tests.faults.world import Name

#: Where root's login stands: a folder of Mailman's user.
FOLDER = "/var/lib/mailman/data"
PACKAGE = str(Path(PROGRAMS).parent / "Mailman")
#: Who ran what: a line for each time, "user groups... module".
RAN = "/tmp/attack/ran"
SECRET = "STOLEN-FROM-ROOT"
SECONDS = 40

#: Says who runs it, without a module that is not part of the interpreter.
MARK = (
    "import posix\n"
    f"open('{RAN}', 'a').write('%d %s %s\\n' % (posix.geteuid(),"
    " ','.join(str(g) for g in sorted(set([posix.getegid()] + posix.getgroups()))), __name__))\n"
)
#: The same, in the place of a module of Python's, which it then gives.
MARK_AND_GIVE = (
    MARK
    + """\
import sys
path, name = sys.path[:], __name__
sys.path[:] = [folder for folder in path if 'mailman' not in folder and folder]
del sys.modules[name]
__import__(name)
sys.path[:] = path
"""
)
#: Gives a list the state of an older Mailman, which knew no bans.
AGED = """\
cd $DATA/../lists/$LIST && $PYTHON - <<'EOF' && rm -f config.pck.last
import pickle, sys
with open("config.pck", "rb") as f: data = f.read()
m = pickle.loads(data) if sys.version_info[0] == 2 else pickle.loads(data, encoding="latin1")
m["data_version"] = 90
del m["ban_list"]
with open("config.pck", "wb") as f: f.write(pickle.dumps(m, 1))
EOF
"""
STATE = "$DATA/../lists/$LIST/config.*"
LOOKS_AND_BAN = ("sites", "locks", "check", "banned", "ban --dry-run", "ban")
#: As an installation from source is: Mailman's group may write the programs.
FROM_SOURCE = f"chgrp -R list {PROGRAMS} {PACKAGE} && chmod -R g+w {PROGRAMS} {PACKAGE}"


@dataclass(frozen=True)
class Attack:
    """What Mailman's user does, and how it shows that root falls for it.

    All of them are scripts for a shell, with MARK, MARK_AND_GIVE, RAN and SECRET as variables,
    PYTHON for the interpreter of Mailman's programs, DATA for a site's folder of that name.
    """

    name: str
    #: by Mailman's user
    plant: str
    #: falls for it, as root does not any more: succeeds when the bait works
    falls: str
    #: by root beforehand: the server as the attack needs it
    server: str = ":"
    #: what root runs
    commands: tuple[str, ...] = field(default=("sites", "locks", "check", "ban --dry-run", "ban"))
    #: the files, for a shell, that no command may change but the ban
    keeps: str = ""


def marked_as_root(script: str) -> str:
    return f"{script}; grep -q '^0 ' {RAN}"


def settings(name: str, plant: str) -> Attack:
    """Settings of Mailman's user's own, which say of themselves whose they are."""
    return Attack(
        f"settings that name {name}",
        server=FROM_SOURCE,
        plant=f"cd {PACKAGE} && cat mm_cfg.py > new && rm mm_cfg.py && mv new mm_cfg.py"
        f' && {plant} >> mm_cfg.py && printf %s "$MARK" >> mm_cfg.py',
        falls=marked_as_root(f"$PYTHON -B {PROGRAMS}/list_lists"),
    )


ATTACKS = (
    Attack(
        "modules in the current folder",
        plant=f"cd {FOLDER} && for name in base64 errno grp json linecache os pwd select traceback"
        ' types zlib; do printf %s "$MARK" > $name.py; done',
        falls=marked_as_root(f"cd {FOLDER} && $PYTHON -B -c 'import json, linecache, traceback'"),
    ),
    Attack(
        "modules beside the programs",
        server=FROM_SOURCE,
        plant=f'cd {PROGRAMS} && printf %s "$MARK_AND_GIVE" > random.py'
        ' && printf %s "$MARK" >> paths.py',
        falls=marked_as_root(f"$PYTHON -B {PROGRAMS}/list_lists"),
    ),
    Attack(
        "an interpreter of one's own",
        server=FROM_SOURCE,
        plant=f"cd {PROGRAMS} && mkdir /tmp/attack/own && {{ echo '#!/bin/sh';"
        f""" echo 'echo "$(id -u) $(id -G) interpreter" >> {RAN}';"""
        """ echo "exec $PYTHON \\"\\$@\\""; } > /tmp/attack/own/python"""
        " && sed '1s:.*:#!/tmp/attack/own/python:' withlist > new && mv -f new withlist"
        " && chmod 755 withlist /tmp/attack/own/python",
        falls=marked_as_root(f"{PROGRAMS}/withlist --help > /dev/null"),
    ),
    settings("root", "echo \"MAILMAN_USER, MAILMAN_GROUP = 'root', 'root'\""),
    settings("another user", "echo \"MAILMAN_USER, MAILMAN_GROUP = 'games', 'games'\""),
    settings("another group", "echo \"MAILMAN_GROUP = 'shadow'\""),
    Attack(
        "a FIFO for the aliases",
        server="echo \"MTA = 'Postfix'\" >> /etc/mailman/mm_cfg.py",
        plant="mkfifo $DATA/aliases",
        falls="timeout 1 cat $DATA/aliases; [ $? = 124 ]",
    ),
    Attack(
        "a link for the aliases",
        server="echo \"MTA = 'Postfix'\" >> /etc/mailman/mm_cfg.py;"
        ' (umask 077; echo "$LIST: $SECRET" > /root/secret)',
        plant="ln -s /root/secret $DATA/aliases",
        falls='grep -q "$SECRET" $DATA/aliases',
    ),
    Attack(
        "a link to the aliases, and on to what is root's",
        server="ln -sf $DATA/aliases /etc/aliases;"
        ' (umask 077; echo "$LIST: $SECRET" > /root/secret)',
        plant="ln -s /root/secret $DATA/aliases",
        falls='grep -q "$SECRET" /etc/aliases',
    ),
    Attack(
        "a FIFO for the sites",
        server="chgrp list /etc/mailman && chmod 2775 /etc/mailman && rm -f /etc/mailman/sites",
        plant="mkfifo /etc/mailman/sites",
        falls="timeout 1 cat /etc/mailman/sites; [ $? = 124 ]",
    ),
    Attack(
        "a link for the sites",
        server="chgrp list /etc/mailman && chmod 2775 /etc/mailman && rm -f /etc/mailman/sites;"
        ' (umask 077; echo "x: /$SECRET" > /root/secret)',
        plant="ln -s /root/secret /etc/mailman/sites",
        falls='grep -q "$SECRET" /etc/mailman/sites',
    ),
    Attack(
        "a FIFO for the state of a list",
        plant="cd $DATA/../lists/$LIST && rm config.pck && mkfifo config.pck",
        falls="timeout 1 cat $DATA/../lists/$LIST/config.pck; [ $? = 124 ]",
    ),
    Attack(
        "FIFOs for a lock and the journal",
        plant="mkfifo $DATA/../locks/$LIST.lock && mkdir $DATA/../runbook"
        " && mkfifo $DATA/../runbook/journal.jsonl",
        falls="timeout 1 cat $DATA/../locks/$LIST.lock; [ $? = 124 ]",
        commands=("sites", "locks", "history", "ban --dry-run", "ban"),
    ),
    Attack(
        "a pattern that takes for ever",
        plant="echo \"ban_list = ['^(.|.|.|.|.|.)*!$']\" > /tmp/attack/bans"
        f" && {PROGRAMS}/config_list -i /tmp/attack/bans $LIST",
        falls='timeout 1 $PYTHON -c "import re;'
        " re.search('^(.|.|.|.|.|.)*!$', 'target@example.com')\"; [ $? = 124 ]",
        commands=LOOKS_AND_BAN,
    ),
    Attack(
        "a state that is cut short",
        plant="cd $DATA/../lists/$LIST && head -c 100 config.pck > cut && mv cut config.pck"
        " && rm -f config.pck.last",
        falls=f"! {PROGRAMS}/list_members $LIST 2> /dev/null",
        commands=LOOKS_AND_BAN,
        keeps=STATE,
    ),
    Attack(
        "a folder for the state of a list",
        plant="cd $DATA/../lists/$LIST && rm config.pck* && mkdir config.pck",
        falls=f"! {PROGRAMS}/list_members $LIST 2> /dev/null",
        commands=LOOKS_AND_BAN,
    ),
    Attack(
        "a state of an older Mailman",
        plant=AGED,
        # Mailman brings it up to date on the disk by merely loading it, or fails on it.
        falls=f"cd $DATA/../lists/$LIST; cp config.pck /tmp/attack/was; {PROGRAMS}/list_members"
        " $LIST > /dev/null 2>&1 && cmp -s /tmp/attack/was config.pck; same=$?;"
        " cp /tmp/attack/was config.pck; rm -f config.pck.last; [ $same != 0 ]",
        commands=LOOKS_AND_BAN,
        keeps=STATE,
    ),
)


def command(name: str, listed: Name) -> list[str]:
    match name:
        case "check":
            return ["add-list", listed.list, "--site", listed.site, "--check"]
        case "banned":
            return ["banned", "target@example.com"]
        case "ban":
            return ["ban", "target@example.com", "--yes", "--timeout", "1"]
        case "ban --dry-run":
            return ["ban", "target@example.com", "--dry-run"]
    return [name]


@pytest.fixture
def stage(box: Box, spares: Spares) -> Box:
    """A box like the given one in which a login begins in a folder of Mailman's user."""
    return spares.prepare(spares.start(box, working_dir=FOLDER), box)


@pytest.mark.timeout(900)
def test_root_falls_for_nothing_that_mailmans_user_wrote(stage: Box, ledger: Ledger) -> None:
    lost = []
    for attack in ATTACKS:
        stage.reset()
        row = ledger.row(f"root against {attack.name}")
        found = carry_out(stage, attack)
        row.tried += len(attack.commands)
        row.lost += found
        lost += [f"{attack.name}: {sentence}" for sentence in found]
    assert not lost, "\n".join(lost)


def kept(box: Box, attack: Attack, variables: dict[str, str]) -> str:
    """What the files are that no command may change."""
    return box.sh(f"sha256sum {attack.keeps}", env=variables).stdout if attack.keeps else ""


def carry_out(box: Box, attack: Attack) -> list[str]:
    """What root fell for, in sentences."""
    site = next(iter(box.sites))
    listed = world.populate(box, len(box.sites))[0]
    variables = {
        **box.environment(site),
        "MARK": MARK,
        "MARK_AND_GIVE": MARK_AND_GIVE,
        "RAN": RAN,
        "SECRET": SECRET,
        "PYTHON": " ".join(box.mailman.interpreter),
        "LIST": listed.list,
        "DATA": f"{box.prefix(site)}/data",
    }
    box.sh("mkdir -m 1777 /tmp/attack; touch $RAN; chmod 666 $RAN", env=variables)
    for script, user in ((attack.server, None), (attack.plant, "list"), (attack.falls, None)):
        done = box.sh(script, user=user, env=variables)
        if done.rc:
            return [f"the attack itself does not work: {script}: {done}"]
    own = " ".join(box.run(["sh", "-c", "id -u; id -G"], user="list").stdout.split())
    found = []
    for name in attack.commands:
        box.sh("> $RAN", env=variables)
        before = kept(box, attack, variables)
        done = world.runbook(box.spec, *command(name, listed), seconds=SECONDS)
        said = done.stdout + done.stderr
        marks = {" ".join(line.split()[:2]) for line in box.read(RAN).splitlines()}
        found += [f"{name}: it was run by {who}" for who in sorted(marks - {own})]
        if SECRET in said:
            found.append(f"{name}: it was opened: {done.brief()}")
        if "still running" in said:
            found.append(f"{name}: it was waited for")
        if name != "ban" and kept(box, attack, variables) != before:
            found.append(f"{name}: it was changed")
        if "Traceback" in said:
            found.append(f"{name}: {done.brief()}")
        found += [f"{name}: left running: {process}" for process in world.wait_until_quiet(box)]
    return found
