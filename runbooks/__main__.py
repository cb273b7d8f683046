"""``python -m runbooks`` is ``runbook``."""

from runbooks.cli import main

main()
