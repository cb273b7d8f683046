"""Sphinx settings. Build with: tox -e docs"""

from runbooks.sphinxext.settings import *  # noqa: F403

extensions = [*extensions, "myst_parser"]  # noqa: F405
# The man page is kept in the repository: it must not change with the day it is made on.
today = " "
man_pages = [
    ("runbook", "runbook", "procedures for the mailing lists of a Mailman 2 server", "", 1),
]
