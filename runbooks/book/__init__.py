"""What a documented procedure is."""
