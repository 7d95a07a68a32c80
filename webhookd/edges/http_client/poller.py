"""Which connections can go on: one epoll, and a way to be woken from other threads."""

import os
import select
import threading
from typing import Protocol

IN, OUT = select.EPOLLIN, select.EPOLLOUT
_EVENTS_AT_ONCE = 128


class Pollable(Protocol):
    """What waits for its file descriptor."""

    def handle_events(self, events: int) -> None:
        """Go on; an event too many must do no harm, since numbers of closed descriptors come back."""

    def fail(self) -> None:
        """Give up: going on has raised what nobody expected."""


class Poller:
    """Open file descriptors and who waits for each; level triggered. Only `wake` is for other threads."""

    def __init__(self) -> None:
        self.registered: dict[int, Pollable] = {}
        self._epoll = select.epoll()
        self._closed = False
        self._lock = threading.Lock()  # a bell rung late must not be another's new descriptor
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, IN)

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        """Begin to wait for these events of a descriptor."""
        self._epoll.register(fd, events)
        self.registered[fd] = pollable

    def change(self, fd: int, events: int) -> None:
        """Wait for other events of a descriptor that was added."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget a descriptor that is about to be closed (closing takes it out of epoll)."""
        self.registered.pop(fd, None)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """The descriptors that are ready, with their events; the bell's own number may be among them."""
        return self._epoll.poll(timeout_s, _EVENTS_AT_ONCE)

    def wake(self) -> None:
        """End the `poll` under way, or else the next one, at once."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake_fd, 1)

    def clear_wake_up(self, fd: int) -> None:
        """Take back the ringing, if this is the bell."""
        if fd == self._wake_fd:
            os.eventfd_read(self._wake_fd)

    def close(self) -> None:
        """Close epoll and the bell; nothing may be waiting any more."""
        with self._lock:
            self._closed = True
            self._epoll.close()
            os.close(self._wake_fd)
