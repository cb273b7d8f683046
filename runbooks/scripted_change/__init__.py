"""Running a script on every list: what the page prints, and the same by command."""
