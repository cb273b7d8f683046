"""What was done to the Mailman before a scenario was recorded, for those that need it.

Each starts on an installation without lists, with the scripts beside Mailman's programs.
"""

from __future__ import annotations

from collections.abc import Callable

from runbooks.testing.containers.box import Box

MM_CFG = "/etc/mailman/mm_cfg.py"
GLOBAL_BAN_LIST = 'GLOBAL_BAN_LIST = ["everywhere@example.com", "^bad.*@example[.]com$"]\n'
MANIFEST = """\
maillist { 'openstack-foo':
  ensure      => present,
  admin       => 'admin@example.com',
  password    => 'secret',
  description => 'Discussion of OpenStack Foo',
  webserver   => 'lists.example.org',
  mailserver  => 'lists.example.org',
}
"""


def ban_everywhere(box: Box) -> None:
    box.put(MM_CFG, box.read(MM_CFG) + GLOBAL_BAN_LIST)


def write_manifest(box: Box) -> None:
    box.put("/tmp/lists.pp", MANIFEST)
    removed = box.sh("rm -f /etc/aliases && ! test -e /etc/aliases")
    assert removed.rc == 0, removed.stderr


PREPARATIONS: dict[str, Callable[[Box], None]] = {
    "global_ban_list": ban_everywhere,
    "puppet_maillist": write_manifest,
}
