"""Parts of the load test without services."""
