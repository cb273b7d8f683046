"""What a new page depends on, as pip writes it."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from runbooks.errors import BadInputError, short

PACKAGE = "mailman2-runbooks"

#: What the pages and their tests need of it.
EXTRA = "testing"


def of_package(spec: str | None) -> str:
    """This package: a path, a URL or a requirement; without one, from where it is installed."""
    if spec is None:
        return _installed(distribution(PACKAGE), f"[{EXTRA}]")
    if "://" in spec:
        return f"{PACKAGE}[{EXTRA}] @ {spec}"
    if "/" in spec or (spec and Path(spec).exists()):
        path = Path(spec).expanduser()
        if not path.exists():
            raise BadInputError(f"--package: there is no {short(spec)}")
        return f"{PACKAGE}[{EXTRA}] @ {path.resolve().as_uri()}"
    try:
        requirement = Requirement(spec)
    except InvalidRequirement:
        raise BadInputError(
            f"--package: {short(spec)} is no path, no URL, and nothing that pip could install"
        ) from None
    requirement.extras.add(EXTRA)
    return str(requirement)


def of_module(module: str) -> str:
    """The package that a module is from. Raises BadInputError."""
    top = module.partition(".")[0]
    for name in packages_distributions().get(top, ()):
        return _installed(distribution(name), "")
    raise BadInputError(f"--procedure: {module} is of no package that is installed here")


def _installed(found: Distribution, extras: str) -> str:
    """A package as it is installed here: the same, not only one of that name."""
    name = f"{found.metadata['Name']}{extras}"
    told = found.read_text("direct_url.json")
    if told is None:
        return name
    origin = json.loads(told)
    url = origin["url"]
    if (vcs := origin.get("vcs_info")) is not None:
        url = f"{vcs['vcs']}+{url}@{vcs.get('requested_revision') or vcs['commit_id']}"
    return f"{name} @ {url}"
