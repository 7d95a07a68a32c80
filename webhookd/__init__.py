"""webhookd delivers Kafka topics to HTTP endpoints that belong to other people."""

__version__ = "0.1.0"
