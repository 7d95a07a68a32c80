"""One suite for announcements over memory and over a real Redis."""

import queue
import socket
import threading
from collections.abc import Iterator

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange
from kombu.messaging import Producer

from tests.harness.services import required_service
from webhookd import clock
from webhookd.edges.change_notifications import EXCHANGE, ChangeNotifier, ChangeSubscriber
from webhookd.errors import QueueUnavailable
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import AdministrationChanged, ChangeNotification, SubscriptionChanged

WAIT_S = 10.0
PREFIX = "webhookd-test:"

Heard = queue.Queue[ChangeNotification]


def changed(id_: str, version: int) -> ChangeNotification:
    return SubscriptionChanged(id=id_, version=version)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def url(request: pytest.FixtureRequest) -> str:
    """Where announcements travel."""
    return "memory://" if request.param == "memory" else required_service("redis")


@pytest.fixture
def notifier(url: str) -> Iterator[ChangeNotifier]:
    """One sender."""
    opened = ChangeNotifier(url, key_prefix=PREFIX)
    yield opened
    opened.close()


class Listening:
    """A listener on a thread of its own, and what it heard."""

    def __init__(self, url: str) -> None:
        self.heard: Heard = queue.Queue()
        self._stop = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=ChangeSubscriber(url, key_prefix=PREFIX).run,
            args=(self.heard.put, self._stop),
            kwargs={"listening": ready},
        )
        self._thread.start()
        assert ready.wait(WAIT_S)

    def next(self) -> ChangeNotification:
        """What is heard next."""
        return self.heard.get(timeout=WAIT_S)

    def stop(self) -> None:
        """Stop, and prove that it does."""
        self._stop.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def listening(url: str) -> Iterator[Listening]:
    """One listener."""
    started = Listening(url)
    yield started
    started.stop()


def test_a_listener_hears_what_is_announced(notifier: ChangeNotifier, listening: Listening) -> None:
    notifier.announce(changed("one", 1))
    notifier.announce(changed("two", 7))
    assert [listening.next(), listening.next()] == [changed("one", 1), changed("two", 7)]


@pytest.mark.parametrize("status", Availability)
def test_a_listener_hears_of_the_switch(notifier: ChangeNotifier, listening: Listening, status: Availability) -> None:
    notifier.announce(AdministrationChanged(status=status))
    assert listening.next() == AdministrationChanged(status=status)


def test_every_listener_hears_each_announcement(url: str, notifier: ChangeNotifier, listening: Listening) -> None:
    other = Listening(url)
    notifier.announce(changed("one", 1))
    assert (listening.next(), other.next()) == (changed("one", 1), changed("one", 1))
    other.stop()


def test_announcing_without_listeners_is_fine(notifier: ChangeNotifier) -> None:
    notifier.announce(changed("nobody", 1))


def test_threads_share_one_notifier(notifier: ChangeNotifier, listening: Listening) -> None:
    threads = [threading.Thread(target=notifier.announce, args=(changed(f"s{number}", number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert {listening.next() for _ in threads} == {changed(f"s{number}", number) for number in range(8)}


def test_a_closed_notifier_opens_again(notifier: ChangeNotifier, listening: Listening) -> None:
    notifier.announce(changed("one", 1))
    notifier.close()
    notifier.announce(changed("two", 2))
    assert [listening.next(), listening.next()] == [changed("one", 1), changed("two", 2)]


def test_what_is_no_announcement_is_passed_over(url: str, notifier: ChangeNotifier, listening: Listening) -> None:
    options = {} if url == "memory://" else {"global_keyprefix": PREFIX, "fanout_prefix": True, "fanout_patterns": True}
    with Connection(url, transport_options=options) as connection:
        exchange = Exchange(EXCHANGE, type="fanout", durable=False, delivery_mode="transient")
        producer = Producer(connection.channel(), exchange=exchange)
        producer.publish({"id": 7}, serializer="json")
        producer.publish({"administration": "asleep"}, serializer="json")
        producer.publish("words", serializer="json")
    notifier.announce(changed("one", 1))
    assert listening.next() == changed("one", 1)


def test_a_broker_that_answers_can_be_pinged(notifier: ChangeNotifier) -> None:
    notifier.ping()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word, as a frozen one does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_redis_that_says_nothing_is_given_up_on(silent_port: int) -> None:
    notifier = ChangeNotifier(f"redis://127.0.0.1:{silent_port}/0")
    before = clock.monotonic()
    with pytest.raises(QueueUnavailable):
        notifier.announce(changed("one", 1))
    assert clock.monotonic() - before < 3.0


def test_a_redis_nobody_runs_is_unavailable() -> None:
    notifier = ChangeNotifier("redis://127.0.0.1:1/0")
    for ask in (notifier.ping, lambda: notifier.announce(changed("one", 1))):
        with pytest.raises(QueueUnavailable):
            ask()


def test_a_listener_without_broker_still_stops() -> None:
    stop = threading.Event()
    listener = ChangeSubscriber("redis://127.0.0.1:1/0")
    thread = threading.Thread(target=listener.run, args=(lambda *_: None, stop))
    thread.start()
    stop.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()
