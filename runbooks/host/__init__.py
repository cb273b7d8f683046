"""How a host is reached, and how a program is sent there."""
