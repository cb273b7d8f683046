"""How long the procedures take, how much memory, and what is sent to the host: ``tox -e bench``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT, ROOT / "docker"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
