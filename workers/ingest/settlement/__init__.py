"""Applies the reports of workers, and writes dead letters and statuses."""
