"""One HTTP attempt: the request, where it may go, what its result means and when to try again."""
