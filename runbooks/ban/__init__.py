"""Banning addresses: what the page prints, and the same by command."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "ban": "Ban an address from every list.",
    "unban": "Lift a ban from every list that has it.",
    "banned": "Show which lists refuse an address, and why.",
    "bans": "Show what is banned, on how many lists, and since when.",
}
