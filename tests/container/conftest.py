"""Further containers, for the tests of several servers."""

from tests.support.spare import spares as spares
from tests.support.ssh import ssh_boxes as ssh_boxes
