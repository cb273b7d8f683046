"""How long the procedures take, how much memory, and what is sent to the host: ``tox -e bench``."""
