"""The trace context of a record (W3C Trace Context), which the request of a batch of one record passes on.

A producer that is traced sets the Kafka headers `traceparent` and `tracestate`. The request has both unchanged, so the
endpoint's spans are children of the producer's, also when webhookd makes spans of its own (workers/delivery).

    Kafka headers                            the request has
    one valid traceparent                    traceparent, and tracestate if all of it is valid
    none, several, or one that is invalid    neither

Names count in lower case, as OpenTelemetry writes them. A policy that hides the headers of a record hides these, too.
Only the bodies of deliveries are searched whose lanes have had a record with `traceparent` (DeliveryRef.traced): ingest
sees that when it renders the header, and a search of each body would take as long as the rest of a request's head.
"""

import re
from typing import Final

from webhookd.flow.batching.envelope_reader import Headers, first_headers, headers_within

TRACESTATE_BYTES: Final = 8 * 1024
"""A longer one is dropped. W3C requires that at least 512 characters are passed on."""

SEARCHED_BYTES: Final = 256 * 1024
"""The longest body that is searched for records after the first one."""

HEAD_BYTES: Final = 16 * 1024
"""How much is read of what stands before the values of the records: about 64 records with a few headers each."""

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-[\x21-\x7e]*)?"
)
_KEY: Final = rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER: Final = rb"(?:%b=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])?" % _KEY
_STATE: Final = re.compile(rb"[ \t]*%b[ \t]*(?:,[ \t]*%b[ \t]*){0,31}" % (_MEMBER, _MEMBER))


def trace_headers(body: bytes) -> bytes:
    """The header lines for a body with one record, each with its CRLF; empty without a valid trace context."""
    headers = first_headers(body)
    parent = _traceparent_in(headers)
    if not parent:
        return b""
    states = [value or b"" for name, value in headers if name == "tracestate"]
    state = b",".join(states)  # several are one list (W3C Trace Context §3.3.1)
    line = b"traceparent: %b\r\n" % parent
    return line + b"tracestate: %b\r\n" % state.strip(b" \t") if states and _is_state(state) else line


def first_traceparent(body: bytes) -> str:
    """The traceparent of the first record of a body; empty without a valid one."""
    return _traceparent_in(first_headers(body)).decode()


def traceparents_of(body: bytes, records: int, most: int) -> list[str]:
    """The valid traceparents of the first `most` of the `records` of a body, each once.

    Records that take long to find are left out (SEARCHED_BYTES, HEAD_BYTES, `headers_within`), because the exchange
    loop waits for it: about 0.8 ms at most, whatever keys, headers and values there are.
    """
    most = most if len(body) <= SEARCHED_BYTES else 1
    found = [_traceparent_in(headers).decode() for headers in headers_within(body, records, most, HEAD_BYTES)]
    return [parent for parent in dict.fromkeys(found) if parent]


def is_traceparent(parent: str) -> bool:
    """Whether a text is a valid traceparent."""
    return _matches_traceparent(parent.encode())


def is_sampled(parent: str) -> bool:
    """Whether a valid traceparent has the sampled flag (§3.2.2.5.1)."""
    return bool(int(parent[53:55], 16) & 1)


def trace_id_of(parent: str) -> str:
    """The trace id in a valid traceparent; empty for an empty text."""
    return parent[3:35]


def _traceparent_in(headers: Headers) -> bytes:
    """The traceparent among the headers of a record; empty without a valid one."""
    parents = [value or b"" for name, value in headers if name == "traceparent"]
    return parents[0] if len(parents) == 1 and _matches_traceparent(parents[0]) else b""


def _matches_traceparent(value: bytes) -> bool:
    """Whether it is a traceparent (§3.2): version 00 has four fields, a later one may have more."""
    found = _TRACEPARENT.fullmatch(value)
    return found is not None and (found["version"] != b"00" or found["more"] is None)


def _is_state(value: bytes) -> bool:
    """Whether it is a tracestate (§3.3): at most 32 members, which are a key and a value each."""
    return bool(value.strip(b" \t,")) and len(value) <= TRACESTATE_BYTES and _STATE.fullmatch(value) is not None
