"""The load test's commands as processes."""
