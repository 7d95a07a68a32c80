"""The HTTP client: many request sequences on one thread, with a poller, non-blocking sockets, `ssl` and `httptools`."""
