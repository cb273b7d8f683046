"""What is known of Mailman: installation, lists, locks, journal."""
