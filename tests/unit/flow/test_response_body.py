"""Bodies of responses as text."""

import gzip
import zlib

import pytest

from webhookd.flow.attempt.response_body import TEXT_BYTES, text_of, uncompressed

TEXT = "no such order: größer als 5"


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 404 Not Found", *lines]).encode()


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT.encode())),
        ("x-gzip", gzip.compress(TEXT.encode())),
        ("GZIP", gzip.compress(TEXT.encode())),
        ("deflate", zlib.compress(TEXT.encode())),
        ("deflate", raw_deflate(TEXT.encode())),
        ("identity", TEXT.encode()),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT.encode()))),
    ],
    ids=["gzip", "x-gzip", "capitals", "deflate", "raw deflate", "identity", "twice"],
)
def test_compressed_body_is_shown_as_text(coding: str, body: bytes) -> None:
    assert text_of(head(f"Content-Encoding: {coding}"), body) == TEXT


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "gzip, br"])
def test_body_that_cannot_be_inflated_is_named(coding: str) -> None:
    assert text_of(head(f"Content-Encoding: {coding}"), b"\x0b\x02\x80abc") == f"({coding}, 6 bytes)"


def test_cut_body_is_inflated_as_far_as_it_goes() -> None:
    lines = "".join(f"line {number}\n" for number in range(1000))
    shown = text_of(head("Content-Encoding: gzip"), gzip.compress(lines.encode())[:500])
    assert len(shown) > 100
    assert lines.startswith(shown)


def test_bomb_is_inflated_up_to_the_bound() -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    assert len(bomb) < 16 * 1024
    assert text_of(head("Content-Encoding: gzip"), bomb) == "x" * TEXT_BYTES


def test_bomb_in_a_bomb_is_inflated_up_to_the_bound() -> None:
    bomb = gzip.compress(gzip.compress(b"x" * 10_000_000))
    assert len(text_of(head("Content-Encoding: gzip, gzip"), bomb)) <= TEXT_BYTES


def test_plain_body_is_decoded_and_storable() -> None:
    assert text_of(head(), b"caf\xe9\0") == "caf\ufffd\ufffd"
    assert text_of(b"", b"") == ""


def test_inflated_body_has_a_head_without_its_coding() -> None:
    folded = head("Server: x", "content-encoding:", "\t gzip", "Content-Encoding: gzip", "Date: y")
    body = gzip.compress(gzip.compress(TEXT.encode()))
    assert uncompressed(folded, body) == (head("Server: x", "Date: y"), TEXT.encode())
    assert uncompressed(head("Content-Encoding: br"), b"abc") == (head() + b"\r\n", b"(br, 3 bytes)")
    assert uncompressed(head("Server: x"), b"abc") == (head("Server: x"), b"abc")
