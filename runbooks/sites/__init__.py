"""What Mailman a host has."""
