"""What Mailman a host has."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "sites": "Show the Mailman 2 on a host, and what is wrong with it.",
}
