"""Every record that is accepted and rendered is read back byte by byte. Oracle: the record; inputs are generated."""

import random

import pytest

from webhookd.errors import UndecodableRecord
from webhookd.flow.batching.envelope import Envelope, body
from webhookd.flow.batching.envelope_reader import headers_within, records_of
from webhookd.flow.filters.decoding import validate

SCALARS = (b"null", b"true", b"0", b"-1.50", b"1e999", b"1E-400", b"9" * 4000, b'""', rb'"\ud83d"', rb'"\udc00\\"')
SPACES = (b"", b"", b" ", b"\n\t", b"\r")
PIECES = (
    *(rb"\ud83d", rb"\"", rb"\\", rb"\u0000", b"{", b"}", b"[", b"]", b",", b":", b"/", b"\x7f"),
    *(b"null", b"value:", b"messages", "\u00e9\u2028\U0001f600".encode()),
)
RAW = (*PIECES, b"\x00", b"\xff", b"\xed\xa0\xbd", b'"', b"\\", b"\r\n", b"k1")
SEEDS = 300


def space(rng: random.Random) -> bytes:
    return rng.choice(SPACES)


def text(rng: random.Random) -> bytes:
    return b'"' + b"".join(rng.choices(PIECES, k=rng.randrange(6))) + b'"'


def value(rng: random.Random, depth: int) -> bytes:
    """JSON as RFC 8259 allows it, including repeated names in one object."""
    kind = rng.randrange(4) if depth else 0
    if kind < 2:
        return rng.choice((*SCALARS, text(rng)))
    items = [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 2:
        return b"[" + (b"," + space(rng)).join(items) + space(rng) + b"]"
    names = (rng.choice((b'"twice"', text(rng))) for _ in items)
    pairs = (name + space(rng) + b":" + space(rng) + item for name, item in zip(names, items, strict=True))
    return b"{" + space(rng) + b",".join(pairs) + b"}"


def raw(rng: random.Random) -> bytes | None:
    return None if rng.random() < 0.2 else b"".join(rng.choices(RAW, k=rng.randrange(5)))


def name(rng: random.Random) -> str:
    return b"".join(rng.choices(PIECES, k=rng.randrange(4))).decode()


Fields = tuple[int, int, bytes | None, tuple[tuple[str, bytes | None], ...], bytes | None]


def record(rng: random.Random, offset: int) -> Fields:
    made = space(rng) + value(rng, rng.randrange(5)) + space(rng)
    headers = tuple((name(rng), raw(rng)) for _ in range(rng.randrange(3)))
    return offset, rng.randrange(-1, 2**41), raw(rng), headers, None if made == b"null" else made


def read(rendered: bytes) -> list[Fields]:
    return [(r.offset, r.timestamp_ms, r.key, r.headers, r.value) for r in records_of(rendered)]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_accepted_records_are_read_back_byte_by_byte(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same records in every run
    records = [record(rng, offset) for offset in range(rng.randrange(1, 8))]
    for *_, of_record in records:
        if of_record is not None:
            validate(of_record)
    envelope = Envelope("orders.v1-eu_west", 11)
    assert read(body([envelope.render(*fields) for fields in records])) == records


@pytest.mark.parametrize("seed", range(SEEDS))
def test_headers_are_found_without_the_values(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same records in every run
    records = [record(rng, offset) for offset in range(rng.randrange(1, 8))]
    envelope = Envelope("orders.v1-eu_west", 11)
    rendered = body([envelope.render(*fields) for fields in records])
    assert list(headers_within(rendered, len(records), 5, 1 << 20)) == [headers for *_, headers, _ in records[:5]]


def test_values_are_not_read_for_the_headers() -> None:
    endless = b"[" * 1000
    rendered = body([Envelope("orders", 0).render(at, 0, None, (("at", b"%d" % at),), endless) for at in range(3)])
    with pytest.raises(ValueError, match="does not end"):
        list(records_of(rendered))
    assert list(headers_within(rendered, 3, 64, 1 << 20)) == [(("at", b"%d" % at),) for at in range(3)]


def test_value_that_looks_like_records_adds_no_headers() -> None:
    inner = Envelope("orders", 0).render(9, 0, None, (("at", b"forged"),), b"1")
    forged = b"[{},%b]" % inner
    rendered = body([Envelope("orders", 0).render(at, 0, None, (("at", b"%d" % at),), forged) for at in range(3)])
    assert list(headers_within(rendered, 3, 64, 1 << 20)) == [(("at", b"0"),)]


def test_value_of_the_greatest_accepted_depth_is_read_back() -> None:
    depth = 2000
    while not accepted(b"[" * depth + b"]" * depth):
        depth -= 1
    deepest = (0, 0, b"k", (), b"[" * depth + b"]" * depth)
    assert depth > 200
    assert read(body([Envelope("orders", 0).render(*deepest)])) == [deepest]


def accepted(of_record: bytes) -> bool:
    try:
        validate(of_record)
    except UndecodableRecord:
        return False
    return True


@pytest.mark.parametrize("other", [b"", b"{}", b'{"messages":[{}]}', b'{"messages":[{"topic":"t"'])
def test_body_of_another_shape_is_refused(other: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        list(records_of(other))
