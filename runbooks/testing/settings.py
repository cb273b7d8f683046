"""What a project's settings say of its page. All paths are those of the project, never ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from runbooks.book.records import RECORDS


@dataclass(frozen=True)
class Settings:
    """Where a project has its page."""

    root: Path
    #: of Sphinx
    source: Path
    #: gets the pages, in ``html``, and what was run of them
    build: Path
    #: the document that has the procedures
    page: str

    @property
    def html(self) -> Path:
        return self.build / "html"

    @property
    def records(self) -> Path:
        """Where the pages look for them as well."""
        return self.source.parent / RECORDS


def settings(config: pytest.Config) -> Settings:
    """Those of a project that has a page."""
    root = config.rootpath
    return Settings(
        root=root,
        source=root / config.getini("runbook_source"),
        build=root / config.getini("runbook_build"),
        page=config.getini("runbook_page"),
    )
