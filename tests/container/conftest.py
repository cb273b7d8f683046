"""Containers that the tests of procedures start beside the one that they are given."""

from __future__ import annotations

from tests.support.spare import spares as spares
from tests.support.ssh import ssh_boxes as ssh_boxes
