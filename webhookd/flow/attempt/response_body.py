"""The body of a response as text for people: activity, status, mails and dead letters show it.

webhookd asks for no compression (`Accept-Encoding: identity`), but some endpoints compress all the same. What is kept
of such a body is inflated up to a bound, so that a bomb costs no more than that.
"""

import re
import zlib

from webhookd.flow.attempt.response_head import field_values

TEXT_BYTES = 16 * 1024
"""How much text an inflated body becomes at most: as much as the default of `WEBHOOKD_RESPONSE_BYTES`."""

_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: with gzip's header
_INFLATABLE = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
"""The codings, and what zlib calls their formats. `deflate` is zlib's format (RFC 9110 §8.4.1.2), but many servers send
it without zlib's header."""


def uncompressed(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return a head without Content-Encoding, and the body inflated; both unchanged if the body is not compressed.

    A body whose coding cannot be undone is named instead: `(br, 1234 bytes)`. What was cut is inflated as far as it
    goes. Secrets that an endpoint repeats can be recognised only in the result.
    """
    codings = [coding for value in field_values(head, "content-encoding") for coding in _names(value)]
    if not codings or not body:
        return head, body
    inflated: bytes | None = body
    for coding in reversed(codings):  # the last one was applied last
        inflated = None if inflated is None else _inflated(coding, inflated)
    if inflated is None:
        inflated = f"({', '.join(codings)}, {len(body)} bytes)".encode()
    return _CONTENT_ENCODING.sub(b"", head), inflated


def text_of(head: bytes, body: bytes) -> str:
    """Return the body, inflated, as text; invalid UTF-8 and NUL, which a database does not store, are replaced."""
    return uncompressed(head, body)[1].decode(errors="replace").replace("\0", "\ufffd")


_CONTENT_ENCODING = re.compile(rb"(?im)^content-encoding[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)")
"""The header line, with the lines that fold it."""


def _names(value: str) -> list[str]:
    names = (name.strip().lower() for name in value.split(","))
    return [name for name in names if name not in {"", "identity"}]


def _inflated(coding: str, body: bytes) -> bytes | None:
    for format_ in _INFLATABLE.get(coding, ()):
        try:
            return zlib.decompressobj(format_).decompress(body, TEXT_BYTES)
        except zlib.error:
            continue
    return None
