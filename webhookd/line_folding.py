"""Leaves out the lines that repeat a fault which the log already has; used unless the level of the process is `debug`.

line                                              logged
of webhookd, `info` or `warning`, whose `code`    not while the process waits for that service (service_watch);
  is the absence of a service                       else the first of each event, then now and then
of webhookd, a consequence of that absence        not while the process waits for that service
of Celery, kombu or Flower, about an error of     as above, for Redis
  their connection to Redis
of librdkafka                                     the first of each kind, then now and then

The process says itself what it waits for, so its parts need not say it, each at its own rate: 27 lines a second with
Kafka down. A line after some that were left out has their number in `left_out`.
"""

import logging
import re
from collections.abc import Callable, Hashable, Mapping
from math import inf
from threading import RLock
from typing import Final

from structlog import DropEvent
from structlog.typing import EventDict

from webhookd import clock
from webhookd.clock import Monotonic
from webhookd.errors import (
    KafkaAuthenticationFailed,
    KafkaUnavailable,
    QueueUnavailable,
    SchemaMismatch,
    StoreUnavailable,
)
from webhookd.repeated_lines import RepeatedLines

SERVICES: Final[Mapping[str, str]] = {
    KafkaUnavailable.code: KafkaUnavailable.code,
    KafkaAuthenticationFailed.code: KafkaUnavailable.code,
    QueueUnavailable.code: QueueUnavailable.code,
    StoreUnavailable.code: StoreUnavailable.code,
    SchemaMismatch.code: StoreUnavailable.code,
}
"""The codes that a line about an absent service may have, each with the code of that service's absence."""

NOTICED_WITHIN_S: Final = 3.0
"""A part of the process notices the absence of a service at most this long before the process says so."""

LOCK_WAIT_S: Final = 0.1
"""After this wait for another thread's decision a line is logged as it is. A decision takes some microseconds, unless a
signal handler has interrupted it, which may wait for the thread that logs this line."""

ONCE: Final = frozenset(
    {"stop_cut_short", "groups_not_left", "system_fault_over", "waiting_for_service", "service_available"}
)
"""Events that are logged once, or rarely already."""

CONSEQUENCES: Final[Mapping[str, str]] = {
    "published_again": QueueUnavailable.code,
    "retry_not_published": QueueUnavailable.code,
}
"""Events that repeat while a service is absent, although they are not about it, and the code of that service."""

LEVELS: Final[Mapping[str, str]] = {"exception": "error", "warn": "warning"}
"""The level of a logger's method, where the names differ."""

CONNECTION_ERRORS: Final = frozenset({"OSError", "ConnectionError", "TimeoutError", "OperationalError"})
"""Classes of the errors of connections: Python's, redis-py's and kombu's, which have no class in common."""

_BROKER_CLIENTS: Final = ("celery", "kombu", "flower", "redis")
_VARIABLE = re.compile(r"\[thrd:[^\]]*\]:?|\S*:\d+\S*|\(.*|\d+")
"""The parts of librdkafka's text that differ between two lines of a kind: thread, broker, durations."""


class LineFolding:
    """Decides for each line of the process; any thread."""

    def __init__(self, monotonic: Monotonic = clock.monotonic) -> None:
        self._monotonic = monotonic
        self.enabled = True
        """Whether lines are left out; not while the level is `debug`."""
        self._lock = RLock()  # the worker's handler of SIGTERM logs on the thread that it interrupts, which may have it
        self._lines = RepeatedLines()
        self._absent: set[str] = set()
        self._mentioned_at: dict[str, float] = {}

    def absent(self, code: str) -> None:
        """The process waits for the service of this code, and has said so."""
        self._absent.add(code)

    def present(self, code: str) -> None:
        """The service of this code answers."""
        self._absent.discard(code)

    def add_level(self, _logger: object, method: str, event: EventDict) -> EventDict:
        """Add the level to a line of webhookd, a processor of structlog. Raises DropEvent to leave the line out."""
        if "code" in event and event["code"] in SERVICES and method in {"info", "warning"}:
            self._fold(event)
        elif self._absent and self.enabled and CONSEQUENCES.get(event["event"]) in self._absent:
            raise DropEvent
        event["level"] = LEVELS.get(method, method)
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a line of a library, a filter of logging."""
        if not self.enabled:
            return True
        if record.name == "librdkafka":
            kind, now = _kind_of(record), self._monotonic()
            return _counted(record, self._locked(lambda: self._lines.left_out(kind, now)))
        error = _connection_error(record)
        if error is None or not record.name.startswith(_BROKER_CLIENTS):
            return True
        record.exc_info = None  # the text has the error; a traceback says nothing about the Redis that is absent
        return _counted(record, self._left_out_about(QueueUnavailable.code, (record.name, record.msg)))

    def _fold(self, event: EventDict) -> None:
        if not self.enabled or event["event"] in ONCE:
            return
        left_out = self._left_out_about(SERVICES[event["code"]], (event["event"], event["code"]))
        if left_out is None:
            raise DropEvent
        if left_out:
            event["left_out"] = left_out

    def _left_out_about(self, code: str, kind: Hashable) -> int | None:
        """Return as RepeatedLines does, for a line about the absence of a service."""
        now = self._monotonic()

        def decide() -> int | None:
            if code in self._absent:
                return None
            if now < self._mentioned_at.get(code, -inf) + NOTICED_WITHIN_S:
                self._lines.leave_out(kind, now)
                return None
            left_out = self._lines.left_out(kind, now)
            if left_out is not None:
                self._mentioned_at[code] = now
            return left_out

        return self._locked(decide)

    def _locked(self, decide: Callable[[], int | None]) -> int | None:
        if not self._lock.acquire(timeout=LOCK_WAIT_S):
            return 0
        try:
            return decide()
        finally:
            self._lock.release()


def _counted(record: logging.LogRecord, left_out: int | None) -> bool:
    """Return whether to log the line, and give it the number of those left out."""
    if left_out:
        record.left_out = left_out
    return left_out is not None


def _kind_of(record: logging.LogRecord) -> tuple[str, str]:
    return "librdkafka", _VARIABLE.sub("", record.getMessage())


def _connection_error(record: logging.LogRecord) -> BaseException | None:
    """The error of a connection that the line is about: its exception, or one of its arguments."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    candidates = [record.exc_info[1] if record.exc_info else None, *arguments]
    return next((found for found in candidates if isinstance(found, BaseException) and _is_of_connection(found)), None)


def _is_of_connection(error: BaseException) -> bool:
    """Whether it is the error of a connection, or one that such an error has caused."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return any(kind.__name__ in CONNECTION_ERRORS for found in causes for kind in type(found).__mro__)
