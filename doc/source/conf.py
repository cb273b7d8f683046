"""Sphinx settings. Build with: tox -e docs"""

from importlib.metadata import version as _version
from pathlib import Path

project = "Mailing Lists"
author = "the infrastructure team"
release = version = _version("mailman2-runbooks")

extensions = ["runbooks.sphinxext", "sphinx_copybutton", "myst_parser"]
templates_path = ["_templates"]
nitpicky = True
highlight_language = "text"
# A quotation mark or a dash that is copied from prose into a shell must be what it looks like.
smartquotes = False
# The man page is kept in the repository: it must not change with the day it is made on.
today = " "

html_theme = "furo"
html_title = "Mailing Lists"
html_static_path = ["_static"]
# Without one, a browser asks for another that is not there.
html_favicon = "_static/icon.svg"
html_css_files = ["runbook.css", "typed.css"]
html_search_scorer = str(Path(__file__).with_name("scorer.js"))
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

# Only what is meant to be run has a button. There are no prompts and no output inside.
copybutton_selector = "div.command pre"

man_pages = [
    ("runbook", "runbook", "procedures for the mailing lists of a Mailman 2 server", "", 1),
]
