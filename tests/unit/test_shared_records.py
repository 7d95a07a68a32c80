"""What the scenarios on shared topics expect: by the jmespath library, and not by what webhookd does."""

import json

import pytest

from tests.chaos.shared_records import HIDDEN, SharedRecords, encoded, holds, undecodable, value_of
from tests.chaos.shared_topics import KINDS, Kind

COUNT = 2000
OPEN, GOVERNED = "open", "governed"


def made(topic: str, undecodable_every: int = 0) -> SharedRecords:
    records = SharedRecords([GOVERNED])
    values = records.values(topic, undecodable_every=undecodable_every)
    for number in range(COUNT):
        values(number, 1)
    return records


def test_encoded_values_are_the_values() -> None:
    for number in range(COUNT):
        assert json.loads(encoded(number, 2)) == {"n": number, "incarnation": 2, **value_of(number)}


def test_some_tenants_are_escaped() -> None:
    escaped = sum(b'"tenant": "\\u003' in encoded(number, 1) for number in range(COUNT))
    assert COUNT // 80 < escaped < COUNT // 20


def test_undecodable_value_is_not_json() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(undecodable(7))


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_what_jmespath_calls_false_does_not_hold(value: object) -> None:
    assert not holds("a", {"a": value})


@pytest.mark.parametrize("value", [0, True, "x", [0], {"b": None}])
def test_everything_else_holds(value: object) -> None:
    assert holds("a", {"a": value})


def test_tenant_that_is_no_string_is_nobodys() -> None:
    tenants = [value_of(number).get("tenant") for number in range(COUNT)]
    wanted = made(OPEN).wanted_by(["tenant == '1'"])
    assert [number for number in range(COUNT) if wanted(number)] == [n for n, one in enumerate(tenants) if one == "1"]
    assert {1, "1"} < {one for one in tenants if not isinstance(one, list)}
    assert ["1"] in tenants
    assert None in tenants


def test_policy_hides_records_and_a_member() -> None:
    free, governed = made(OPEN), made(GOVERNED)
    everything = [n for n in range(COUNT) if governed.wanted_by([])(n)]
    assert everything == [n for n in range(COUNT) if not value_of(n)["internal"]]
    assert len(everything) < COUNT
    assert [n for n in range(COUNT) if governed.wanted_by([f"!{HIDDEN}"])(n)] == everything
    assert not any(free.wanted_by([f"!{HIDDEN}"])(n) for n in range(COUNT))


def test_undecodable_aborted_and_unknown_records_are_for_nobody() -> None:
    records = made(OPEN, undecodable_every=10)
    records.aborted.add(3)
    wanted = records.wanted_by([])
    assert [number for number in range(12) if wanted(number)] == [1, 2, 4, 5, 6, 7, 8, 9, 11]
    assert not wanted(COUNT)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
@pytest.mark.parametrize("first", [0, 1])
def test_each_kind_gets_some_of_every_second_record_and_not_all(kind: Kind, first: int) -> None:
    wanted = made(GOVERNED).wanted_by(kind.filters)
    assert 20 < sum(map(wanted, range(first, COUNT, 2))) < COUNT / 2
