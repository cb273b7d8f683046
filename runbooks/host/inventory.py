"""The hosts that are meant by what was named: a group of an Ansible inventory means several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

from runbooks.errors import BadInputError, HostError, short
from runbooks.host.host import HOST_RULES, one_line
from runbooks.refusals import check


def hosts(specs: Iterable[str]) -> tuple[str, ...]:
    """Each host that `specs` name, once, in their order. Connects to none of them.

    ``ansible://lists?ansible_inventory=FILE`` names a host, a group or a pattern; without FILE it
    is the inventory of Ansible's own settings. Raises BadInputError for what names no host,
    HostError when the inventory cannot be read.
    """
    found: dict[str, None] = {}
    for spec in specs:
        check(spec, HOST_RULES)
        found.update(dict.fromkeys(_of_inventory(spec) if _is_ansible(spec) else (spec,)))
    return tuple(found)


def _is_ansible(spec: str) -> bool:
    return spec.startswith("ansible://")


def _of_inventory(spec: str) -> Iterator[str]:
    parts = urlsplit(spec)
    (inventory,) = parse_qs(parts.query).get("ansible_inventory", [None])[-1:]
    try:
        from testinfra.utils.ansible_runner import AnsibleRunner

        runner = AnsibleRunner.get_runner(inventory)
        names = [name for one in unquote(parts.netloc).split(",") for name in runner.get_hosts(one)]
    # What reads the inventory is a program of Ansible's, and testinfra raises whatever it raises.
    except Exception as e:
        raise HostError(f"{spec}: {one_line(e)}") from e
    if not names:
        raise BadInputError(f"the inventory has no host and no group {short(parts.netloc)}")
    return (parts._replace(netloc=name).geturl() for name in names)
