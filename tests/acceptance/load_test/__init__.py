"""Whole runs of the load test, on real services."""
