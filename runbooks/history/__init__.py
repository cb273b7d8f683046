"""What was changed, and taking it back."""

#: The subcommands in command.py, and their help in one line.
SUBCOMMANDS = {
    "history": "Show what was changed, when and by whom.",
    "undo": "Take back what a run changed.",
}
