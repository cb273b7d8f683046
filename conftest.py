"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples in every run: a run that is red is red again. New ones when asked for.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("new")
settings.load_profile("new" if os.environ.get("RUNBOOK_FUZZ") == "new" else "same")
