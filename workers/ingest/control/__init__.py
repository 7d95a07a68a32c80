"""Which subscriptions this ingest process runs, and the upkeep of their consumer groups."""
