"""Clearing a stale lock: what the page prints, and the same by command."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "locks": "Show which lists are locked, by whom, and since when.",
    "clear-lock": "Remove the lock of a list, if the process that took it is gone.",
}
