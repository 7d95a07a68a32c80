"""The load test's parts on real services."""
