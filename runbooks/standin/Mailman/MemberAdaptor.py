"""Whether a member gets mail, and who stopped it."""

ENABLED = 0
UNKNOWN = 1
BYUSER = 2
BYADMIN = 3
BYBOUNCE = 4
