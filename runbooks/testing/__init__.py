"""The tests of a page, as a plugin of pytest: for this project's page, and for anybody's.

``pip install "mailman2-runbooks[testing]"`` installs what it needs. pytest finds the plugin by
itself, and the plugin does nothing until a project's settings say where the source of its page is:

.. code-block:: toml

   [tool.pytest.ini_options]
   runbook_source = "source"   # the folder of the Sphinx source; records.json is kept beside it
   runbook_build = "build"     # where it is built; verification.json is kept there
   runbook_page = "lists"      # the document that has the procedures

The last two have these defaults. One line makes a file of tests those of the page:

.. code-block:: python

   from runbooks.testing.page.tests import *

The options ``--mailman-image``, ``--layout``, ``--record`` and ``--update`` come with the plugin,
and the fixtures ``box`` (a container with a Mailman 2), ``built`` (the folder with the built
pages), ``lists_page`` (the page in it), ``walk`` (through it, in a container), ``write_records``.
"""
