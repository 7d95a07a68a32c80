"""The parts of the load test that need no service."""
