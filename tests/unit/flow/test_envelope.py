"""The body of a request: valid JSON that holds exactly the contents of the records."""

import base64
import json
import random

import pytest

from webhookd.flow.batching.envelope import Envelope, body, overhead_bytes

TIMESTAMP_MS = 1_700_000_000_123


def rendered(
    *, key: bytes | None = None, headers: list[tuple[str, bytes | None]] | None = None, value: bytes | None = b"1"
) -> dict[str, object]:
    message: dict[str, object] = json.loads(Envelope("orders", 3).render(42, TIMESTAMP_MS, key, headers, value))
    return message


def test_message_holds_position_and_timestamp() -> None:
    assert rendered() == {
        "topic": "orders",
        "partition": 3,
        "offset": 42,
        "timestamp": TIMESTAMP_MS,
        "key": None,
        "headers": [],
        "value": 1,
    }


@pytest.mark.parametrize(
    "key", ["", "a1", "ключ", 'a"b', "back\\slash", "tab\tnul\0", "\u2028", "😀", "/", "\x7f", "null", "²"]
)
def test_text_key_is_a_string(key: str) -> None:
    assert rendered(key=key.encode())["key"] == key


@pytest.mark.parametrize("key", [b"\xff", b"abc\x80", b"\xed\xa0\x80", b"\xc0\x80"])
def test_other_key_is_base64(key: bytes) -> None:
    assert rendered(key=key)["key"] == {"base64": base64.b64encode(key).decode()}


def test_headers_keep_order_repeats_and_nulls() -> None:
    headers = [("b", b"2"), ("a", None), ("b", b"\xff"), ('q"\n', b'"')]
    assert rendered(headers=headers)["headers"] == [["b", "2"], ["a", None], ["b", {"base64": "/w=="}], ['q"\n', '"']]


def test_tombstone_is_null() -> None:
    assert rendered(value=None)["value"] is None


def test_value_bytes_are_unchanged() -> None:
    value = b'{"big": 12345678901234567890123, "a": 1.10, "a": 2}'
    assert Envelope("orders", 3).render(42, TIMESTAMP_MS, None, None, value).endswith(b'"value":' + value + b"}")


def test_topic_name_with_a_quote_stays_json() -> None:
    assert json.loads(Envelope('a"b', 0).render(0, 0, None, None, None))["topic"] == 'a"b'


@pytest.mark.parametrize("count", [1, 2, 5])
def test_body_has_the_computed_length(count: int) -> None:
    rendered_records = [Envelope("t", 0).render(n, 0, None, None, b"{}") for n in range(count)]
    assert len(body(rendered_records)) == sum(map(len, rendered_records)) + overhead_bytes(count)
    assert [message["offset"] for message in json.loads(body(rendered_records))["messages"]] == list(range(count))


@pytest.mark.parametrize("seed", range(20))
def test_random_records_are_parsed_back(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # seeded on purpose

    def text() -> str:
        return "".join(chr(chance.choice((chance.randint(0, 127), chance.randint(0xA0, 0x2FFF)))) for _ in range(9))

    key, name, header, value = text(), text(), text(), {text(): [text(), chance.random(), None, True]}
    message = rendered(key=key.encode(), headers=[(name, header.encode())], value=json.dumps(value).encode())
    assert (message["key"], message["headers"], message["value"]) == (key, [[name, header]], value)
