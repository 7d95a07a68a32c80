"""The Kafka properties that operators set, and the clients that are made of them; no broker is asked."""
