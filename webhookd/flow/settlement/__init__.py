"""Deliveries in flight: what reports settle, which deliveries are overdue, and batches without a retry left."""
