"""Responses in pieces; above all, no response is counted twice."""

import pytest

from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.response_reader import ResponseReader

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def reader() -> ResponseReader:
    return ResponseReader(Limits())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, len(OK) + 1, 1000])
def test_pieces_of_any_size_give_same_responses(reader: ResponseReader, size: int) -> None:
    sent = [OK, OK, CREATED, OK, CREATED, CREATED]
    seen = []
    for message in sent:
        pieces = [message[at : at + size] for at in range(0, len(message), size)]
        assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        seen.append((reader.status, reader.head, reader.body, reader.keep_alive, reader.fault))
    assert seen == [(201 if message is CREATED else 200, message[:-6], b"ok", True, None) for message in sent]


def test_end_before_any_byte_is_no_response(reader: ResponseReader) -> None:
    assert not reader.end()
    assert not reader.started


def test_end_after_a_response_is_no_second(reader: ResponseReader) -> None:
    for response in (OK, OK, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nX: y\r\n\r\n"):
        assert reader.feed(response)
        assert not reader.started
        assert not reader.end()


def test_blank_lines_before_a_response_are_skipped(reader: ResponseReader) -> None:
    assert not reader.feed(b"\r\n\r\n")
    assert reader.feed(OK)
    assert (reader.head, reader.body) == (OK[:-6], b"ok")


def test_end_completes_a_body_without_length(reader: ResponseReader) -> None:
    assert not reader.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert reader.started
    assert reader.end()
    assert (reader.status, reader.body, reader.keep_alive) == (200, b"some", False)


def test_same_head_with_other_body_is_parsed(reader: ResponseReader) -> None:
    assert reader.feed(OK)
    assert reader.feed(OK[:-2] + b"no")
    assert reader.body == b"no"


def test_beginning_of_the_cached_response_is_not_a_response(reader: ResponseReader) -> None:
    assert reader.feed(OK)
    assert reader.feed(OK)
    assert not reader.feed(OK[:-1])
    assert reader.feed(OK[-1:])
    assert reader.body == b"ok"


def test_second_piece_alone_is_no_response(reader: ResponseReader) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(OK)
    assert not reader.feed(head)
    assert reader.feed(OK)
    assert reader.body == OK
    assert reader.feed(OK)
    assert reader.body == b"ok", "the same bytes are now a response of their own"


def test_response_that_ends_the_connection_is_not_cached(reader: ResponseReader) -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert reader.feed(last)
    assert not reader.keep_alive
    reader.feed(last)
    assert not reader.keep_alive


def test_more_of_a_body_is_kept_on_request() -> None:
    reader = ResponseReader(Limits(response_bytes=4))
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"
    bodies = []
    for body_bytes in (0, 0, 6, 6, 2):
        reader.keep_at_least(body_bytes)
        assert reader.feed(long)
        bodies.append(reader.body)
    assert bodies == [b"1234", b"1234", b"123456", b"123456", b"1234"]
