"""Procedures for the mailing lists of a Mailman 2 server, defined once.

The documentation prints them, the command ``runbook`` carries them out, and the
tests run both.
"""
