"""What policies do to a record."""
