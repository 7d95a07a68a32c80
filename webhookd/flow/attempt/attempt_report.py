"""What comes back to ingest about a delivery: how far it got, and why it stopped.

Reports cross processes as msgpack arrays. A report only makes the commit earlier; it is never the only copy of a
fact: a lost one costs a lease, not a record.
"""

from enum import IntEnum

import msgspec


class ReportKind(IntEnum):
    """What a report says; all but the first two end the delivery's attempt."""

    STARTED = 0
    PROGRESS = 1
    RETRY = 2
    FINISHED = 3
    EXHAUSTED = 4
    STALE = 5
    GONE = 6


class LoggedExchange(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One HTTP exchange as the activity log shows it. `head` and `body` are the response's bytes, capped.

    `error` is the failure's code, `detail` what webhookd says about it where there was no response.
    """

    at: float
    webhook_id: str
    status: int = 0
    head: bytes = b""
    body: bytes = b""
    error: str = ""
    detail: str = ""


class Report(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """How far one attempt of a delivery got.

    `done` counts the acknowledged batches since the attempt began and `sending_s` the time they took. `wait_s` is
    the countdown of a scheduled retry, or how long an endpoint that refused asked to be left alone. `success` is the
    last acknowledged exchange, `failure` the one that stopped.
    """

    kind: ReportKind
    delivery: str
    attempt: int
    done: int = 0
    sending_s: float = 0.0
    wait_s: float = 0.0
    success: LoggedExchange | None = None
    failure: LoggedExchange | None = None


PLAUSIBLE_AGE_S = 60.0
"""A report takes seconds at most. What it says happened longer ago, or later than now, was told by a wrong clock."""


def with_plausible_times(report: Report, now: float) -> Report:
    """The report with its exchanges' times as they can be: those of a worker whose clock is off become `now`."""
    success, failure = _dated(report.success, now), _dated(report.failure, now)
    if success is report.success and failure is report.failure:
        return report
    return msgspec.structs.replace(report, success=success, failure=failure)


def _dated(exchange: LoggedExchange | None, now: float) -> LoggedExchange | None:
    if exchange is None or now - PLAUSIBLE_AGE_S <= exchange.at <= now:
        return exchange
    return msgspec.structs.replace(exchange, at=now)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Report])


def encode(reports: list[Report]) -> bytes:
    """The reports of one flush, for one ingest process."""
    return _encoder.encode(reports)


def decode(blob: bytes) -> list[Report]:
    """The reports of one flush. Raises msgspec.DecodeError for what another version wrote."""
    return _decoder.decode(blob)
