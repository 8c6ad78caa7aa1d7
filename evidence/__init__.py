"""What happened, for others to check."""
