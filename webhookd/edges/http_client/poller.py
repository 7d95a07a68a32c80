"""Waits for events on file descriptors; other threads can wake it.

Linux has epoll, which the poller uses directly: a wait costs about 1 µs less than through `selectors`. Other systems
use the best one that `selectors` finds there (kqueue on macOS).
"""

import contextlib
import os
import select
import selectors
import threading
from typing import Protocol

IN, OUT = select.POLLIN, select.POLLOUT  # epoll has the same numbers
_EVENTS_AT_ONCE = 128
_WAKE_UPS_AT_ONCE = 4096


class Pollable(Protocol):
    """Gets the events of its file descriptor."""

    def handle_events(self, events: int) -> None:
        """Handle events. A spurious event must have no effect: the numbers of closed descriptors are used again."""

    def fail(self) -> None:
        """`handle_events` raised an unexpected exception: end this connection."""


class EventQueue(Protocol):
    """The operating system's way to wait for events; `select.epoll` has this interface."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Begin to report these events, IN, OUT or both. Errors and hang-ups are always reported."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Replace the events of a registered descriptor."""

    def unregister(self, fd: int, /) -> None:
        """Report this descriptor no more."""

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Wait up to `timeout` seconds; returns the ready descriptors with their events."""

    def close(self) -> None:
        """Close it."""


class SelectorQueue:
    """An event queue on one of the standard library's selectors."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector

    def register(self, fd: int, eventmask: int) -> None:
        """As in EventQueue."""
        self._selector.register(fd, _selector_events(eventmask))

    def modify(self, fd: int, eventmask: int) -> None:
        """As in EventQueue."""
        self._selector.modify(fd, _selector_events(eventmask))

    def unregister(self, fd: int) -> None:
        """As in EventQueue."""
        self._selector.unregister(fd)

    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]:
        """As in EventQueue, but without a limit: what the selector has found must be handled."""
        del maxevents
        return [(key.fd, _events(found)) for key, found in self._selector.select(timeout)]

    def close(self) -> None:
        """As in EventQueue."""
        self._selector.close()


def event_queue() -> EventQueue:
    """Return the fastest event queue of this system."""
    return select.epoll() if hasattr(select, "epoll") else SelectorQueue(selectors.DefaultSelector())


class Poller:
    """Registered file descriptors, level triggered. Only `wake` may be called from other threads."""

    def __init__(self, queue: EventQueue | None = None) -> None:
        self.registered: dict[int, Pollable] = {}
        self._queue = queue or event_queue()
        self._forgets_closed = not isinstance(self._queue, SelectorQueue)
        self._closed = False
        self._lock = threading.Lock()  # `wake` after `close` must not write to a reused descriptor
        self._wake_fd, self._wake_writer = os.pipe()
        for fd in (self._wake_fd, self._wake_writer):
            os.set_blocking(fd, False)
        self._queue.register(self._wake_fd, IN)

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        """Register a descriptor for these events."""
        self._queue.register(fd, events)
        self.registered[fd] = pollable

    def change(self, fd: int, events: int) -> None:
        """Change the events of a registered descriptor."""
        self._queue.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Unregister a descriptor that is about to be closed; closing it removes it from epoll."""
        if self.registered.pop(fd, None) is not None and not self._forgets_closed:
            self._queue.unregister(fd)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """Wait for events; returns the ready descriptors with their events, perhaps also the wake-up descriptor."""
        return self._queue.poll(timeout_s, _EVENTS_AT_ONCE)

    def wake(self) -> None:
        """Make the current `poll` return at once, or else the next one."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(BlockingIOError):  # the pipe is full of wake-ups
                    os.write(self._wake_writer, b"!")

    def clear_wake_up(self, fd: int) -> None:
        """Reset the wake-up if this is its descriptor."""
        if fd == self._wake_fd:
            os.read(self._wake_fd, _WAKE_UPS_AT_ONCE)

    def close(self) -> None:
        """Close the event queue and the wake-up's descriptors; no other descriptor may be registered any more."""
        with self._lock:
            self._closed = True
            self._queue.close()
            os.close(self._wake_fd)
            os.close(self._wake_writer)


def _selector_events(events: int) -> int:
    read, write = (selectors.EVENT_READ, selectors.EVENT_WRITE)
    return (read if events & IN else 0) | (write if events & OUT else 0)


def _events(selector_events: int) -> int:
    return (IN if selector_events & selectors.EVENT_READ else 0) | (
        OUT if selector_events & selectors.EVENT_WRITE else 0
    )
