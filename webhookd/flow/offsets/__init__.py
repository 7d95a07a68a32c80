"""Offsets in Kafka: where a lane begins to read, which records are settled, what is committed."""
