"""Banning addresses: what the page prints, and the same by command."""
