"""Change notifications to every process: a kombu fanout over Redis, or over the memory of this process.

    {"id": "…", "version": 7}        a subscription changed, or was deleted
    {"administration": "offline"}    webhookd went offline or online
    {"policies": 3}                  the policies changed; this is their version

A notification only makes a change take effect sooner. It may be lost: every process also reads the database
periodically. So the notifier gives up after about a second. The subscriber reconnects without a limit.
"""

import socket
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError, OperationalError
from kombu.messaging import Consumer, Producer
from redis import RedisError

from webhookd import clock, logs
from webhookd.edges.kombu_redis_transport import ADDRESS, PrimaryBroker, PrimaryChannel, broker_url
from webhookd.edges.redis_address import RedisAddress
from webhookd.edges.redis_failures import detail_of
from webhookd.edges.redis_primary import NotPrimary
from webhookd.errors import QueueUnavailable
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import (
    AdministrationChanged,
    ChangeNotification,
    PoliciesChanged,
    SubscriptionChanged,
)
from webhookd.metrics.service_calls import REDIS, measured

EXCHANGE: Final = "webhookd.subscriptions"
SEND_TIMEOUT_S: Final = 0.4
"""Timeout of each step on the socket. Connecting is tried twice, so an unreachable Redis costs about a second."""
LOCK_TIMEOUT_S: Final = 0.5
"""How long one thread waits for another's publication, so that threads do not queue up while Redis is unreachable."""
SUBSCRIBE_S: Final = 0.05
"""How long the first call of `_drain` lasts, which subscribes and receives the confirmation."""
STOP_CHECK_S: Final = 0.5
"""How often a subscriber checks whether it should stop."""
RECONNECT_S: Final = (0.1, 5.0)
"""The first and the longest wait before a subscriber reconnects; it doubles in between."""
QUEUE_EXPIRES_S: Final = 60.0
PRIMARY_CHECK_S: Final = 2.0
"""How often a subscriber checks that its Redis still accepts writes: a replica may never receive a notification."""

OnChange = Callable[[ChangeNotification], None]
"""Called with each change."""

_ERRORS: Final = (OSError, OperationalError, KombuError, RedisError)

_log = logs.get(__name__)


class ChangeNotifier:
    """Publishes changes. Connects on first use, which must be after a fork; any thread."""

    def __init__(self, redis: RedisAddress, *, key_prefix: str = "") -> None:
        self._redis = redis
        self._key_prefix = key_prefix
        self._channel: Any = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @measured(REDIS, "notify")
    def publish(self, notification: ChangeNotification) -> None:
        """Publish to every subscriber. Raises QueueUnavailable after about a second at most."""
        if not self._lock.acquire(timeout=LOCK_TIMEOUT_S):
            raise QueueUnavailable("another thread is waiting for the broker")
        try:
            self._publish_on_primary(_body(notification))
        except _ERRORS as error:
            self._drop_connection()
            raise QueueUnavailable(detail_of(error)) from error
        finally:
            self._lock.release()

    def ping(self) -> None:
        """Write and publish on a separate connection, as kombu and Celery connect. Raises QueueUnavailable."""
        _ping(self._redis, self._key_prefix)

    def close(self) -> None:
        """Close the connection; a later `publish` opens another one."""
        with self._lock:
            self._drop_connection()

    def _publish_on_primary(self, body: dict[str, str | int]) -> None:
        """Publish; if the server is not the primary any more, it published nothing: repeat on a new connection."""
        try:
            self._publish_once(body)
        except NotPrimary:
            self._drop_connection()
            self._publish_once(body)

    def _publish_once(self, body: dict[str, str | int]) -> None:
        if self._connection is None:
            self._connection = _connect(self._redis, self._key_prefix, timeout_s=SEND_TIMEOUT_S)
            self._channel = _open_channel(self._connection)
        exchange = _exchange(self._channel)
        Producer(self._channel, exchange=exchange, auto_declare=False).publish(body, serializer="json", retry=False)

    def _drop_connection(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            try:
                connection.release()
            except _ERRORS as error:
                _log.debug("notifier_close_failed", error=str(error))


class ChangeSubscriber:
    """Receives the changes that are published while it is connected."""

    def __init__(self, redis: RedisAddress, *, key_prefix: str = "") -> None:
        self._redis = redis
        self._key_prefix = key_prefix

    def ping(self) -> None:
        """Write and publish on a separate connection, as kombu and Celery connect. Raises QueueUnavailable."""
        _ping(self._redis, self._key_prefix)

    def run(self, on_change: OnChange, stop: threading.Event, *, subscribed: threading.Event | None = None) -> None:
        """Call `on_change` for each notification, in this thread, until `stop` is set.

        Reconnects without a limit, with bounded waits; notifications that are sent meanwhile are lost. `subscribed` is
        set after the first subscription.
        """
        wait_s = RECONNECT_S[0]
        while not stop.is_set():
            connected = threading.Event()
            try:
                self._receive(on_change, stop, (connected, subscribed or connected))
            except _ERRORS as error:
                _log.warning(
                    "change_notifications_interrupted",
                    code=QueueUnavailable.code,
                    error=detail_of(error),
                    wait_s=wait_s,
                )
                wait_s = RECONNECT_S[0] if connected.is_set() else min(wait_s * 2, RECONNECT_S[1])
                stop.wait(wait_s)

    def _receive(self, on_change: OnChange, stop: threading.Event, ready: tuple[threading.Event, ...]) -> None:
        with _connect(self._redis, self._key_prefix, timeout_s=RECONNECT_S[1]) as connection:
            channel = _open_channel(connection)
            with Consumer(
                channel,
                queues=[_own_queue(channel)],
                callbacks=[lambda body, _message: _handle(body, on_change)],
                accept=["json"],
                no_ack=True,
            ):
                # Over Redis a kombu consumer subscribes in its first drain.
                _drain(connection, SUBSCRIBE_S)
                _check_primary(channel)
                for event in ready:
                    event.set()
                _receive_until(stop, connection, channel)


def _receive_until(stop: threading.Event, connection: Connection, channel: Any) -> None:  # noqa: ANN401  # as above
    """Receive until `stop` is set. Raises one of _ERRORS when this connection cannot receive any more."""
    checked_at = clock.monotonic()
    while not stop.is_set():
        _drain(connection, STOP_CHECK_S)
        if clock.monotonic() - checked_at >= PRIMARY_CHECK_S:
            checked_at = clock.monotonic()
            _check_primary(channel)


def _check_primary(channel: Any) -> None:  # noqa: ANN401  # kombu's channels have no type of their own
    """Raises one of _ERRORS when the broker is a Redis that has become a replica."""
    if isinstance(channel, PrimaryChannel):
        channel.check_primary()


def _ping(redis: RedisAddress, key_prefix: str) -> None:
    connection = _connect(redis, key_prefix, timeout_s=SEND_TIMEOUT_S)
    try:
        channel = _open_channel(connection)
        if isinstance(channel, PrimaryChannel):
            channel.check_writable()
            channel.check_fanout(EXCHANGE)
    except _ERRORS as error:
        raise QueueUnavailable(detail_of(error)) from error
    finally:
        connection.release()


def _drain(connection: Connection, for_s: float) -> None:
    ends_at = clock.monotonic() + for_s
    while (left_s := ends_at - clock.monotonic()) > 0:
        try:
            connection.drain_events(timeout=left_s)
        except socket.timeout:  # noqa: UP041  # kombu documents this name; it is TimeoutError since Python 3.10
            return


def _body(notification: ChangeNotification) -> dict[str, str | int]:
    match notification:
        case SubscriptionChanged(id=id_, version=version):
            return {"id": id_, "version": version}
        case AdministrationChanged(status=status):
            return {"administration": status.value}
        case PoliciesChanged(version=version):
            return {"policies": version}


def _handle(body: object, on_change: OnChange) -> None:
    match body:
        case {"id": str(id_), "version": int(version)}:
            on_change(SubscriptionChanged(id=id_, version=version))
        case {"administration": "online" | "offline" as status}:
            on_change(AdministrationChanged(status=Availability(status)))
        case {"policies": int(version)}:
            on_change(PoliciesChanged(version=version))
        case _:
            _log.warning("change_notification_invalid")


def _connect(redis: RedisAddress, key_prefix: str, *, timeout_s: float) -> Connection:
    options = {"polling_interval": 0.01} if redis.embedded else _redis_options(redis, key_prefix, timeout_s)
    made: Connection = PrimaryBroker(broker_url(redis), transport_options=options, connect_timeout=timeout_s)  # type: ignore[no-untyped-call]
    return made


def _redis_options(redis: RedisAddress, key_prefix: str, timeout_s: float) -> dict[str, Any]:
    return {
        ADDRESS: redis,
        "global_keyprefix": key_prefix,
        "fanout_prefix": True,
        "fanout_patterns": True,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }


def _open_channel(connection: Connection) -> Any:  # noqa: ANN401  # kombu's channels have no type of their own
    # 0 retries mean no limit to kombu, and it sleeps between retries. So there is one retry, at once.
    connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0)
    return connection.channel()


def _exchange(channel: Any) -> Exchange:  # noqa: ANN401  # kombu's channels have no type of their own
    exchange = Exchange(EXCHANGE, type="fanout", durable=False, delivery_mode="transient")(channel)
    exchange.declare()
    return exchange


def _own_queue(channel: Any) -> Queue:  # noqa: ANN401  # kombu's channels have no type of their own
    return Queue(
        f"{EXCHANGE}.{uuid.uuid4().hex}",
        _exchange(channel),
        channel=channel,
        durable=False,
        exclusive=True,
        auto_delete=True,
        expires=QUEUE_EXPIRES_S,
    )
