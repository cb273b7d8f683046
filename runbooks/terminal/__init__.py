"""What a person sees, once for all commands."""
