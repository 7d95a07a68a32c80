"""Subscriptions: registered, changed and deleted by clients."""
