"""Emergency moderation: what the page prints, and the same by command."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {"moderate": "Hold every post to every list, or let posts through again."}
