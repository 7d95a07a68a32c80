"""A subscriber to change notifications on a thread of its own."""

import queue
import threading

from webhookd.edges.change_notifications import ChangeSubscriber
from webhookd.edges.redis_address import RedisAddress
from webhookd.flow.control.change_notification import ChangeNotification


class SubscriberThread:
    """A context with a running subscriber; its value is the queue of the notifications that it receives."""

    def __init__(self, address: RedisAddress, *, key_prefix: str) -> None:
        self._subscriber = ChangeSubscriber(address, key_prefix=key_prefix)
        self._stop = threading.Event()
        self._received: queue.Queue[ChangeNotification] = queue.Queue()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._subscriber.run(self._received.put, self._stop, subscribed=self._ready)

    def __enter__(self) -> "queue.Queue[ChangeNotification]":
        self._thread.start()
        assert self._ready.wait(10)
        return self._received

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
