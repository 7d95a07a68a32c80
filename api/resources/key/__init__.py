"""API keys: makes, lists, rotates and revokes them."""
