"""A project for another team's page: it depends on this package, and copies nothing of it."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {"new-page": "Write a documentation project for a page of your own."}
