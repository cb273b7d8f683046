"""What pytest finds by itself, in every project. It loads the rest where a project has a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

#: The container, its options and the page's. What tests a page, which takes longer to load, comes
#: with the tests: see `runbooks.testing.page.tests`.
PARTS = ("runbooks.testing.containers.plugin", "runbooks.testing.page.options")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("runbook_source", "the folder of the Sphinx source of a page of procedures")
    parser.addini("runbook_build", "where that page is built", default="build")
    parser.addini("runbook_page", "its document that has the procedures", default="lists")


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """The settings have been read, and the command line has not."""
    if early_config.getini("runbook_source"):
        for part in PARTS:
            early_config.pluginmanager.import_plugin(part)
