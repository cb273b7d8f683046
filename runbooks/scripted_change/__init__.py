"""Running a script on every list: what the page prints, and the same by command."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "withlist": "Run a script of your own on every list.",
}
