"""The poller on every kind of event queue: the same events, wake-ups and end."""

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from webhookd.edges.http_client.poller import IN, OUT, EventQueue, Poller

PATIENCE_S = 5.0


class Nobody:
    """Handles no events."""

    def handle_events(self, events: int) -> None:
        raise AssertionError(events)

    def fail(self) -> None:
        raise AssertionError


@pytest.fixture
def poller(make_queue: Callable[[], EventQueue]) -> Iterator[Poller]:
    poller = Poller(make_queue())
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, other = socket.socketpair()
    with mine, other:
        yield mine, other


def test_reports_only_the_events_that_were_asked_for(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    mine, other = pair
    poller.add(mine.fileno(), Nobody(), IN)
    assert poller.poll(0) == []
    other.send(b"x")
    assert poller.poll(PATIENCE_S) == [(mine.fileno(), IN)]
    poller.change(mine.fileno(), IN | OUT)
    assert poller.poll(PATIENCE_S) == [(mine.fileno(), IN | OUT)]
    poller.remove(mine.fileno())
    mine.close()
    assert poller.poll(0) == []


def test_end_of_the_other_side_is_an_event_to_read(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    mine, other = pair
    poller.add(mine.fileno(), Nobody(), IN)
    other.close()
    [(fd, events)] = poller.poll(PATIENCE_S)
    assert (fd, events & IN) == (mine.fileno(), IN)
    poller.remove(fd)


def test_number_of_a_closed_descriptor_can_be_registered_again(
    poller: Poller, pair: tuple[socket.socket, socket.socket]
) -> None:
    mine, other = pair
    fd = mine.fileno()
    poller.add(fd, Nobody(), IN)
    poller.remove(fd)
    mine.close()
    assert os.dup2(other.fileno(), fd) == fd
    poller.add(fd, Nobody(), OUT)
    assert poller.poll(PATIENCE_S)[0][0] == fd
    poller.remove(fd)
    os.close(fd)


def test_another_thread_wakes_it_up(poller: Poller) -> None:
    threading.Thread(target=poller.wake).start()
    [(fd, _)] = poller.poll(PATIENCE_S)
    poller.clear_wake_up(fd)
    assert poller.poll(0) == []


def test_any_number_of_wake_ups_is_one(poller: Poller) -> None:
    for _ in range(100_000):  # more than a pipe holds
        poller.wake()
    while ready := poller.poll(0):
        poller.clear_wake_up(ready[0][0])


def test_wake_up_after_the_end_does_nothing(make_queue: Callable[[], EventQueue]) -> None:
    poller = Poller(make_queue())
    poller.close()
    poller.wake()
