"""The load test as its users start it: processes, signals and exit codes."""
