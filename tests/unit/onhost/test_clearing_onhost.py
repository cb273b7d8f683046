"""Saves that were cut short: what is found, and what is looked at again before one is removed."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runbooks.onhost import locks
from tests.support.processes import start

HOST = "lists"


@pytest.fixture
def clearing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # On a host, the modules are called by their own names.
    monkeypatch.setitem(sys.modules, "locks", locks)
    monkeypatch.syspath_prepend(str(Path(locks.__file__).parent))
    return importlib.import_module("runbooks.onhost.clearing")


@pytest.fixture
def site(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "alpha").mkdir()
    (tmp_path / "README").write_text("not a list")
    return {"name": "mailman", "list_dir": str(tmp_path)}


@pytest.fixture
def living() -> Iterator[int]:
    process = start("sleep", "600")
    yield process.pid
    process.kill()
    process.wait()


def dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def save(site: dict[str, Any], pid: int) -> Path:
    path = Path(site["list_dir"]) / "alpha" / f"config.pck.tmp.{HOST}.{pid}"
    path.write_bytes(b"half a state")
    return path


def test_what_was_cut_short_and_what_is_at_work(
    clearing: ModuleType, site: dict[str, Any], living: int
) -> None:
    left, being_made = save(site, dead()), save(site, living)
    found, error = clearing.saves(site, HOST)
    assert error is None
    assert [one["name"] for one in found] == [left.name]
    [order] = found
    assert clearing.remove_save(site, order) == ("removed", None)
    assert (left.exists(), being_made.exists()) == (False, True)
    assert clearing.remove_save(site, order) == ("gone", "it is no longer there")
    assert clearing.saves(site, "elsewhere") == ([], None)


def test_what_changed_since_the_look_stays(
    clearing: ModuleType, site: dict[str, Any], living: int
) -> None:
    path = save(site, dead())
    [[order], _] = clearing.saves(site, HOST)
    time.sleep(0.02)  # more than the clock of change times is coarse
    path.write_bytes(b"another half of a state")
    assert clearing.remove_save(site, order) == ("changed", "it was written meanwhile")
    [[order], _] = clearing.saves(site, HOST)
    # The id has come into use: as that process would be seen at this moment.
    busy = save(site, living)
    status = os.lstat(busy)
    order = {**order, "name": busy.name, "pid": living, "inode": status.st_ino}
    order["ctime_ns"] = status.st_ctime_ns
    assert clearing.remove_save(site, order) == ("changed", f"a process {living} runs now")
    assert path.exists()
    assert busy.exists()


def test_nothing_but_saves_in_the_folders_of_lists_is_removed(
    clearing: ModuleType, site: dict[str, Any]
) -> None:
    path = save(site, dead())
    [[order], _] = clearing.saves(site, HOST)
    outside = f"../{Path(site['list_dir']).name}/alpha"
    assert clearing.remove_save(site, {**order, "list": outside})[0] == "refused"
    assert clearing.remove_save(site, {**order, "name": "../README"})[0] == "gone"
    assert clearing.remove_save(site, {**order, "host": "web"})[0] == "gone"
    path.unlink()
    path.symlink_to("../README")
    assert clearing.saves(site, HOST) == ([], None)


@pytest.mark.parametrize("step", ["unfinished", "working"])
@pytest.mark.parametrize("what", ["save", "list"])
def test_what_somebody_else_removes_meanwhile_is_gone(
    clearing: ModuleType,
    site: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    what: str,
) -> None:
    """It was "failed: No such file or directory"."""
    path = save(site, dead())
    [[order], _] = clearing.saves(site, HOST)
    module = clearing if step == "working" else locks
    real = getattr(module, step)

    def then_gone(*arguments: Any) -> Any:
        found = real(*arguments)
        if what == "save":
            path.unlink()
        else:
            shutil.rmtree(path.parent)
        return found

    monkeypatch.setattr(module, step, then_gone)
    assert clearing.remove_save(site, order) == ("gone", "it is no longer there")


def test_a_save_of_a_list_that_was_removed_is_gone(
    clearing: ModuleType, site: dict[str, Any]
) -> None:
    path = save(site, dead())
    [[order], _] = clearing.saves(site, HOST)
    shutil.rmtree(path.parent)
    assert clearing.remove_save(site, order) == ("gone", "it is no longer there")


def test_a_folder_of_lists_that_cannot_be_read_is_named(
    clearing: ModuleType, site: dict[str, Any]
) -> None:
    missing = site["list_dir"] + "/nowhere"
    found, error = clearing.saves({**site, "list_dir": missing}, HOST)
    assert (found, error) == ([], f"{missing}: No such file or directory")
