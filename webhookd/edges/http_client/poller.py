"""Waits for events on file descriptors with epoll; other threads can wake it."""

import os
import select
import threading
from typing import Protocol

IN, OUT = select.EPOLLIN, select.EPOLLOUT
_EVENTS_AT_ONCE = 128


class Pollable(Protocol):
    """Gets the events of its file descriptor."""

    def handle_events(self, events: int) -> None:
        """Handle events. A spurious event must have no effect: the numbers of closed descriptors are used again."""

    def fail(self) -> None:
        """`handle_events` raised an unexpected exception: end this connection."""


class Poller:
    """Registered file descriptors, level triggered. Only `wake` may be called from other threads."""

    def __init__(self) -> None:
        self.registered: dict[int, Pollable] = {}
        self._epoll = select.epoll()
        self._closed = False
        self._lock = threading.Lock()  # `wake` after `close` must not write to a reused descriptor
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, IN)

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        """Register a descriptor for these events."""
        self._epoll.register(fd, events)
        self.registered[fd] = pollable

    def change(self, fd: int, events: int) -> None:
        """Change the events of a registered descriptor."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Unregister a descriptor that is about to be closed (closing it removes it from epoll)."""
        self.registered.pop(fd, None)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Wait for events; returns the ready descriptors with their events, perhaps also the wake-up descriptor."""
        return self._epoll.poll(timeout_s, _EVENTS_AT_ONCE)

    def wake(self) -> None:
        """Make the current `poll` return at once, or else the next one."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake_fd, 1)

    def clear_wake_up(self, fd: int) -> None:
        """Reset the wake-up if this is its descriptor."""
        if fd == self._wake_fd:
            os.eventfd_read(self._wake_fd)

    def close(self) -> None:
        """Close epoll and the wake-up descriptor; no descriptor may be registered any more."""
        with self._lock:
            self._closed = True
            self._epoll.close()
            os.close(self._wake_fd)
