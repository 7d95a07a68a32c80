"""Which trace contexts a request passes on. Oracle: the grammar of W3C Trace Context, by examples of each rule."""

import pytest

from tests.harness.lanes import WANTED, Record, accumulator, lane, lane_of
from webhookd.flow.batching.trace_headers import (
    HEAD_BYTES,
    SEARCHED_BYTES,
    TRACESTATE_BYTES,
    first_traceparent,
    trace_headers,
    trace_id_of,
    traceparents_of,
)

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Pairs = tuple[tuple[str, bytes | None], ...]


def passed_on(*pairs: tuple[str, bytes | None], value: bytes = b'{"n":1}', key: bytes | None = None) -> bytes:
    one = lane()
    one.take([Record(0, value, key, pairs)], WANTED, 0.0)
    batch = one.form_batch(1, 1 << 30)
    return trace_headers(batch.body) if one.traced else b""


def line(value: bytes) -> bytes:
    return b"traceparent: %b\r\n" % value


@pytest.mark.parametrize(
    "parent",
    [
        PARENT,
        b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-00",
        b"01" + PARENT[2:],
        b"fe" + PARENT[2:] + b"-what-comes-later",
        b"cc" + PARENT[2:] + b"-",
    ],
)
def test_valid_traceparent_is_passed_on(parent: bytes) -> None:
    assert passed_on(("other", b"x"), ("traceparent", parent)) == line(parent)


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"",
        b"00",
        PARENT[:-1],
        PARENT + b"0",
        PARENT + b"-more",
        PARENT + b" ",
        PARENT + b"\r\nX: y",
        PARENT.upper(),
        b"ff" + PARENT[2:],
        b"01" + PARENT[2:] + b"more",
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        b"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        b"\xff" * 55,
    ],
)
def test_invalid_traceparent_is_dropped_and_its_tracestate_with_it(parent: bytes | None) -> None:
    assert passed_on(("traceparent", parent), ("tracestate", b"a=1")) == b""


@pytest.mark.parametrize(
    "state",
    [
        b"congo=t61rcWkgMzE",
        b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        b"a=1, b=2 ,\tc=3",
        b"fw529a3039@dt=FfAAAA",
        b"a=1,,b=2",
        b",".join(b"k%d=v" % number for number in range(32)),
    ],
)
def test_valid_tracestate_is_passed_on(state: bytes) -> None:
    sent = passed_on(("traceparent", PARENT), ("tracestate", state))
    assert sent == line(PARENT) + b"tracestate: %b\r\n" % state


@pytest.mark.parametrize(
    "state",
    [
        None,
        b"",
        b" , ",
        b"A=1",
        b"a",
        b"a=",
        b"a=1;b=2 ,c",
        b"a=b=c",
        b"a=1\r\nX: y",
        b"a=\xc3\xa9",
        b",".join(b"k%d=v" % number for number in range(33)),
        b",".join(b"k%d=%b" % (number, b"v" * 255) for number in range(32)).ljust(TRACESTATE_BYTES + 1, b"v"),
    ],
)
def test_invalid_tracestate_is_dropped_alone(state: bytes | None) -> None:
    assert passed_on(("traceparent", PARENT), ("tracestate", state)) == line(PARENT)


def test_several_tracestates_are_one_list() -> None:
    sent = passed_on(("tracestate", b"a=1"), ("traceparent", PARENT), ("tracestate", b"b=2"))
    assert sent == line(PARENT) + b"tracestate: a=1,b=2\r\n"


def test_record_with_two_traceparents_has_none() -> None:
    assert passed_on(("traceparent", PARENT), ("traceparent", PARENT)) == b""


def test_what_looks_like_a_header_in_key_and_value_is_none() -> None:
    text = b',"headers":[["traceparent","%b"]],' % PARENT
    assert passed_on(value=b'{"a":1%b"b":2}' % text, key=text) == b""
    assert passed_on(("other", text), value=b'{"a":1%b"b":2}' % text, key=text) == b""


def test_record_without_headers_has_no_trace_context() -> None:
    assert passed_on() == b""


@pytest.mark.parametrize(("name", "traced"), [("traceparent", True), ("Traceparent", False), ("tracestate", False)])
def test_deliveries_are_traced_from_the_first_record_with_a_traceparent_on(name: str, *, traced: bool) -> None:
    of = accumulator(2, size=1)
    lane_of(of, 0).take([Record(0, pairs=((name, PARENT),)), Record(1)], WANTED, 0.0)
    lane_of(of, 1).take([Record(0)], WANTED, 0.0)
    assert [delivery.ref("ingest").traced for delivery in of.ready(0.0)] == [traced, False]


def test_mixed_delivery_is_traced_if_one_of_its_lanes_is() -> None:
    of = accumulator(2, size=2)
    lane_of(of, 0).take([Record(0)], WANTED, 0.0)
    lane_of(of, 1).take([Record(0, pairs=(("traceparent", PARENT),))], WANTED, 0.0)
    (delivery,) = of.ready(0.0)
    assert delivery.ref("ingest").traced


@pytest.mark.parametrize(("parent", "trace_id"), [(PARENT.decode(), "0af7651916cd43dd8448eb211c80319c"), ("", "")])
def test_trace_id_is_a_part_of_the_traceparent(parent: str, trace_id: str) -> None:
    assert trace_id_of(parent) == trace_id


def test_contexts_of_a_batch_are_those_of_its_records() -> None:
    one = lane()
    parents = [PARENT, b"not valid", PARENT.replace(b"b7ad", b"b7ae"), PARENT]
    tricky = b'{"x":"]}[","y":["traceparent","%b"]}' % PARENT.replace(b"b7ad", b"b7af")
    one.take([Record(at, tricky, pairs=(("traceparent", of),)) for at, of in enumerate(parents)], WANTED, 0.0)
    body = one.form_batch(len(parents), 1 << 30).body
    assert traceparents_of(body, len(parents), 64) == [PARENT.decode(), parents[2].decode()]
    assert traceparents_of(body, len(parents), 2) == [first_traceparent(body)] == [PARENT.decode()]


@pytest.mark.parametrize(("size", "found"), [(SEARCHED_BYTES, 2), (SEARCHED_BYTES + 1, 1)])
def test_large_body_is_searched_for_the_first_record_only(size: int, found: int) -> None:
    body = body_of([b'"%b"' % (b"x" * (size // 2 - 500))] * 2)
    padded = body.replace(b"x", b"x" * (size - len(body) + 1), 1)
    assert (len(padded), len(traceparents_of(padded, 2, 64))) == (size, found)


def test_keys_and_headers_are_read_up_to_a_bound() -> None:
    long = b"k" * (HEAD_BYTES // 2 - 500)
    assert traceparents_of(body_of([b"1"] * 5, long), 5, 64) == [parent(0).decode(), parent(1).decode()]
    assert traceparents_of(body_of([b"1"], b"k" * HEAD_BYTES), 1, 64) == []


def parent(number: int) -> bytes:
    return b"00-%032x-b7ad6b7169203331-01" % (number + 1)


def body_of(values: list[bytes], key: bytes | None = None) -> bytes:
    one = lane()
    records = [Record(at, of, key, (("traceparent", parent(at)),)) for at, of in enumerate(values)]
    one.take(records, WANTED, 0.0)
    return one.form_batch(len(values), 1 << 30).body
