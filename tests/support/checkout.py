"""A checkout of system-config as far as mailing lists go, on this machine or in a container."""

from __future__ import annotations

from pathlib import Path

from runbooks.add_list.page import CHECKOUT, MANIFEST
from runbooks.testing.containers.box import Box, Result

_WORDS = (
    *("announce", "dev", "docs", "es", "fr", "i18n", "infra", "it", "ja", "ko"),
    *("operators", "pl", "qa", "security", "sigs", "stable", "tc", "track", "vi", "zh"),
)
NAMES = tuple(f"openstack-{word}" for word in _WORDS)

_LIST = """
  maillist {{ '{name}':
    ensure      => present,
    admin       => '{name}@example.com',
    password    => $listpassword,
    description => 'The list {name}',
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }}
"""

_SITE = """\
node default {
  class { 'openstack_project::lists':
    listadmins   => ['root@example.com'],
    listpassword => 'se\\'cret $x',
  }
}
"""


def manifest(names: tuple[str, ...] = NAMES) -> str:
    """A class with twenty lists, as the one that the page is about."""
    lists = "".join(_LIST.format(name=name) for name in names)
    return (
        "# == Class: openstack_project::lists\n#\n"
        "class openstack_project::lists(\n  $listadmins,\n  $listpassword = ''\n) {\n"
        f"  $listdomain = 'lists.example.org'\n{lists}}}\n"
    )


def write(folder: Path) -> Path:
    """Put a checkout into a folder of this machine; the manifest in it."""
    path = folder / MANIFEST
    path.parent.mkdir(parents=True)
    path.write_text(manifest())
    (folder / "manifests").mkdir()
    (folder / "manifests/site.pp").write_text(_SITE)
    return path


def deploy(box: Box, text: str | None = None) -> None:
    """Put the checkout onto the list server; `text` is the manifest."""
    for path, content in ((MANIFEST, text or manifest()), ("manifests/site.pp", _SITE)):
        target = f"{CHECKOUT}/{path}"
        assert box.run(["mkdir", "-p", target.rpartition("/")[0]]).rc == 0
        box.put(target, content)


def puppet(box: Box, site: str | None = None) -> Result:
    """Have Puppet apply the checkout. Its exit status is 2 when it changed something."""
    return box.run(
        [
            *("puppet", "apply", "--color=false", "--detailed-exitcodes"),
            *(f"--modulepath={CHECKOUT}/modules", f"{CHECKOUT}/manifests/site.pp"),
        ],
        env=box.environment(site or next(iter(box.sites))),
        timeout=120,
    )


def puppet_makes_the_lists(box: Box) -> None:
    """Have Puppet run until it has made the lists and their aliases.

    Under Mailman 2.2 its first run makes a list and fails, since newlist does; the second one
    writes the aliases (recording `puppet_maillist`).
    """
    done = puppet(box)
    if box.version.startswith("2.2"):
        assert done.rc in (4, 6), done
        done = puppet(box)
    assert done.rc == 2, done
