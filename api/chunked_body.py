"""Where a chunked body ends (RFC 9112, section 7.1), found in pieces of any size without keeping them.

gunicorn's parser decodes the body later; this only has to know when all of it is there.
"""

import re
from typing import Final

LINE_BYTES: Final = 4096
"""The size of a line with a chunk's size."""
TRAILER_BYTES: Final = 16 * 1024
"""The size of all fields after the last chunk."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;.*)?")


class BrokenChunk(Exception):
    """A line with a chunk's size cannot be read, or data has another size than its line says."""


class ChunkedBody:
    """Counts through a chunked body."""

    def __init__(self) -> None:
        self.ended = False
        self.content_bytes = 0
        """The size of the content so far, chunks included whose size is known and whose data is missing."""
        self._line = bytearray()
        self._left_bytes = 0
        self._after_data = False
        self._in_trailer = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> int:
        """Take the next bytes; return how many of them belong to the body. Raises BrokenChunk."""
        at = 0
        while at < len(data) and not self.ended:
            if self._left_bytes:
                step = min(self._left_bytes, len(data) - at)
                self._left_bytes -= step
                at += step
            else:
                at = self._feed_line(data, at)
        return at

    def _feed_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        self._line += data[at : end + 1] if end >= 0 else data[at:]
        if len(self._line) > LINE_BYTES:
            raise BrokenChunk
        if end < 0:
            return len(data)
        if not self._line.endswith(b"\r\n"):
            raise BrokenChunk
        self._take_line(bytes(self._line[:-2]))
        self._line.clear()
        return end + 1

    def _take_line(self, line: bytes) -> None:
        if self._in_trailer:
            self._trailer_bytes += len(line)
            self.ended = not line
        elif self._after_data:
            self._after_data = False
        else:
            self._take_size(line)
            return
        if self._trailer_bytes > TRAILER_BYTES or (line and not self._in_trailer):
            raise BrokenChunk

    def _take_size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise BrokenChunk
        size = int(found[1], 16)
        self.content_bytes += size
        self._left_bytes, self._after_data, self._in_trailer = size, size > 0, size == 0
