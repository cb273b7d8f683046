"""Lists that come or go while a program on the host is at them, on the oldest and newest Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runbooks import onhost

SITE, LIST = "zuul", "zuul-jobs"
PROGRAMS = Path(onhost.__file__).parent
#: Finds the programs, and makes a function that has what it names be gone afterwards.
BEGIN = f"""\
import json, os, shutil, sys
sys.path[:0] = {[str(PROGRAMS), str(PROGRAMS / "pasted")]!r}
from boot import native
site = native(json.loads(sys.argv[1]))
folder = os.path.join(site["list_dir"], {LIST!r})
def then_gone(real, path):
    def call(*arguments):
        answer = real(*arguments)
        if os.path.exists(path):
            os.rename(path, path + ".gone")
        return answer
    return call
"""


def run(sites: Any, code: str) -> Any:
    """What `code` leaves as `found`. Its `site` is as a program is told of it."""
    installation = sites.installation()
    (site,) = (one for one in installation.sites if one.name == SITE)
    told = json.dumps(site.on_host(installation, None))
    return json.loads(sites.code(SITE, f"{BEGIN}{code}\nprint(json.dumps(found))\n", told))


def test_a_list_that_is_removed_before_it_is_read_is_not_there(sites: Any) -> None:
    """It was: the program on the host failed: Gone."""
    code = f"""
import adding, listing
found = []
listing.names = then_gone(listing.names, folder)
adding.run({{"action": "look", "site": site, "list": {LIST!r}}}, found.append)
"""
    assert run(sites, code) == [{"event": "looked", "exists": False, "alias_files": []}]


def test_a_list_that_is_made_after_the_first_look_is_no_folder_that_mailman_ignores(
    sites: Any,
) -> None:
    """It was: Mailman does not see it: its config.pck cannot be reached. A dead link stays so."""
    code = """
import listing, lists
for name in ("new", "no name", "link"):
    os.mkdir(os.path.join(site["list_dir"], name))
    os.symlink("nowhere" if name == "link" else "/dev/null",
               os.path.join(site["list_dir"], name, "config.pck"))
real = listing.names
looks = []
def names(site):
    looks.append([name for name in real(site) if name != "new" or looks])
    return looks[-1]
listing.names = names
answer = lists.begin(site, "banlists", {})({"names": True})
found = [answer["names"] == looks[0], "new" in looks[0], answer["passed_over"]]
"""
    same, has_new, passed_over = run(sites, code)
    assert (same, has_new) == (True, False)
    assert [name for name, _ in passed_over] == ["link", "no name"]


def test_a_run_that_tidies_up_before_its_lists_are_named_has_kept_none(sites: Any) -> None:
    """It was: No such file or directory."""
    code = """
import saving
kept = os.path.join(site["site_dir"], "run")
os.makedirs(os.path.join(kept, site["name"]))
os.listdir = then_gone(os.listdir, os.path.join(kept, site["name"]))
found = saving.kept_lists(kept)
"""
    assert run(sites, code) == []


def test_a_ban_on_a_list_that_is_removed_as_soon_as_it_is_saved(sites: Any) -> None:
    """It was: No such file or directory, with the path of its config.pck."""
    code = f"""
import lists
from Mailman import MailList
MailList.MailList.Save = then_gone(MailList.MailList.Save, folder)
found = lists.begin(site, "banning", {{"addresses": ["evil@example.com"], "action": "ban"}})(
    {{"list": {LIST!r}, "wait": 1}})
"""
    assert run(sites, code)["detail"] == "the list no longer exists"


def test_a_list_that_is_removed_before_a_rehearsal_copies_it_is_not_copied(sites: Any) -> None:
    """It was: No such file or directory, with a traceback."""
    code = f"""
import runner, statefiles
copies = os.path.join(site["site_dir"], "copies")
os.mkdir(copies)
one = object.__new__(runner.Runner)
one.copied, one.files = set(), statefiles.Files(copies, copies)
one.real_files = statefiles.Files(site["list_dir"], site["list_dir"])
real = runner.copy_folder
runner.copy_folder = lambda *paths: (os.rename(folder, folder + ".gone"), real(*paths))
one.copy({LIST!r})
found = os.listdir(copies)
"""
    assert run(sites, code) == []
