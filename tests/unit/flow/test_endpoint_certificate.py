"""When a worker reports the endpoint's certificate, and what a status says of it. The clock is the test's."""

from dataclasses import replace

import pytest

from webhookd.flow.attempt.endpoint_certificate import REPORT_AGAIN_S, ReportedCertificate, SeenCertificate, Validity
from webhookd.flow.attempt.target import Target
from webhookd.flow.status.endpoint_certificate import (
    WARN_BEFORE_S,
    CertificateState,
    EndpointCertificate,
    certificate_of,
)

END = 1_800_000_000.0
TARGET = Target.parse("https://example.com/hook")
YEAR = 365 * 86400.0
CERTIFICATE = EndpointCertificate(host="example.com", port=443, begins_at=END - YEAR, expires_at=END, seen_at=1.0)


def news_of(*latest: SeenCertificate | None) -> list[float]:
    """The times of expiry that are reported if the endpoint has shown these, one before each report."""
    shown = iter(latest)
    reported = ReportedCertificate(lambda _target: next(shown))
    found = [reported.news(TARGET) for _ in latest]
    return [validity.expires_at if validity is not None else 0.0 for validity in found]


def seen(expires_at: float = END, seen_at: float = 5.0) -> SeenCertificate:
    return SeenCertificate(validity=Validity(END - YEAR, expires_at), seen_at=seen_at)


def test_certificate_is_reported_once() -> None:
    assert news_of(None, seen(), seen(), seen(seen_at=6.0)) == [0.0, END, 0.0, 0.0]


def test_renewed_certificate_is_reported() -> None:
    assert news_of(seen(), seen(END + 9.0, 6.0), seen(END, 7.0)) == [END, END + 9.0, END]


def test_unchanged_certificate_is_reported_again_after_a_later_handshake() -> None:
    same = seen(seen_at=5.0 + REPORT_AGAIN_S)
    assert news_of(seen(), replace(same, seen_at=same.seen_at - 0.1), same, same) == [END, 0.0, END, 0.0]


def test_unreadable_certificate_is_not_reported() -> None:
    assert news_of(replace(seen(), validity=None), seen(seen_at=6.0)) == [0.0, END]


@pytest.mark.parametrize(
    ("left_s", "state"),
    [
        (WARN_BEFORE_S + 1.0, CertificateState.VALID),
        (WARN_BEFORE_S, CertificateState.EXPIRES_SOON),
        (1.0, CertificateState.EXPIRES_SOON),
        (0.0, CertificateState.EXPIRED),
        (-1e6, CertificateState.EXPIRED),
    ],
)
def test_state_follows_the_clock(left_s: float, state: CertificateState) -> None:
    assert CERTIFICATE.state(END - left_s) is state


@pytest.mark.parametrize(("days", "warned_days"), [(6, 1.5), (40, 10.0), (56, 14.0), (398, 14.0)])
def test_short_lived_certificate_is_warned_of_in_its_last_quarter(days: int, warned_days: float) -> None:
    short = replace(CERTIFICATE, begins_at=END - days * 86400.0)
    assert END - short.warn_at == warned_days * 86400.0


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://example.com/other?x=1", True),
        ("https://EXAMPLE.com:443/", True),
        ("https://example.com:8443/hook", False),
        ("https://www.example.com/hook", False),
        ("http://example.com:443/hook", False),
        ("", False),
        ("ftp://example.com", False),
    ],
)
def test_certificate_belongs_to_host_and_port(url: str, same: bool) -> None:
    assert CERTIFICATE.belongs_to(url) is same


def test_http_endpoint_has_no_certificate() -> None:
    assert certificate_of("http://example.com/", Validity(END - YEAR, END), 1.0) is None
    assert certificate_of("https://example.com/hook", Validity(END - YEAR, END), 1.0) == CERTIFICATE
