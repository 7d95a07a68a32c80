"""How the receiver of the load test reads deliveries.

Oracle: the bytes of keys and values that webhookd's own envelope renders. Nothing is doubled.
"""

import base64

import pytest

from webhookd.flow.batching.envelope import Envelope, body
from webhookd_load_test.receiver.delivered_records import DeliveredRecord, records_in
from webhookd_load_test.run_folder.published import HEADER

VALUES = [
    b'{"a": 1,  "b":[1.50, 1e999, -0]}',
    '"Malmö"'.encode(),
    b'{"a":1,"a":2}',
    b"null",
    b'"},{\\"topic\\":"',
    b'"\\ud800"',  # half a surrogate pair, which msgspec refuses
    b"[" * 5000 + b"]" * 5000,  # nested too deep for both parsers
]


def rendered(
    value: bytes | None = b"1", key: bytes | None = b"c-1", headers: tuple[tuple[str, bytes | None], ...] = ()
) -> bytes:
    return body([Envelope("orders", 2).render(7, 1_700_000_000_000, key, headers, value)])


def only(content: bytes) -> DeliveredRecord:
    records = records_in(content)
    assert records is not None
    (record,) = records
    return record


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:20].decode())
def test_value_stays_as_it_came(value: bytes) -> None:
    record = only(rendered(value, headers=((HEADER, b"12"),)))
    assert record[:4] == ("orders", 2, 7, 1_700_000_000_000)
    assert bytes(record.value) == value
    assert bytes(record.key) == b'"c-1"'
    assert record.number == 12


@pytest.mark.parametrize("value", [b"1", b'"\\udfff"'], ids=["usual", "unusual"])
@pytest.mark.parametrize(
    ("key", "as_json"),
    [
        (None, b"null"),
        (b"", b'""'),
        ('"Malmö"\n'.encode(), '"\\"Malmö\\"\\n"'.encode()),
        (b"\xff\x00", b'{"base64":"' + base64.b64encode(b"\xff\x00") + b'"}'),
    ],
)
def test_key_stays_as_it_came(value: bytes, key: bytes | None, as_json: bytes) -> None:
    assert bytes(only(rendered(value, key)).key) == as_json


@pytest.mark.parametrize("value", [b"1", b'"\\udfff"'], ids=["usual", "unusual"])
@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ((), None),
        (((HEADER, b"0"),), 0),
        ((("other", b"1"), (HEADER, b"42"), (HEADER, b"43")), 42),
        (((HEADER, None),), None),
        (((HEADER, b"\xff"),), None),
        (((HEADER, b"-1"),), None),
        (((HEADER, b"9" * 19),), None),
    ],
)
def test_number_is_that_of_the_header(
    value: bytes, headers: tuple[tuple[str, bytes | None], ...], number: int | None
) -> None:
    assert only(rendered(value, headers=headers)).number == number


@pytest.mark.parametrize("odd", [b"3", b'"\\ud800"'], ids=["usual", "unusual"])
def test_records_of_a_batch_keep_their_order(odd: bytes) -> None:
    envelope = Envelope("orders", 0)
    values = [b"1", b'{"messages":[]}', odd, b"4"]
    content = body([envelope.render(offset, 0, None, None, value) for offset, value in enumerate(values)])
    records = records_in(content)
    assert records is not None
    assert [(record.offset, bytes(record.value)) for record in records] == list(enumerate(values))


def test_delivery_without_records_is_one() -> None:
    assert records_in(b'{"messages":[]}') == []


MESSAGE = b'{"topic":"t","partition":0,"offset":%b,"timestamp":0,"key":null,"headers":[],"value":%b}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"{}",
        b"[]",
        b'{"messages":{}}',
        b'{"messages":[{"topic":"t"}]}',
        body([MESSAGE % (b"-1", b"1")]),
        body([MESSAGE % (b"9223372036854775808", b"1")]),
        body([MESSAGE % (b"1", b"NaN")]),
        body([MESSAGE % (b"1", b"tru")]),
        body([MESSAGE % (b"1", b'"\xff"')]),
        body([MESSAGE % (b"1", b'"\\ud800"')])[:-1],
    ],
)
def test_other_bodies_are_no_deliveries(content: bytes) -> None:
    assert records_in(content) is None
