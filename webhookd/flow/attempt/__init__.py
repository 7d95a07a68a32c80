"""One HTTP attempt: the request, where it may be sent, what its result means, and when to try again."""
