"""Checks of Kafka, Redis, database, workers and mail, and of the ingest loop itself."""
