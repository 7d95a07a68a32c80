"""Feeds bytes to a response reader in pieces, and generates what servers might send.

Oracle of the generated ones: nothing is raised, the split makes no difference, and a final status line that has arrived
whole within the bound of the head is the response.
"""

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.response_reader import ResponseReader
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.tolerant_head import status_of

LIMITS = Limits(response_bytes=1024, drained_bytes=4096)
SMALL = Limits(response_bytes=8, drained_bytes=16, head_bytes=64)

Result = tuple[bool, FailureCode | None, int, bytes, bytes]

# fmt: off
_LINES = [
    b"Content-Length: 2", b"Content-Length: 0", b"content-length :3", b"Transfer-Encoding: chunked", b"X: y",
    b" folded", b"nonsense", b"Connection: close", b"Connection: keep-alive", b"X: \0\xff", b": x",
    b"Upgrade: h2c", b"", b"\r",
]
_ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"]
_STATUSES = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 204", b"HTTP/1.0 503 no", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 no",
    b"HTTP/2 200", b"http/1.1 201", b"HTTP/1.1  200", b"RTSP/1.0 200 OK", b"HTTP/1.1 099 x", b"HTTP/1.1 2000 x",
    b"HTTP/1.1",    b"\r\nHTTP/1.1 200 OK",
]
_BODIES = [
    b"", b"ok", b"2\r\nok\r\n0\r\n\r\n", b"2\nok\n0\n\n", b"zz\r\n", b"x" * 40, b"HTTP/1.1 200 OK\r\n\r\n",
]
# fmt: on


def read(data: bytes, sizes: list[int], limits: Limits = LIMITS) -> tuple[ResponseReader, bool]:
    """Feed the data in pieces of these sizes, over and over, then end; returns whether it had to be ended."""
    reader = ResponseReader(limits)
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        if reader.feed(data[at : at + size]):
            return reader, False
        at, number = at + size, number + 1
    reader.end()
    return reader, True


def result(reader: ResponseReader) -> Result:
    """What must not depend on the split."""
    return (reader.finished, reader.fault, reader.status, reader.head, reader.body)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Heads and bodies put together at random, then changed at random."""
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        head = [draw(st.sampled_from(_STATUSES)), *draw(st.lists(st.sampled_from(_LINES), max_size=4))]
        end = st.sampled_from(_ENDS)
        data += b"".join(line + draw(end) for line in head) + draw(end) + draw(st.sampled_from(_BODIES))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    return data


def check(data: bytes, sizes: list[int], limits: Limits) -> None:
    """Hold the oracle against one response."""
    whole, split = read(data, [len(data) or 1], limits)[0], read(data, sizes, limits)[0]
    assert result(whole) == result(split)
    status = status_of(data[: limits.head_bytes].lstrip(b"\r\n"))
    if status is not None and status >= 200:
        assert (split.finished, split.fault, split.status) == (True, None, status)
    if split.finished and split.fault is None:
        assert split.status >= 200
        assert len(split.body) <= limits.response_bytes
        assert len(split.head) <= 2 * limits.head_bytes, "each bare newline is shown as two bytes"


def check_generated(examples: int, first: int) -> None:
    """Check so many responses made from a seed; a failure shows the smallest one that fails."""

    @seed(first)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(responses(), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.sampled_from([LIMITS, SMALL]))
    def checked(data: bytes, sizes: list[int], limits: Limits) -> None:
        check(data, sizes, limits)

    checked()
