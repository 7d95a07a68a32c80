"""The trace context of a record (W3C Trace Context), which the request of a batch of one record passes on.

A producer that is traced sets the Kafka headers `traceparent` and `tracestate`. The request has both unchanged, so the
endpoint's spans are children of the producer's; webhookd makes no spans.

    Kafka headers                            the request has
    one valid traceparent                    traceparent, and tracestate if all of it is valid
    none, several, or one that is invalid    neither

Names count in lower case, as OpenTelemetry writes them. A policy that hides the headers of a record hides these, too.
Only the bodies of deliveries are searched whose lanes have had a record with `traceparent` (DeliveryRef.traced): ingest
sees that when it renders the header, and a search of each body would take as long as the rest of a request's head.
"""

import re
from typing import Final

from webhookd.flow.batching.envelope_reader import first_headers

TRACESTATE_BYTES: Final = 8 * 1024
"""A longer one is dropped. W3C requires that at least 512 characters are passed on."""

_PARENT: Final = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-[\x21-\x7e]*)?"
)
_KEY: Final = rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER: Final = rb"(?:%b=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])?" % _KEY
_STATE: Final = re.compile(rb"[ \t]*%b[ \t]*(?:,[ \t]*%b[ \t]*){0,31}" % (_MEMBER, _MEMBER))


def trace_headers(body: bytes) -> bytes:
    """The header lines for a body with one record, each with its CRLF; empty without a valid trace context."""
    headers = first_headers(body)
    parents = [value or b"" for name, value in headers if name == "traceparent"]
    if len(parents) != 1 or not _is_parent(parents[0]):
        return b""
    states = [value or b"" for name, value in headers if name == "tracestate"]
    state = b",".join(states)  # several are one list (W3C Trace Context §3.3.1)
    line = b"traceparent: %b\r\n" % parents[0]
    return line + b"tracestate: %b\r\n" % state.strip(b" \t") if states and _is_state(state) else line


def _is_parent(value: bytes) -> bool:
    """Whether it is a traceparent (§3.2): version 00 has four fields, a later one may have more."""
    found = _PARENT.fullmatch(value)
    return found is not None and (found["version"] != b"00" or found["more"] is None)


def _is_state(value: bytes) -> bool:
    """Whether it is a tracestate (§3.3): at most 32 members, which are a key and a value each."""
    return bool(value.strip(b" \t,")) and len(value) <= TRACESTATE_BYTES and _STATE.fullmatch(value) is not None
