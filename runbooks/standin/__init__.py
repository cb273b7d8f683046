"""The stand-in for Mailman 2: see README.md in this folder."""
