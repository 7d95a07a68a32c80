"""docs/how-to/what-your-endpoint-will-see.md: requests of each kind, captured from a real run."""

from pathlib import Path
from typing import Final

from documentation.reference.captured_requests import Record, Scene, captured
from documentation.reference.markdown import page

FILE: Final = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "what-your-endpoint-will-see.md"

INTRODUCTION = """\
Each request on this page was sent by webhookd. `make reference` captures them from a run with real requests and writes
this page. Host, ids, times and signatures are replaced, as they differ in each run; equal ids are equal here, too. A
body is sent in one line: the line breaks between its records are added here. [Receive deliveries](receive.md) explains
the fields, and how to answer."""

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def order(number: int) -> Record:
    """A record like those of `make play`."""
    value = b'{"order": %d, "customer": "customer-2", "total": 250}' % number
    return Record(key=b"customer-2", value=value)


SINGLE = Scene(
    topic="orders",
    records=[
        Record(
            key=b"customer-2",
            value=b'{"order": 1, "customer": "customer-2", "total": 250}',
            headers=(("source", b"shop"), ("traceparent", PARENT), ("tracestate", b"shop=t61rcWkgMzE")),
        )
    ],
    webhook={"headers": ["X-Api-Key: secret"]},
)
SINGLE_TEXT = """\
A subscription with the header `X-Api-Key: secret`, and the default `max_batch_size` of 1. The record has three Kafka
headers. Two of them are its [trace context](https://www.w3.org/TR/trace-context/), which a request of one record also
has as HTTP headers."""

BATCH = Scene(
    topic="payments",
    records=[order(1), order(2), order(3)],
    webhook={"method": "PUT"},
    configuration={"batching": {"max_batch_size": 3}},
)
BATCH_TEXT = """\
`max_batch_size` is 3, and `method` is `PUT`. The values are the bytes that the producer wrote, with their spaces."""

BINARY = Scene(
    topic="customers",
    records=[
        Record(key=b"\x00\x00\x00\x00\x2a\xff", value=None),
        Record(value=b'{"id":9007199254740993}', headers=(("checksum", b"\xde\xad\xbe\xef"),)),
    ],
    configuration={"batching": {"max_batch_size": 2}},
)
BINARY_TEXT = """\
The first record is a tombstone: it has a key and no value. Its key is not UTF-8, nor is the header of the second
record; both are base64 in an object. The second record has no key. A value that is not JSON in UTF-8 is never sent: the
record becomes a dead letter. Parse large integers, such as this `id`, with a parser that keeps them."""

RETRY = Scene(topic="invoices", records=[order(1)], statuses=[503, 200])
RETRY_TEXT = """\
The endpoint answered the first request with 503. The second request has the same content, so it has the same
`webhook-id`; only `webhook-attempt` differs, and `webhook-timestamp`, which is the time of the attempt."""

SPLIT = Scene(
    topic="shipments",
    records=[order(1), order(2), order(3), order(4)],
    statuses=[422, 200, 200],
    configuration={"batching": {"max_batch_size": 4}, "retry": {"on_rejected": "split"}},
)
SPLIT_TEXT = """\
`on_rejected` is `split`, and the endpoint answered the first request with 422. The records come again in two halves.
They are other content than the whole, so each half has an id of its own. The same happens after 413 without any
option."""

PROBE = Scene(topic="returns", records=[order(1)], statuses=[404, 200])
PROBE_TEXT = """\
The endpoint answered with 404, which no retry follows. Because `on_exhausted` is `pause`, webhookd waits and sends a
probe: the next batch from the same position, once. A probe looks like a retry, and `webhook-attempt` counts it."""


SECTIONS: Final = (
    ("One record", SINGLE_TEXT, SINGLE),
    ("A batch", BATCH_TEXT, BATCH),
    ("A tombstone, and bytes that are not text", BINARY_TEXT, BINARY),
    ("A retry", RETRY_TEXT, RETRY),
    ("A batch that was refused", SPLIT_TEXT, SPLIT),
    ("A probe", PROBE_TEXT, PROBE),
)


def endpoint_page() -> str:
    """The whole page; runs webhookd, which takes some seconds."""
    found = captured([scene for _, _, scene in SECTIONS])
    blocks = [
        block
        for (title, text, _), requests in zip(SECTIONS, found, strict=True)
        for block in (f"## {title}", text, *(f"```http\n{request}\n```" for request in requests))
    ]
    return page("What your endpoint will see", INTRODUCTION, *blocks)
