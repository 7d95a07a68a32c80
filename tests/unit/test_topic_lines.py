"""The lines of `webhookd topic tail`, and the keys that `webhookd topic produce` finds.

Oracle: the record's bytes. Nothing is doubled: a record is confluent-kafka's own.
"""

import json

import pytest
from confluent_kafka import Message

from command.topic import key_in
from command.topic_tail import json_line, text_line


def record(
    value: bytes | None, key: bytes | None = None, headers: list[tuple[str, str | bytes | None]] | None = None
) -> Message:
    return Message(topic="orders", partition=3, offset=7, key=key, value=value, headers=headers)


def test_json_line_has_the_fields_of_a_request() -> None:
    line = json_line(record(b'{"total": 1.50}', b"c-1", [("trace", b"\xff"), ("none", None)]))
    assert line == (
        b'{"topic":"orders","partition":3,"offset":7,"timestamp":0,"key":"c-1",'
        b'"headers":[["trace",{"base64":"/w=="}],["none",null]],"value":{"total": 1.50}}'
    )


@pytest.mark.parametrize(
    ("value", "field", "shown"),
    [
        (b'{\r\n "a": 1\n}', "value", {"a": 1}),
        (rb'"\ud800"', "value", "\ud800"),
        (None, "value", None),
        (b"not\nJSON", "raw", "not\nJSON"),
        (b"\xff", "raw", {"base64": "/w=="}),
        (b"", "raw", ""),
    ],
)
def test_every_value_is_one_line_of_json(value: bytes | None, field: str, shown: object) -> None:
    line = json_line(record(value))
    assert b"\n" not in line
    assert json.loads(line)[field] == shown


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (record(b'{"a": "\xc3\xbc"}', b"c-1"), '3:7  c-1  {"a": "ü"}'),
        (record(None, b"c-1"), "3:7  c-1  null"),
        (record(b"\x1b[31m\xff\n"), "3:7  -  \\x1b[31m\\xff "),
    ],
)
def test_text_line_obeys_no_control_characters(shown: Message, line: str) -> None:
    assert text_line(shown) == line


@pytest.mark.parametrize(("value", "key"), [({"c": "a-1"}, "a-1"), ({"c": 7}, "7"), ({"c": True}, "true")])
def test_key_is_the_fields_text(value: object, key: str) -> None:
    assert key_in(value, "c") == key


@pytest.mark.parametrize("value", [{}, {"c": None}, {"c": [1]}, [1], "c"])
def test_value_without_the_field_has_no_key(value: object) -> None:
    with pytest.raises(ValueError, match=r"^has no text or number in the field c$"):
        key_in(value, "c")
