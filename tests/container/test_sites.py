"""`runbook sites` on a Mailman 2 in a container."""

from __future__ import annotations

from runbooks.testing.containers.box import Box
from tests.support.lockers import new_list, objects, runbook


def test_it_shows_what_the_installation_says(box: Box) -> None:
    for site in box.sites:
        new_list(box, site, f"{site}-announce")
    done = runbook(box, "sites")
    assert (done.rc, done.stderr) == (0, "")
    note = " (stand-in)" if box.is_standin else ""
    number = len(box.sites)
    sites = "1 site, 1 list" if number == 1 else f"{number} sites, {number} lists"
    lines = done.stdout.splitlines()
    assert lines[0] == f"lists · Mailman {box.version}{note} · {sites}"
    assert "  programs  /usr/lib/mailman/bin" in lines
    assert "  user      list, group list" in lines
    for site, directory in box.sites.items():
        assert f"  {site}" in lines
        if directory:
            assert f"    variable  MAILMAN_SITE_DIR={directory}" in lines

    *told, last = objects(runbook(box, "sites", "--json"))
    assert {one["site"]: one["site_dir"] for one in told} == box.sites
    assert all(one["problems"] == [] and one["lists"] == 1 for one in told)
    assert last["mailman"] == box.version
    assert last["python"].startswith(f"{box.python}.")


def test_it_shows_what_is_wrong(box: Box) -> None:
    site = next(iter(box.sites))
    box.sh(f"chmod 755 $(readlink -f {box.prefix(site)}/locks)")
    box.sh(f"mv {box.prefix(site)}/lists {box.prefix(site)}/moved")
    done = runbook(box, "sites")
    assert done.rc == 1
    assert f"wrong: {box.prefix(site)}/lists is not a folder" in done.stdout
    assert "/locks cannot be written by Mailman's user list" in done.stdout
