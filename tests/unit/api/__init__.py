"""What the API decides without a database."""
