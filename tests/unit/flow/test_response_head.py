"""Fields read from the raw head of a response."""

import pytest

from webhookd.flow.attempt.response_head import (
    LONGEST_WAIT_S,
    field_value,
    parse_head,
    retry_after_s,
)

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 503 Busy", *lines]).encode("latin-1")


def test_header_lines_exclude_the_status_line() -> None:
    assert parse_head(head("Server: s", "X: é", "Empty:")) == ["Server: s", "X: é", "Empty:"]


def test_folded_line_joins_the_one_before() -> None:
    assert parse_head(head("X: a", "\t b", "Y: c")) == ["X: a b", "Y: c"]


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\n"])
def test_head_without_fields_has_no_lines(raw: bytes) -> None:
    assert parse_head(raw) == []


def test_field_is_found_in_any_case() -> None:
    assert field_value(head("no colon", "rEtRy-AfTeR :  7 ", "Retry-After: 8"), "Retry-After") == "7"
    assert field_value(head("Retry-After-Not: 7"), "Retry-After") is None


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("007", 7.0),
        ("9" * 9, LONGEST_WAIT_S),
        ("9" * 5000, LONGEST_WAIT_S),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:30 -0000", 10.0),
        ("Tue, 14 Nov 2023 23:13:30 +0100", 10.0),
        ("Tuesday, 14-Nov-23 22:13:30 GMT", 10.0),
        ("Tue Nov 14 22:13:30 2023", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Tue, 14 Nov 9999 22:13:10 GMT", LONGEST_WAIT_S),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Tue, 99 Nov 2023 22:13:10 GMT", None),
        ("Tue, 14 Nov 2023 22:13:10 +9999999999", None),
    ],
)
def test_retry_after_reads_seconds_and_dates(value: str, wait_s: float | None) -> None:
    assert retry_after_s(head(f"Retry-After: {value}"), NOW) == wait_s


def test_head_without_retry_after_gives_none() -> None:
    assert retry_after_s(head("Server: s"), NOW) is None
