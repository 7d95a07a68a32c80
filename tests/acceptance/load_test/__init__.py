"""The load test's command line, as processes."""
