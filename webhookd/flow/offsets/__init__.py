"""Positions in Kafka: where a lane starts, what it has settled, what is committed with the offset."""
