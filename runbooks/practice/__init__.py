"""A site to practise on."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "practice": "Practise on a site of your own: no root, no container.",
}
