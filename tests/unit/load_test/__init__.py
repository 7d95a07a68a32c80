"""The load test's own parts, without services."""
