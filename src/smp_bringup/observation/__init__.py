"""From aligned sets to what the policy sees."""
