"""Unsubscribing addresses: what the page prints, and the same by command."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {"unsubscribe": "Unsubscribe an address from every list."}
