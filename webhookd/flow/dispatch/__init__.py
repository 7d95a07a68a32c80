"""Which deliveries leave now, within which limits, and the messages between ingest and workers."""
