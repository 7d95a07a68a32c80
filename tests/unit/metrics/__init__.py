"""Metrics: declarations, tallies and what a process serves."""
