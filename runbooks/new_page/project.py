"""The files of a new page, and writing them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbooks.book.whose import Whose
from runbooks.errors import BadInputError, short
from runbooks.new_page.sitetoml import render
from runbooks.procedures import procedures_of

FILES = Path(__file__).with_name("files")

#: The pages that are those of the package.
SHARED = ("background", "runbook", "practice", "monitoring", "verification")

#: Each file of the project, and what it is in the package. Some have other names here: there they
#: would be in use.
COPIED = {
    ".github/workflows/page.yaml": "page.yaml",
    ".gitignore": "gitignore",
    ".zuul.yaml": "zuul.yaml",
    "README.md": "README.md",
    "doc/source/conf.py": "conf.py.txt",
    "doc/source/index.rst": "index.rst",
    "doc/source/lists.rst": "lists.rst",
    "playbooks/pre.yaml": "pre.yaml",
    "playbooks/publish.yaml": "publish.yaml",
    "tests/test_page.py": "test_page.py.txt",
    "tox.ini": "tox.ini",
}


def files(whose: Whose, requirements: Sequence[str]) -> Mapping[str, str]:
    """The text of each file, by its path in the project. Raises BadInputError."""
    found = {path: (FILES / name).read_text(encoding="utf-8") for path, name in COPIED.items()}
    found["doc/site.toml"] = render(whose)
    for name in SHARED:
        found[f"doc/source/{name}.rst"] = f".. shared-page:: {name}\n"
    for path, mark, text in (
        ("doc/source/lists.rst", "@PROCEDURES@", procedures(whose.procedures)),
        ("tox.ini", "@REQUIREMENTS@", "\n    ".join(requirements)),
    ):
        found[path] = found[path].replace(mark, text)
    return dict(sorted(found.items()))


def procedures(named: Sequence[str]) -> str:
    """A heading and a directive for each procedure. Raises BadInputError."""
    return "\n\n".join(
        f"{one.title}\n{'=' * len(one.title)}\n\n.. procedure:: {one.name}"
        for one in procedures_of(named)
    )


def refuse(folder: Path) -> None:
    """Raise BadInputError unless a project can be written there."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise BadInputError(f"{short(str(folder))} is not empty: name a folder that is new")
        if not folder.absolute().parent.is_dir():
            raise BadInputError(f"{short(str(folder))} cannot be made: it would be in no folder")
    except OSError as e:
        raise BadInputError(f"{short(str(folder))} cannot be made: {e.strerror}") from None


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write all files, or none. Raises BadInputError."""
    refuse(folder)
    folder = folder.absolute()
    try:
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for path, text in texts.items():
                (beside / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).write_text(text, encoding="utf-8")
            # What makes temporary folders lets nobody else in.
            beside.chmod(0o777 & ~_umask())
            # Fails if somebody else has put something there.
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as e:
        raise BadInputError(f"{short(str(folder))} cannot be made: {e.strerror}") from None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
