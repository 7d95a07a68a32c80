"""The reports that workers send to ingest: how far a delivery has got, and why it stopped.

They are sent as msgpack arrays. No fact depends on a report alone: reports only make commits earlier. If a report is
lost, the delivery is sent again after its lease has run out, and no record is lost.
"""

from enum import IntEnum

import msgspec

from webhookd.flow.attempt.endpoint_certificate import Validity


class ReportKind(IntEnum):
    """What is reported. STARTED and PROGRESS are sent during an attempt, WAITING before it; each other kind ends it.

    UNREADABLE: the worker cannot decrypt the secrets of the subscription, so nothing was sent.
    UNUSABLE: it cannot use the destination, so nothing was sent; `detail` names the field and the reason.
    WAITING: a quota is used up, so the task was published again for after `wait_s`; `detail` names what is used up, as
    `limited_by` in the status does.
    VERIFIED and UNVERIFIED are about no delivery: the endpoint was asked whether it wants the requests, and has
    consented or not.
    """

    STARTED = 0
    PROGRESS = 1
    RETRY = 2
    FINISHED = 3
    EXHAUSTED = 4
    STALE = 5
    GONE = 6
    DIVISIBLE = 7
    UNREADABLE = 8
    UNUSABLE = 9
    WAITING = 10
    VERIFIED = 11
    UNVERIFIED = 12

    @property
    def code(self) -> str:
        """The kind as metrics and traces name it, such as `retry`."""
        return self.name.lower()


VERIFICATION_KINDS = frozenset({ReportKind.VERIFIED, ReportKind.UNVERIFIED})
"""The reports about the verification of an endpoint."""


class LoggedExchange(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One HTTP exchange, as the activity log shows it. `head` and `body` are bytes of the response, up to a limit.

    `error` is the failure code; `detail` is webhookd's own text when there was no response. `attempt` counts from 1.
    """

    at: float
    webhook_id: str
    status: int = 0
    head: bytes = b""
    body: bytes = b""
    error: str = ""
    detail: str = ""
    attempt: int = 1


class Report(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """How far one attempt of a delivery has got.

    `done` counts the batches acknowledged since the attempt began, and `sending_s` is how long their requests took.
    `wait_s` is the countdown of a scheduled retry, or the wait that an endpoint asked for when no retry is left, or
    that for a quota.
    `success` is the last acknowledged exchange, `failure` the one that stopped the attempt. `certificate` is
    the validity of the endpoint's certificate, None if there is nothing new about it. `detail` is for the kinds that
    say why nothing was sent. `session` is the delivery session that the worker has opened with this claim, if any.

    VERIFIED and UNVERIFIED have the id of the question as `delivery`, and its exchange. With VERIFIED `wait_s` is the
    time from one request to the next that the endpoint has granted, 0 if it has granted any number of requests.
    """

    kind: ReportKind
    delivery: str
    attempt: int
    done: int = 0
    sending_s: float = 0.0
    wait_s: float = 0.0
    success: LoggedExchange | None = None
    failure: LoggedExchange | None = None
    certificate: Validity | None = None
    detail: str = ""
    session: str = ""


PLAUSIBLE_AGE_S = 60.0
"""A report arrives within seconds. An exchange with an older or a future time has a wrong clock."""


def with_plausible_times(report: Report, now: float) -> Report:
    """Return the report with `now` in place of times that a worker's wrong clock has given."""
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
    """Encode the reports of one flush for one ingest process."""
    return _encoder.encode(reports)


def decode(blob: bytes) -> list[Report]:
    """Decode the reports of one flush. Raises msgspec.DecodeError when another version encoded them."""
    return _decoder.decode(blob)
