"""Which repeated lines reach the log. The clock is moved; the lines are those that the libraries make."""

import logging
from threading import Thread

import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog import DropEvent
from structlog.typing import EventDict

from webhookd.line_folding import NOTICED_WITHIN_S, LineFolding
from webhookd.repeated_lines import KINDS, QUIET_S, RepeatedLines

PATIENCE_S = 60.0
REDIS, DATABASE = "queue_unavailable", "store_unavailable"
CANNOT_CONNECT = "consumer: Cannot connect to %s: %s.\n%s\n"


class Log:
    """A log at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.folding = LineFolding(lambda: self.now)

    def own(self, event: str, code: str, method: str = "warning") -> EventDict | None:
        """Log a line of webhookd; returns it, or None when it was left out."""
        try:
            return self.folding.add_level(None, method, {"event": event, "code": code})
        except DropEvent:
            return None

    def library(self, name: str, text: str, *arguments: object, error: BaseException | None = None) -> bool:
        """Log a line of a library; returns whether it is logged."""
        trace = (type(error), error, None) if error else None
        self.last = logging.LogRecord(name, logging.ERROR, "", 0, text, arguments, trace)
        return self.folding.filter(self.last)


@pytest.fixture
def log() -> Log:
    return Log()


def test_first_line_about_an_absent_service_is_logged_and_not_those_of_other_parts(log: Log) -> None:
    assert log.own("reports_unreadable", REDIS) == {
        "event": "reports_unreadable",
        "code": REDIS,
        "level": "warning",
    }
    assert log.own("publish_failed", REDIS) is None
    assert log.library("celery.worker", CANNOT_CONNECT, "redis://", RedisConnectionError("refused"), "") is False
    assert log.own("store_unavailable", DATABASE) is not None


def test_nothing_about_a_service_is_logged_while_the_process_waits_for_it(log: Log) -> None:
    log.folding.absent(REDIS)
    log.now += 1e6
    assert (log.own("publish_failed", REDIS), log.own("workers_unknown", REDIS, "info")) == (None, None)
    assert log.library("celery.worker", CANNOT_CONNECT, "redis://", RedisConnectionError("refused"), "") is False
    log.folding.present(REDIS)
    assert log.own("publish_failed", REDIS) is not None


def test_service_that_answers_and_fails_is_logged_by_event_now_and_then(log: Log) -> None:
    log.own("deliveries_delayed", DATABASE)
    log.now += NOTICED_WITHIN_S
    assert log.own("store_unavailable", DATABASE) is not None
    log.now += NOTICED_WITHIN_S
    assert [log.own("deliveries_delayed", DATABASE) for _ in range(5)] == [None] * 5
    log.now += NOTICED_WITHIN_S * 2
    line = log.own("deliveries_delayed", DATABASE)
    assert line is not None
    assert line["left_out"] == 5


def test_line_does_not_wait_for_a_thread_that_a_signal_handler_has_interrupted(log: Log) -> None:
    logged: list[object] = []
    thread = Thread(target=lambda: logged.append(log.own("publish_failed", REDIS)), daemon=True)
    with log.folding._lock:
        thread.start()
        thread.join(PATIENCE_S)
    assert logged == [{"event": "publish_failed", "code": REDIS, "level": "warning"}]


@pytest.mark.parametrize(
    ("method", "event", "code"),
    [
        ("error", "system_fault", REDIS),
        ("info", "delivered", ""),
        ("warning", "attempt_failed", "connect_timeout"),
        ("warning", "waiting_for_service", REDIS),
        ("warning", "stop_cut_short", REDIS),
        ("warning", "system_fault_over", REDIS),
    ],
)
def test_other_lines_are_never_left_out(log: Log, method: str, event: str, code: str) -> None:
    log.folding.absent(REDIS)
    assert [log.own(event, code, method) is not None for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(("method", "level"), [("exception", "error"), ("info", "info"), ("critical", "critical")])
def test_line_has_the_level_of_its_method(log: Log, method: str, level: str) -> None:
    assert log.folding.add_level(None, method, {"event": "x"})["level"] == level


@pytest.mark.parametrize(
    "error", [RedisConnectionError("refused"), OperationalError("refused"), ConnectionResetError(), TimeoutError()]
)
def test_error_of_a_connection_to_redis_has_no_traceback(log: Log, error: BaseException) -> None:
    assert log.library("kombu.mixins", "lost", error=error) is True
    assert log.last.exc_info is None


def test_error_that_a_lost_connection_has_caused_counts_as_one(log: Log) -> None:
    rejected = ValueError("reject")
    rejected.__cause__ = RedisConnectionError("refused")
    assert log.library("celery.app.trace", "Task rejected", error=rejected) is True
    assert log.last.exc_info is None
    log.folding.absent(REDIS)
    assert log.library("celery.app.trace", "Task rejected", error=rejected) is False


def test_consequences_of_an_absent_redis_are_not_repeated_until_it_is_there(log: Log) -> None:
    log.folding.absent(REDIS)
    assert log.own("published_again", "", "info") is None
    log.folding.present(REDIS)
    assert log.own("published_again", "", "info") is not None


@pytest.mark.parametrize(
    ("name", "error"), [("celery.worker", ValueError("a fault")), ("another.library", ConnectionResetError())]
)
def test_other_errors_keep_their_traceback_and_are_all_logged(log: Log, name: str, error: BaseException) -> None:
    log.folding.absent(REDIS)
    assert [log.library(name, "failed", error=error) for _ in range(3)] == [True] * 3
    assert log.last.exc_info is not None


def refused(port: int, after_ms: int) -> str:
    return (
        f"[thrd:127.0.0.1:{port}/bootstrap]: 127.0.0.1:{port}/bootstrap: Connect to ipv4#127.0.0.1:{port} failed: "
        f"Connection refused (after {after_ms}ms in state CONNECT)"
    )


def test_lines_of_librdkafka_are_counted_by_kind(log: Log) -> None:
    logged = []
    for second in range(31):
        log.now = 1000.0 + second
        passed = [
            log.library("librdkafka", "%s [%s] %s", "FAIL", f"consumer-{broker}", refused(9000 + broker, second))
            for broker in range(27)
        ]
        logged += [(second, position) for position, logs in enumerate(passed) if logs]
    assert logged == [(0, 0), (10, 0), (30, 0)]


def test_line_of_librdkafka_has_the_number_that_was_left_out(log: Log) -> None:
    for milliseconds in range(100):
        log.library("librdkafka", "%s [%s] %s", "FAIL", "consumer-1", refused(9092, milliseconds))
    log.now += 10.0
    assert log.library("librdkafka", "%s [%s] %s", "FAIL", "consumer-1", refused(9092, 0))
    assert log.last.__dict__["left_out"] == 99


def test_another_kind_of_librdkafka_is_logged_at_once(log: Log) -> None:
    log.library("librdkafka", "%s [%s] %s", "FAIL", "consumer-1", refused(9092, 0))
    assert log.library("librdkafka", "%s [%s] %s", "SESSTMOUT", "consumer-1", "[thrd:main]: session timed out")
    assert log.library("librdkafka", "%s [%s] %s", "FAIL", "consumer-1", "[thrd:a]: a:1/1: SSL handshake failed")


def test_kind_that_was_quiet_is_logged_at_once_again() -> None:
    lines = RepeatedLines()
    assert [lines.left_out("kind", now) for now in (0.0, 5.0, 5.0 + QUIET_S)] == [0, None, 0]


def test_number_of_kinds_is_bounded() -> None:
    lines = RepeatedLines()
    for kind in range(KINDS + 1):
        lines.left_out(kind, 0.0)
    assert (lines.left_out(KINDS, 1.0), lines.left_out(0, 1.0)) == (None, 0)
