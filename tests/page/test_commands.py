"""Every command of the page, run as it is printed, in a container like the server it is about."""

from __future__ import annotations

import dataclasses
import os
import shutil

import pytest

from runbooks.host.host import Host
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import discover
from runbooks.procedures import all_procedures
from tests.page import world
from tests.page.walk import Walk, image_of

#: The procedures to walk, where not all are meant: for mutants.py, and while one is being written.
ONLY = os.environ.get("RUNBOOK_WALK_ONLY", "").split() or None


@pytest.mark.layout("multi")
def test_the_page_is_about_such_a_server(box):
    """What the commands are made from is what a server with these sites says of itself."""
    world.make(box)
    found = discover(Host(f"docker://{box.id}"))
    same = ("host", "version", "note", "python", "interpreter", "clock", "processors")
    assert dataclasses.replace(found, **{name: getattr(INSTALLATION, name) for name in same}) == (
        INSTALLATION
    )


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
@pytest.mark.timeout(1500)
def test_every_command_does_what_the_page_says(
    box, lists_page, write_records, ssh_boxes, tmp_path, monkeypatch
):
    unknown = set(ONLY or ()) - {procedure.name for procedure in all_procedures()}
    assert not unknown, f"RUNBOOK_WALK_ONLY names no procedure: {unknown}"
    reached = ssh_boxes.get(box)
    assert not isinstance(reached, str), f"the page's commands need ssh: {reached}"
    programs, home = tmp_path / "bin", tmp_path / "home"
    for folder in (programs, home):
        folder.mkdir()
    ssh = shutil.which("ssh")
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {reached.config} "$@"\n')
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    world.make(reached.box)
    walk = Walk(lists_page, all_procedures())
    try:
        walk.go(reached.box, image_of(box), home, only=ONLY)
    finally:
        write_records(walk.records)
    if walk.faults:
        pytest.fail("\n".join(["the page is not true:", *walk.faults]), pytrace=False)
