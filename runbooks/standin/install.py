"""Lay the stand-in out as an installation of Mailman 2 is.

Used from the package (`install`, `make_site`, `settings`), and as a program that needs nothing
but Python 2.7 or 3, in the build of an image:

    python2.7 install.py --python /usr/bin/python2.7 --mm-cfg /etc/mailman/mm_cfg.py \\
        --links /usr/sbin /usr/lib/mailman
"""

from __future__ import print_function

import argparse
import os
import shutil
import stat
import subprocess
import sys

SOURCE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("bin", "Mailman", "mail", "scripts")
LONGEST_INTERPRETER = 125  # characters after #!, for every Linux
PROGRAMS = sorted(
    name for name in os.listdir(os.path.join(SOURCE, "bin")) if "." not in name and name[0] != "_"
)

# The folders of a site: what each setting is called, and where it is below VAR_PREFIX.
FOLDERS = (
    ("LIST_DATA_DIR", "lists"),
    ("LOCK_DIR", "locks"),
    ("LOG_DIR", "logs"),
    ("DATA_DIR", "data"),
    ("QUEUE_DIR", "qfiles"),
    ("PUBLIC_ARCHIVE_FILE_DIR", "archives/public"),
    ("PRIVATE_ARCHIVE_FILE_DIR", "archives/private"),
)


def install(target, python=sys.executable, mm_cfg=None, mm_cfg_link=None, links=None):
    """Put `bin/`, `Mailman/`, `mail/`, `scripts/` below the folder `target`, for this interpreter.

    The settings are the text `mm_cfg`, or the file `mm_cfg_link`, to which a link is made; without
    either, an `mm_cfg.py` that changes nothing. `links` is a folder that gets a link to each
    program (`/usr/sbin`). An older installation of the stand-in is replaced, anything else is not.
    Raises ValueError for arguments that cannot work, OSError.
    """
    if mm_cfg is not None and mm_cfg_link is not None:
        raise ValueError("give the text of mm_cfg.py or the file to link it to, not both")
    if " " in python or len(python) > LONGEST_INTERPRETER:
        raise ValueError("no program can be started with #!%s: use a link to it" % python)
    target = os.path.abspath(target)
    there = [part for part in PARTS if os.path.lexists(os.path.join(target, part))]
    if there and not _is_standin(target):
        raise ValueError("%s has a %s that is not the stand-in's" % (target, there[0]))
    for part in there:
        shutil.rmtree(os.path.join(target, part))
    for part in PARTS:
        shutil.copytree(
            os.path.join(SOURCE, part),
            os.path.join(target, part),
            ignore=shutil.ignore_patterns("*.pyc", "__*__"),
        )
    _make_programs(target, python)
    settings_file = os.path.join(target, "Mailman", "mm_cfg.py")
    if mm_cfg_link is not None:
        os.symlink(mm_cfg_link, settings_file)
    else:
        with open(settings_file, "w") as file:
            file.write(mm_cfg or "from Mailman.Defaults import *\n")
    # So that users who may not write here need not compile each time.
    code = [os.path.join(target, part) for part in ("Mailman", "bin")]
    subprocess.check_call([python, "-m", "compileall", "-q"] + code)
    for program in PROGRAMS if links else ():
        _link(os.path.join(target, "bin", program), os.path.join(links, program))


def make_site(var_prefix):
    """Make the folders of a site, as the programs expect them."""
    for setting, folder in FOLDERS:
        path = os.path.join(var_prefix, folder)
        if not os.path.isdir(path):
            os.makedirs(path)
        os.chmod(path, 0o2775)


def settings(var_prefix, user=None, group=None, host=None):
    """The text of an mm_cfg.py for a site below `var_prefix`.

    `user` and `group` are who runs the programs, `host` is for mail and web pages; None keeps the
    installation's default.
    """
    lines = ["from Mailman.Defaults import *", "", "VAR_PREFIX = %r" % str(var_prefix)]
    for setting, folder in FOLDERS:
        lines.append("%s = %r" % (setting, str(os.path.join(var_prefix, folder))))
    for setting, value in (
        ("MAILMAN_USER", user),
        ("MAILMAN_GROUP", group),
        ("DEFAULT_EMAIL_HOST", host),
        ("DEFAULT_URL_HOST", host),
    ):
        if value is not None:
            lines.append("%s = %r" % (setting, str(value)))
    return "\n".join(lines) + "\n"


def _is_standin(target):
    try:
        with open(os.path.join(target, "Mailman", "Version.py")) as file:
            return "STANDIN" in file.read()
    except (IOError, OSError):
        return False


def _link(place, name):
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(place, name)


def _make_programs(target, python):
    programs = [os.path.join(target, "bin", name) for name in PROGRAMS]
    for path in programs + [os.path.join(target, "mail", "mailman")]:
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text.replace("#!@PYTHON@", "#!" + python, 1))
        mode = os.stat(path).st_mode
        os.chmod(path, mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def main():
    parser = argparse.ArgumentParser(description="Install the stand-in for Mailman 2.")
    parser.add_argument("target", help="the folder for bin/, Mailman/, mail/ and scripts/")
    parser.add_argument("--python", default=sys.executable, help="the programs' interpreter")
    parser.add_argument("--mm-cfg", help="the settings file to link to")
    parser.add_argument("--links", help="a folder that gets a link to each program")
    parser.add_argument("--site", action="append", default=[], help="make a site's folders here")
    arguments = parser.parse_args()
    install(
        arguments.target,
        python=arguments.python,
        mm_cfg_link=arguments.mm_cfg,
        links=arguments.links,
    )
    for site in arguments.site:
        make_site(site)


if __name__ == "__main__":
    main()
