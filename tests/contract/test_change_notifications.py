"""Contract of the change notifications, over memory and over a real Redis."""

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
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import (
    AdministrationChanged,
    ChangeNotification,
    PoliciesChanged,
    SubscriptionChanged,
)

WAIT_S = 10.0
PREFIX = "webhookd-test:"

Received = queue.Queue[ChangeNotification]


def changed(id_: str, version: int) -> ChangeNotification:
    return SubscriptionChanged(id=id_, version=version)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of the broker: memory, then Redis."""
    return "memory://" if request.param == "memory" else required_service("redis")


@pytest.fixture
def notifier(url: str) -> Iterator[ChangeNotifier]:
    """A notifier."""
    opened = ChangeNotifier(parse(url), key_prefix=PREFIX)
    yield opened
    opened.close()


class SubscriberThread:
    """A subscriber on its own thread, and what it received."""

    def __init__(self, url: str) -> None:
        self.received: Received = queue.Queue()
        self._stop = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=ChangeSubscriber(parse(url), key_prefix=PREFIX).run,
            args=(self.received.put, self._stop),
            kwargs={"subscribed": ready},
        )
        self._thread.start()
        assert ready.wait(WAIT_S)

    def next(self) -> ChangeNotification:
        """The next notification."""
        return self.received.get(timeout=WAIT_S)

    def stop(self) -> None:
        """Stop it, and check that it stops."""
        self._stop.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def subscriber(url: str) -> Iterator[SubscriberThread]:
    """A running subscriber."""
    started = SubscriberThread(url)
    yield started
    started.stop()


def test_subscriber_receives_what_is_published(notifier: ChangeNotifier, subscriber: SubscriberThread) -> None:
    notifier.publish(changed("one", 1))
    notifier.publish(changed("two", 7))
    assert [subscriber.next(), subscriber.next()] == [changed("one", 1), changed("two", 7)]


@pytest.mark.parametrize("status", Availability)
def test_subscriber_receives_administration_changes(
    notifier: ChangeNotifier, subscriber: SubscriberThread, status: Availability
) -> None:
    notifier.publish(AdministrationChanged(status=status))
    assert subscriber.next() == AdministrationChanged(status=status)


def test_subscriber_receives_changes_of_policies(notifier: ChangeNotifier, subscriber: SubscriberThread) -> None:
    notifier.publish(PoliciesChanged(version=3))
    assert subscriber.next() == PoliciesChanged(version=3)


def test_every_subscriber_receives_each_notification(
    url: str, notifier: ChangeNotifier, subscriber: SubscriberThread
) -> None:
    other = SubscriberThread(url)
    notifier.publish(changed("one", 1))
    assert (subscriber.next(), other.next()) == (changed("one", 1), changed("one", 1))
    other.stop()


def test_publishing_without_subscribers_is_allowed(notifier: ChangeNotifier) -> None:
    notifier.publish(changed("nobody", 1))


def test_threads_share_one_notifier(notifier: ChangeNotifier, subscriber: SubscriberThread) -> None:
    threads = [threading.Thread(target=notifier.publish, args=(changed(f"s{number}", number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert {subscriber.next() for _ in threads} == {changed(f"s{number}", number) for number in range(8)}


def test_a_closed_notifier_opens_again(notifier: ChangeNotifier, subscriber: SubscriberThread) -> None:
    notifier.publish(changed("one", 1))
    notifier.close()
    notifier.publish(changed("two", 2))
    assert [subscriber.next(), subscriber.next()] == [changed("one", 1), changed("two", 2)]


def test_invalid_notification_is_ignored(url: str, notifier: ChangeNotifier, subscriber: SubscriberThread) -> None:
    options = {} if url == "memory://" else {"global_keyprefix": PREFIX, "fanout_prefix": True, "fanout_patterns": True}
    with Connection(url, transport_options=options) as connection:
        exchange = Exchange(EXCHANGE, type="fanout", durable=False, delivery_mode="transient")
        producer = Producer(connection.channel(), exchange=exchange)
        producer.publish({"id": 7}, serializer="json")
        producer.publish({"administration": "unknown"}, serializer="json")
        producer.publish("words", serializer="json")
    notifier.publish(changed("one", 1))
    assert subscriber.next() == changed("one", 1)


def test_a_broker_that_answers_can_be_pinged(notifier: ChangeNotifier) -> None:
    notifier.ping()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that accepts connections and never answers, like a frozen one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_silent_redis_times_out(silent_port: int) -> None:
    notifier = ChangeNotifier(parse(f"redis://127.0.0.1:{silent_port}/0"))
    before = clock.monotonic()
    with pytest.raises(QueueUnavailable):
        notifier.publish(changed("one", 1))
    assert clock.monotonic() - before < 3.0


def test_unreachable_redis_is_unavailable() -> None:
    notifier = ChangeNotifier(parse("redis://127.0.0.1:1/0"))
    for call in (notifier.ping, lambda: notifier.publish(changed("one", 1))):
        with pytest.raises(QueueUnavailable):
            call()


def test_subscriber_without_broker_still_stops() -> None:
    stop = threading.Event()
    listener = ChangeSubscriber(parse("redis://127.0.0.1:1/0"))
    thread = threading.Thread(target=listener.run, args=(lambda *_: None, stop))
    thread.start()
    stop.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()
