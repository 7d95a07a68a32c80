"""What the filters of a topic do with a sample of its records."""

from webhookd.flow.filters.sample import SampleResult, fields_in, try_filters


def always() -> bool:
    return True


def never() -> bool:
    return False


def test_first_record_that_passes_ends_the_try() -> None:
    result = try_filters(["a > `1`"], [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}'], never)
    assert result == SampleResult(passed=True, looked_at=2, failed=0, undecodable=0)


def test_records_that_cannot_be_judged_are_counted() -> None:
    result = try_filters(["a > '1'"], [b'{"a": 1}', b"{", b'{"a": "0"}'], never)
    assert (result.passed, result.looked_at, result.failed, result.undecodable) == (False, 3, 1, 1)
    assert "a > '1'" in result.last_error


def test_no_record_is_looked_at_when_the_time_is_over() -> None:
    assert try_filters(["a"], [b'{"a": 1}'], always).looked_at == 0


def test_without_filters_a_record_in_json_passes() -> None:
    assert not try_filters([], [b"\x00\x01", b"Avro"], never).passed
    assert try_filters([], [b"Avro", b"{}"], never).passed


def test_fields_are_found_at_any_depth() -> None:
    values = [b'{"a": {"b-c": [{"d": 1}]}}', b"{", None, b"7"]
    assert fields_in(values) == ({"a", "b-c", "d"}, 2)
