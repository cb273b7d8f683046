"""Another team's package, with a procedure of its own: that of the worked example, moved there."""

from __future__ import annotations

from pathlib import Path

_EXAMPLE = Path(__file__).resolve().parents[2] / "doc" / "example" / "moderation"

#: What the example says of where it is, and what is true of it there.
_MOVED = (
    ("from runbooks.moderation import page", "from acme.freeze import page"),
    ('"moderating", {', '"acme.freeze.freezing", {'),
    ('run_each("moderating"', 'run_each("freezing"'),
    ('name="moderation"', 'name="freeze"'),
    ('"moderate"', '"freeze"'),
    ("def moderate(", "def freeze("),
    ("runbook moderate", "runbook freeze"),
)


#: What ``runbook new-page`` is told of that team.
OPTIONS = (
    *("--server", "lists.acme.example"),
    *("--serves", 'Acme "and" its neighbours'),
    *("--site", "acme=lists.acme.example:announce,users"),
    *("--site", "beta=lists.beta.example:beta-users"),
    *("--site", "gamma=lists.gamma.example:gamma-dev,gamma-users"),
    *("--repository", "https://git.acme.example/acme/hosts"),
    *("--manifest", "modules/acme/manifests/lists.pp"),
)


def make_package(folder: Path) -> Path:
    """Write the package ``acme`` with the procedure ``acme.freeze``; where to import it from."""
    package = folder / "acme" / "freeze"
    package.mkdir(parents=True)
    (folder / "acme" / "__init__.py").touch()
    # As pip leaves it when it has installed a package.
    installed = folder / "acme_freeze-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-freeze\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[runbooks.procedures]\nfreeze = acme.freeze\n")
    (installed / "top_level.txt").write_text("acme\n")
    used = set()
    for source in _EXAMPLE.glob("*.py"):
        text = source.read_text(encoding="utf-8")
        for old, new in _MOVED:
            if old in text:
                used.add(old)
            text = text.replace(old, new)
        name = "freezing.py" if source.name == "moderating.py" else source.name
        (package / name).write_text(text, encoding="utf-8")
    assert used == {old for old, _ in _MOVED}
    return folder
