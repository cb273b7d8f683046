"""The tests of a page, as a plugin of pytest: for this project's page, and for anybody's.

``pip install "mailman2-runbooks[testing]"`` installs what it needs. pytest finds the plugin by
itself, and it does nothing until the settings of a project say where its page is:

.. code-block:: toml

   [tool.pytest.ini_options]
   runbook_source = "source"       # the folder of the page's Sphinx source; needed
   runbook_build = "build"         # where it is built, and verification.json kept
   runbook_page = "lists"          # the document with the procedures
   runbook_records = "records.json"  # default: beside the folder of the source

All are relative to the folder of these settings. One line makes a file of tests those of the page:

.. code-block:: python

   from runbooks.testing.page.tests import *

The options ``--mailman-image``, ``--layout`` and ``--record`` come with the plugin, and the
fixtures ``box`` (a container with a Mailman 2), ``built`` (the folder with the built pages),
``lists_page`` (the page in it), ``walk`` and ``write_records``.
"""
