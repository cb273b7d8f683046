"""The Puppet module for list servers with several sites, in a container."""

from __future__ import annotations

from pathlib import Path

from runbooks.testing.containers.box import Box

_MODULE = Path(__file__).with_name("puppet-mailman")


def install_module(box: Box) -> None:
    """Put the module with the type for hosts with several sites where Puppet finds it."""
    for path in sorted(_MODULE.rglob("*")):
        if path.is_file():
            target = f"/etc/puppet/modules/mailman/{path.relative_to(_MODULE)}"
            assert box.run(["mkdir", "-p", target.rpartition("/")[0]]).rc == 0
            box.put(target, path.read_bytes())
