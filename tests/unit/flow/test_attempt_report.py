"""Reports are the same after encoding and decoding, and get plausible times."""

import msgspec
import pytest

from webhookd.flow.attempt.attempt_report import (
    LoggedExchange,
    Report,
    ReportKind,
    decode,
    encode,
    with_plausible_times,
)
from webhookd.flow.attempt.endpoint_certificate import Validity

FULL = Report(
    ReportKind.RETRY,
    "d1",
    2,
    7,
    0.25,
    30.0,
    LoggedExchange(1.5, "msg_1", 200, b"H", b"B"),
    LoggedExchange(2.5, "msg_2", error="timeout"),
    Validity(1.0, 2.0),
)


@pytest.mark.parametrize("kind", ReportKind)
def test_every_kind_is_encoded(kind: ReportKind) -> None:
    assert decode(encode([Report(kind, "d1", 0)])) == [Report(kind, "d1", 0)]


def test_every_field_is_encoded() -> None:
    assert decode(encode([FULL, Report(ReportKind.STALE, "d2", 0), FULL])) == [
        FULL,
        Report(ReportKind.STALE, "d2", 0),
        FULL,
    ]


@pytest.mark.parametrize("blob", [b"", b"garbage", msgspec.msgpack.encode([[99, "d1", 0]])])
def test_blob_of_another_version_is_refused(blob: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(blob)


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("at", "shown"),
    [(NOW, NOW), (NOW - 30.0, NOW - 30.0), (NOW - 600.0, NOW), (NOW + 600.0, NOW), (NOW + 0.1, NOW)],
)
@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_implausible_time_of_an_exchange_becomes_now(outcome: str, at: float, shown: float) -> None:
    report = Report(ReportKind.RETRY, "d1", 0, **{outcome: LoggedExchange(at, "msg_1", 500)})  # type: ignore[arg-type]
    found = getattr(with_plausible_times(report, NOW), outcome)
    assert found == LoggedExchange(shown, "msg_1", 500)


def test_report_without_an_exchange_is_unchanged() -> None:
    report = Report(ReportKind.PROGRESS, "d1", 0, 3)
    assert with_plausible_times(report, NOW) is report
