"""Sphinx settings of a page, for its ``conf.py``: ``from runbooks.sphinxext.settings import *``."""

from importlib.metadata import version as _version

from runbooks.sphinxext.shared import FILES as _FILES

project = "Mailing Lists"
author = "the infrastructure team"
release = version = _version("mailman2-runbooks")

extensions = ["runbooks.sphinxext", "sphinx_copybutton"]
templates_path = [str(_FILES / "templates")]
nitpicky = True
highlight_language = "text"
# A quotation mark or a dash that is copied from prose into a shell must be what it looks like.
smartquotes = False

html_theme = "furo"
html_title = "Mailing Lists"
html_static_path = [str(_FILES / "static")]
# Without one, a browser asks for another that is not there.
html_favicon = str(_FILES / "static" / "icon.svg")
html_css_files = ["runbook.css", "typed.css"]
html_search_scorer = str(_FILES / "scorer.js")
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

# Only what is meant to be run has a button. There are no prompts and no output inside.
copybutton_selector = "div.command pre"
