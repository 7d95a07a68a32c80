"""What counts as JSON, and how mistakes are named."""

import json

import pytest

from api.extensions.error_responses import NotJson
from api.extensions.problem import FieldError
from api.extensions.request_body import flatten, parse_json


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1} x',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\x00"}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        "\ufeff{}".encode(),
        '{"a": 1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse_json(body)


@pytest.mark.parametrize("document", [{}, [], None, True, 1.5, "words", {"a": [1, {"b": None}]}])
def test_json_is_read_as_it_is(document: object) -> None:
    assert parse_json(json.dumps(document).encode()) == document


def test_mistakes_are_named_by_their_path() -> None:
    messages = {
        "name": ["Missing."],
        "source": {1: {"topic": ["Bad."], "jmes_filters": {0: ["Worse."]}}},
        "_schema": ["Odd."],
    }
    assert list(flatten(messages)) == [
        FieldError("name", "Missing.", pointer="/name"),
        FieldError("source[1].topic", "Bad.", pointer="/source/1/topic"),
        FieldError("source[1].jmes_filters[0]", "Worse.", pointer="/source/1/jmes_filters/0"),
        FieldError("", "Odd.", pointer=""),
    ]
