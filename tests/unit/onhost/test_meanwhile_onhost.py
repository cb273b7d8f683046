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
