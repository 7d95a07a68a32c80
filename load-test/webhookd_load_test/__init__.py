"""The load test: publishes records from a file, receives what webhookd delivers, and compares the two."""
