"""Errors of starting services."""


class NotStarted(Exception):
    """A service cannot be started. The message is one line with the reason and what to do."""
