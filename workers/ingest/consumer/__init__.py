"""One subscription: its Kafka consumer, its lanes, and its health."""
