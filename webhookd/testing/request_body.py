"""The bodies of HTTP/1.1 requests that arrive in pieces: of a known length, or in chunks (RFC 9112 §6 and §7)."""

import re

from webhookd.testing.http_exchange import BadRequest

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?")
_LINE_BYTES = 4096
_TRAILER_BYTES = 65_536


class SizedBody:
    """A body of a known length in bytes."""

    def __init__(self, length: int) -> None:
        self._missing = length
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes | None:
        """Take what belongs to it; returns what follows it once it is complete, else None."""
        piece = data[: self._missing]
        self._pieces.append(piece)
        self._missing -= len(piece)
        return None if self._missing else data[len(piece) :]

    def content(self) -> bytes:
        """All that has arrived."""
        return b"".join(self._pieces)


class ChunkedBody:
    """A body in chunks; extensions and trailers are skipped."""

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._content = bytearray()
        self._last_begun = False

    def feed(self, data: bytes) -> bytes | None:
        """Take what belongs to it; returns what follows it once it is complete, else None. Raises BadRequest."""
        self._arrived += data
        while not self._last_begun:
            if not self._take_chunk():
                return None
        return self._after_trailers()

    def content(self) -> bytes:
        """All that has arrived in whole chunks."""
        return bytes(self._content)

    def _take_chunk(self) -> bool:
        """Take the next chunk if it is complete; returns whether it was. Of the last one only its size is taken."""
        end = self._arrived.find(b"\r\n", 0, _LINE_BYTES)
        if end < 0:
            if len(self._arrived) >= _LINE_BYTES:
                raise BadRequest("the size of a chunk takes too many bytes")
            return False
        size = _size(self._arrived[:end])
        if not size:
            del self._arrived[:end]
            self._last_begun = True
            return True
        begin, after = end + 2, end + 2 + size
        if len(self._arrived) < after + 2:
            return False
        if self._arrived[after : after + 2] != b"\r\n":
            raise BadRequest("a chunk is longer than its size")
        self._content += self._arrived[begin:after]
        del self._arrived[: after + 2]
        return True

    def _after_trailers(self) -> bytes | None:
        end = self._arrived.find(b"\r\n\r\n")
        if end < 0:
            if len(self._arrived) > _TRAILER_BYTES:
                raise BadRequest("the trailers are too long")
            return None
        return bytes(self._arrived[end + 4 :])


def _size(line: bytes | bytearray) -> int:
    found = _SIZE_LINE.fullmatch(line)
    if found is None:
        raise BadRequest("the size of a chunk is not a hexadecimal number")
    return int(found[1], 16)
