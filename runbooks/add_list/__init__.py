"""Adding a list: what the page prints, and the same by command."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "add-list": "Add a list to a Puppet manifest, and check the result.",
}
