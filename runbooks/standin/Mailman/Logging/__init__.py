"""Mailman's log files."""
