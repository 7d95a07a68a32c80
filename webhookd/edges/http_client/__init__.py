"""The HTTP client: many request sequences on one thread, with epoll, non-blocking sockets, `ssl` and `httptools`."""
