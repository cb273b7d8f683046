"""How long the procedures take, how much memory, and what is sent to the host: ``tox -e bench``."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
