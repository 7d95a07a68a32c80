"""What Flask is extended with: errors, the database session, the announcer."""
