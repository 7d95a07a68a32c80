"""The load test, without services: its files, faults, comparison and report."""
