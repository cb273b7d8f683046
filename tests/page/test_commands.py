"""The tests that every page has, of our own page."""

from runbooks.testing.page.tests import *  # noqa: F403
