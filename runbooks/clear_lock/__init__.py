"""Clearing a stale lock: what the page prints, and the same by command."""
