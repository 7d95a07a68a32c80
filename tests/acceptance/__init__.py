"""Acceptance tests: the real processes on real services, as a user runs them."""
