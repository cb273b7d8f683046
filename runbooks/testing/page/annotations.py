"""Failures as GitHub Actions shows them: at their line, in what a change is reviewed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def wanted(environment: Mapping[str, str]) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"


def error(file: str, line: int, title: str, message: str) -> str:
    """The command to GitHub that marks a line of a file."""
    where = f"file={_property(file)},line={line},title={_property(title)}"
    return f"::error {where}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def of_reports(reports: Iterable[Any], root: Path) -> Iterator[str]:
    """One for each report of a test that failed. `root`: of the repository."""
    for report in reports:
        file, line, title = report.location
        crash = getattr(report.longrepr, "reprcrash", None)
        message = report.longreprtext
        if crash is not None:
            message = message if message.strip() else crash.message
            path = root / crash.path
            if path.is_relative_to(root) and path.is_file():
                file, line = str(path.relative_to(root)), crash.lineno - 1
        yield error(file, (line or 0) + 1, title, message)
