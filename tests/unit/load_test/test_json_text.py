"""JSON is read as webhookd reads it, and received values are compared as such.

Oracle: RFC 8259, which has neither `NaN` nor `Infinity` and wants UTF-8.
"""

import pytest

from webhookd_load_test.compare.received_values import canonical
from webhookd_load_test.json_text import parsed

NOT_JSON = (b"NaN", b'{"a":Infinity}', b"[-Infinity]", b"{", b'"\xff"', '{"a":1}'.encode("utf-16"))


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not JSON|Expecting|decode"):
        parsed(text)
    assert canonical(text) is None


def test_json_is_read() -> None:
    assert parsed('{"a":[1,"ü",null]}'.encode()) == {"a": [1, "ü", None]}


def test_values_that_are_the_same_json_have_one_text() -> None:
    assert canonical(b'{"b":1, "a":[]}') == canonical(b'{"a":[],"b":1}') != canonical(b'{"a":[],"b":2}')


def test_what_is_nested_too_deep_has_no_text() -> None:
    assert canonical(b"[" * 100_000 + b"]" * 100_000) is None
