"""What `webhookd receive` prints of a request.

Oracle: the bytes of the body. Nothing is doubled.
"""

import json

import pytest

from command.received_request import ShownRequest, readable


def request(*offsets: int, value: object = 1) -> ShownRequest:
    messages = [{"topic": "orders", "partition": 0, "offset": offset, "value": value} for offset in offsets]
    return ShownRequest("POST", "/hook", (("X-Api-Key", "secret"),), json.dumps({"messages": messages}).encode())


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            b'{"messages":[{"value":1.50},{"value":"\xc3\xbc"}]}',
            '{"messages":[\n  {"value":1.50},\n  {"value":"ü"}\n]}',
        ),
        (b'{"messages":[],"more":1e2}', '{\n  "messages": [],\n  "more": 1e2\n}'),
        (b'{"messages":7}', '{\n  "messages": 7\n}'),
        (b"[1]", "[\n  1\n]"),
        (b"{", "{"),
        (b"\xff", "\\xff"),
        (b"", ""),
    ],
)
def test_body_is_shown_as_what_it_is(body: bytes, shown: str) -> None:
    assert readable(body) == shown


def test_large_batch_does_not_fill_the_terminal() -> None:
    shown = request(*range(1000)).in_full()
    assert len(shown.splitlines()) == 27
    assert shown.endswith('"value": 1},\n  … 980 more records\n]}')


@pytest.mark.parametrize(
    ("received", "line"),
    [
        (request(7, value={"total": 250}), 'POST /hook → 500  orders[0] 7  {"total": 250}'),
        (request(*range(100)), "POST /hook → 500  100 records: orders[0] 0 to 99"),
        (ShownRequest("GET", "/", (), b"abc"), "GET / → 500  3 bytes"),
    ],
)
def test_line_says_what_arrived_and_the_answer(received: ShownRequest, line: str) -> None:
    assert received.in_one_line(500) == line


def test_long_value_is_cut() -> None:
    line = request(7, value="x" * 500).in_one_line(200)
    assert (len(line), line[-1]) == (100, "…")
