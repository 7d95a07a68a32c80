"""A request that arrives in pieces of any size is the same request, and its bytes in memory are bounded."""

from collections.abc import Sequence

import pytest
from gunicorn.config import Config

from api.incoming_request import DISCARD_BYTES, HEAD_BYTES, BodyTooLarge, IncomingRequest
from api.server_refusals import status_of

LIMIT_BYTES = 1000
GET = b"GET /1?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /1 HTTP/1.1\r\nHost: x\r\n"
WHOLE = [
    (GET, b""),
    (b"\r\n" + GET, b""),
    (POST + b"Content-Length: 0\r\n\r\n", b""),
    (POST + b"Content-Length: 9\r\n\r\n{\r\n\r\n: 1}", b"{\r\n\r\n: 1}"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    (
        POST + b"Transfer-Encoding: chunked\r\n\r\n"
        b'1\r\n{\r\n2;a=b\r\n\r\n\r\n0A\r\n"aaaaaa":1\r\n1\r\n}\r\n0\r\nX: 1\r\n\r\n',
        b'{\r\n"aaaaaa":1}',
    ),
]


def fed(*pieces: bytes) -> IncomingRequest:
    """A request that got these pieces, as long as it wanted any."""
    config = Config()
    config.set("limit_request_line", 8190)
    incoming = IncomingRequest(config, ("127.0.0.1", 1), LIMIT_BYTES)
    for piece in pieces:
        if not incoming.done:
            incoming.feed(piece)
    return incoming


def content(incoming: IncomingRequest) -> bytes:
    incoming.decode()
    read: bytes = incoming.request.body.read()
    return read


def pieces(data: bytes, size: int) -> Sequence[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(("sent", "body"), WHOLE)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_are_the_same_request(sent: bytes, body: bytes, size: int) -> None:
    incoming = fed(*pieces(sent, size))
    assert (incoming.whole, incoming.error) == (True, None)
    assert content(incoming) == body
    assert incoming.finish_body()
    assert incoming.unreader.rest() == b""


@pytest.mark.parametrize(("sent", "body"), WHOLE)
def test_what_follows_a_request_is_kept_for_the_next(sent: bytes, body: bytes) -> None:
    incoming = fed(sent + GET)
    assert content(incoming) == body
    assert incoming.finish_body()
    assert incoming.unreader.rest() == GET


@pytest.mark.parametrize(("sent", "_body"), WHOLE)
def test_a_request_without_its_last_byte_is_not_done(sent: bytes, _body: bytes) -> None:
    assert not fed(sent[:-1]).done


def test_a_body_over_the_limit_is_not_kept_and_ends_the_connection() -> None:
    incoming = fed(POST + b"Content-Length: 5000\r\n\r\n", *pieces(b"x" * 5000, 500))
    assert (incoming.done, incoming.whole, incoming.error) == (True, False, None)
    assert incoming.size_bytes < LIMIT_BYTES
    assert not incoming.finish_body()


def test_a_body_without_end_is_given_up() -> None:
    incoming = fed(POST + b"Content-Length: 99999999999\r\n\r\n", *[b"x" * 1_000_000] * 20)
    assert (incoming.done, incoming.whole) == (True, False)
    assert incoming.size_bytes < LIMIT_BYTES
    assert DISCARD_BYTES < 20_000_000


@pytest.mark.parametrize("chunks", [b"3e9\r\n" + b"x" * 1001 + b"\r\n", b"1\r\nx\r\n" * 20_000])
def test_a_chunked_body_over_the_limit_is_refused_at_its_end(chunks: bytes) -> None:
    start = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert not fed(start, *pieces(chunks, 4096)).done
    incoming = fed(start, *pieces(chunks + b"0\r\n\r\n", 4096))
    assert isinstance(incoming.error, BodyTooLarge)
    assert incoming.size_bytes < HEAD_BYTES + 2 * LIMIT_BYTES + 70_000


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03", 400),
        (b"GET /" + b"x" * 8190 + b" HTTP", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 6000, 431),
        (b"GET / HTTP/1.1\r\nA: 1\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1" + b"0" * 16 + b"\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 5000, 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: 1\r\n" * 6000, 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n", 400),
    ],
)
def test_a_broken_request_is_refused_before_its_end(sent: bytes, status: int) -> None:
    incoming = fed(*pieces(sent, 100))
    assert incoming.error is not None
    assert status_of(incoming.error) == status


def test_a_body_is_asked_for_once() -> None:
    incoming = fed(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert [incoming.continues(), incoming.continues()] == [True, False]
