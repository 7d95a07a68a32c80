"""The status of a subscription: health, deliveries, lag and recent activity."""
