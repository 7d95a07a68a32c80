"""What can go wrong when a service is to be started."""


class NotStarted(Exception):
    """A service cannot be had; the message is one line that says why and what to do."""
