"""HTTP exchanges for many errands at once, on one thread: epoll, non-blocking sockets, `ssl` and `httptools`."""
