"""Reports survive their way from worker to ingest."""

import msgspec
import pytest

from webhookd.flow.report import Exchange, Kind, Report, decode, encode

FULL = Report(
    Kind.RETRY, "d1", 2, 7, 0.25, 30.0, Exchange(1.5, "msg_1", 200, b"H", b"B"), Exchange(2.5, "msg_2", error="timeout")
)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_survives(kind: Kind) -> None:
    assert decode(encode([Report(kind, "d1", 0)])) == [Report(kind, "d1", 0)]


def test_everything_in_a_report_survives() -> None:
    assert decode(encode([FULL, Report(Kind.STALE, "d2", 0), FULL])) == [FULL, Report(Kind.STALE, "d2", 0), FULL]


@pytest.mark.parametrize("blob", [b"", b"garbage", msgspec.msgpack.encode([[99, "d1", 0]])])
def test_what_another_version_wrote_is_refused(blob: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(blob)
