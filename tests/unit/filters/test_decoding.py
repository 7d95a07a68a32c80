"""A record's value must be JSON exactly as RFC 8259 defines it, in UTF-8, with or without filters."""

import json
from random import Random

import pytest

from tests.unit.filters.generator import Generator
from webhookd.errors import UndecodableRecord
from webhookd.flow.filters.decoding import NUMBER_DIGITS, layout, validate
from webhookd.flow.filters.matcher import Matcher

ACCEPTED = [
    b"null",
    b"true",
    b"0",
    b"-0",
    b"-0.0e-0",
    b"1E+5",
    b"1e999",
    b"123456789012345678901234567890",
    b'""',
    b' \t\r\n{ "a" : [ 1 , 2 ] }\n',
    b'"\x7f"',
    b'"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"',
    b'"\\ud83d\\ude00"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    '"é😀\u2028"'.encode(),
    '{"é": 1}'.encode(),
    b'{"a": 1, "a": 2}',
    b"[" * 300 + b"]" * 300,
    b"0." + b"1" * 10_000,
    b'"' + b"1" * 10_000 + b'"',
    b"[" + b"1" * NUMBER_DIGITS + b"]",
]

REFUSED = [
    (b"", "not_json"),
    (b" ", "not_json"),
    (b"nul", "not_json"),
    (b"nulll", "not_json"),
    (b"True", "not_json"),
    (b"NaN", "not_json"),
    (b"[Infinity]", "not_json"),
    (b'{"a": -Infinity}', "not_json"),
    (b"01", "not_json"),
    (b"+1", "not_json"),
    (b"-", "not_json"),
    (b"1.", "not_json"),
    (b".5", "not_json"),
    (b"1e", "not_json"),
    (b"0x1", "not_json"),
    (b"1 2", "not_json"),
    (b"1,", "not_json"),
    (b'{"a": 1}}', "not_json"),
    (b'{"a": 1} x', "not_json"),
    (b"1\x00", "not_json"),
    (b"\x0b1", "not_json"),
    (b"\xc2\xa01", "not_json"),
    (b"[1,]", "not_json"),
    (b'{"a": 1,}', "not_json"),
    (b"{a: 1}", "not_json"),
    (b"{'a': 1}", "not_json"),
    (b"{1: 1}", "not_json"),
    (b"[1 2]", "not_json"),
    (b'{"a" 1}', "not_json"),
    (b"/* c */ 1", "not_json"),
    (b'"\t"', "not_json"),
    (b'"\x00"', "not_json"),
    (b'"a\nb"', "not_json"),
    (b'"\\x41"', "not_json"),
    (b'"\\u12"', "not_json"),
    (b'"\\u00zz"', "not_json"),
    (b'"a', "not_json"),
    (b"[", "not_json"),
    (b'\xef\xbb\xbf{"a": 1}', "not_json"),
    ('{"a": 1}'.encode("utf-16-le"), "not_json"),
    ('{"a": 1}'.encode("utf-16"), "not_utf8"),
    (b'"\xff"', "not_utf8"),
    (b'"\xc0\x80"', "not_utf8"),
    (b'"\xed\xa0\x80"', "not_utf8"),
    (b'"\xf4\x90\x80\x80"', "not_utf8"),
    (b'{"a": 1, "\xe9": 2}', "not_utf8"),
    (b'{"a": 1, "b": "\xe9"}', "not_utf8"),
    (b"[" * 100_000, "too_deep"),
    (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
    (b'{"z":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
    (b"1" * (NUMBER_DIGITS + 1), "number_too_long"),
    (b'{"a": 1, "z": [-' + b"9" * 100_000 + b"]}", "number_too_long"),
    (b'{"a": -' + b"9" * 100_000 + b"}", "number_too_long"),
]

FILTERS = {"no filter": [], "a field": ["a"], "whole record": ["@"], "a nested field": ["a.b == 'x'"]}
every_filter = pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())


def cause(filters: list[str], value: bytes) -> str:
    try:
        Matcher(filters).matches(value)
    except UndecodableRecord as error:
        return error.cause
    return ""


def judged(value: bytes) -> bool:
    """The oracle: whether Python's `json`, made strict, accepts the value."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(value.decode(), parse_constant=refuse)
    except ValueError:
        return False
    return True


@every_filter
@pytest.mark.parametrize("value", ACCEPTED, ids=lambda value: value[:20])
def test_json_is_accepted(filters: list[str], value: bytes) -> None:
    assert cause(filters, value) == ""


@every_filter
@pytest.mark.parametrize(("value", "expected"), REFUSED, ids=lambda value: value[:20])
def test_what_is_not_json_is_refused_with_cause(filters: list[str], value: bytes, expected: str) -> None:
    assert cause(filters, value) == expected


@pytest.mark.parametrize(("value", "expected"), REFUSED, ids=lambda value: value[:20])
def test_refused_values_are_no_json_to_oracle(value: bytes, expected: str) -> None:
    assert expected == "too_deep" or not judged(value)


@every_filter
def test_damaged_records_are_judged_as_by_oracle(filters: list[str]) -> None:
    """Random bytes of generated records are changed, removed or inserted; both valid and invalid JSON must occur."""
    generator, random = Generator(seed=8259), Random(8259)  # noqa: S311 - the same every time is the point
    matcher = Matcher(filters)
    verdicts = set()
    for _ in range(700):
        value = _damaged(generator.record().encode(), random)
        try:
            matcher.matches(value)
            accepted = True
        except UndecodableRecord:
            accepted = False
        assert accepted == judged(value), value
        verdicts.add(accepted)
    assert verdicts == {True, False}


def _damaged(value: bytes, random: Random) -> bytes:
    changed = bytearray(value)
    for _ in range(random.randrange(3)):
        at = random.randrange(len(changed) + 1)
        inserted = bytes([random.choice(b'"\\{}[]:,. \t\n\x00\x1f\x7f\x80\xc3\xa9\xe9\xf0\xffueE+-019NIntfalsr')])
        changed[at : at + random.randrange(2)] = inserted if random.random() < 0.8 else b""
    return bytes(changed)


def test_long_number_is_found_at_every_place() -> None:
    """The first check samples every 512th byte, so the number starts at many different offsets."""
    for lead in range(0, 1500, 97):
        with pytest.raises(UndecodableRecord):
            validate(b'["' + b"x" * lead + b'",' + b"7" * (NUMBER_DIGITS + 1) + b"]")


def test_many_digits_in_short_numbers_are_accepted() -> None:
    validate(json.dumps(["123456789" * 1000, 1234567890123456] * 2).encode())
    validate(b"[" + b",".join([b"1234567890123456"] * 2000) + b"]")


def test_layout_holds_only_what_paths_name() -> None:
    found = layout([("a", "b"), ("c",)])
    assert found is not None
    record = found.decode(b'{"a": {"b": 1, "z": 2}, "c": [3], "d": 4}')
    assert found.read(("a", "b"))(record) == 1
    assert found.read(("c",))(record) == [3]
    assert len(record.__struct_fields__) == 2


@pytest.mark.parametrize("name", ['q"uote', "back\\slash", "new\nline", "\ud800"])
def test_names_msgspec_cannot_hold_are_decoded_whole(name: str) -> None:
    assert layout([(name,)]) is None
    assert Matcher([json.dumps(name)]).matches(json.dumps({name: 1}).encode())
