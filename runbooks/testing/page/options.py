"""The options of a page's tests, which pytest needs to know before it has collected any test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import runbooks
from runbooks.testing.containers.selection import NO_RECORD

#: What tests a page.
PLUGIN = "runbooks.testing.page.plugin"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("runbook", "the tests of a page")
    group.addoption(
        "--record",
        action="store_true",
        help="keep in records.json, beside the pages' source, what is proved of the procedures; "
        "for an image that has GNU Mailman",
    )
    group.addoption(
        "--update",
        action="store_true",
        help="rewrite the outputs that the procedures expect, where the tests of the page see "
        "others; not in a CI",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.getoption("--update"):
        # It rewrites what one process has seen. As -n 0 does, before or after pytest-xdist.
        config.option.numprocesses, config.option.dist, config.option.tx = 0, "no", []


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record") and config.getoption("--mailman-image") in (None, "standin"):
        # Without an image given, there is always the stand-in beside whatever can be had.
        raise pytest.UsageError(NO_RECORD)
    if config.getoption("--update"):
        if name := next((name for name in ("CI", "GITHUB_ACTIONS") if os.environ.get(name)), ""):
            raise pytest.UsageError(
                f"--update rewrites sources for a person to read: not where {name} is set"
            )
        if config.getoption("--record"):
            raise pytest.UsageError("--update changes the text that --record would be of")
        if Path(runbooks.__file__).resolve().parents[1] != config.rootpath.resolve():
            raise pytest.UsageError(
                "--update rewrites the procedures of mailman2-runbooks: for a checkout of it alone"
            )


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended: what it has run of a page is for that plugin.

    This process has collected no test that would have loaded it.
    """
    if "blocks" in getattr(node, "workeroutput", {}):
        node.config.pluginmanager.import_plugin(PLUGIN)
        node.config.pluginmanager.get_plugin(PLUGIN).add_worker(node)
