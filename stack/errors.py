"""Errors of starting and changing services."""


class NotStarted(Exception):
    """A service cannot be started. The message is one line with the reason and what to do."""


class ChangeRefused(Exception):
    """A running service cannot be changed as asked; nothing was changed. The message is one line with the reason."""


class NotChanged(Exception):
    """A change of a running service did not end: it failed, took too long, or was interrupted."""
