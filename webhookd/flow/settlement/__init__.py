"""Deliveries in flight: what a report settles, what is overdue, and batches whose retries are exhausted."""
