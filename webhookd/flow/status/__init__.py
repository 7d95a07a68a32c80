"""What the status of a subscription shows: health, problems, deliveries, lag and recent activity."""
