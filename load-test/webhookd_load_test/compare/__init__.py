"""Compares what was published with what was received."""
