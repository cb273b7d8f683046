"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples in every run: a run that is red is red again. New ones when asked for. What a
# single example takes says how busy the machine is, and nothing else.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("new", deadline=None)
settings.load_profile("new" if os.environ.get("RUNBOOK_FUZZ") == "new" else "same")
