"""The stand-in's Mailman package. It is not GNU Mailman."""
