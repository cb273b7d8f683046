"""Adding a list: what the page prints, and the same by command."""
