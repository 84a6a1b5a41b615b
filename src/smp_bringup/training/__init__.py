"""Training policies from bags."""
