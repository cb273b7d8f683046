"""Whether the page, as it is printed, holds on a server."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "verify": "See whether the page holds on a host, step by step.",
}
