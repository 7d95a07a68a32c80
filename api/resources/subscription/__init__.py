"""The subscription: what a client registers."""
