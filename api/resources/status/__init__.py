"""The status of a subscription: how its deliveries fare."""
